"""A machine that is terminated leaves its group's target groups, whatever the APIs do."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import botocore.session
import pytest

from photo_api.cloud import deregistration
from photo_api.cloud.deregistration import Deregistration
from photo_api.cloud.metadata import Metadata
from photo_api.cloud.query_api import RoleClient, endpoint
from photo_api.settings.loading import load
from photo_api.supervisor.drain import lame_duck_end
from photo_api.supervisor.termination import SETTLED
from tests.metadata_service import FakeCloud, cloud_settings, raw_server, running_cloud
from tests.test_settings import USABLE

INSTANCE = "i-0123456789abcdef0"
OTHER = "i-0fedcba9876543210"
FOUND = "DescribeLoadBalancerTargetGroups"
LEFT = "DeregisterTargets"
NOT_YET = "not deregistered from the target groups: "


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deregistration, "PAUSE", 0.05)


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with running_cloud("aws") as running:
        running.groups.add("photos", INSTANCE, OTHER)
        yield running


def leaving(cloud: FakeCloud, region: str | None = "eu-north-1", **changes: Any) -> Deregistration:
    settings = cloud_settings(cloud.url, **changes)
    metadata = Metadata("aws", "10.20.30.40", region, INSTANCE)
    return Deregistration(settings, RoleClient(settings, metadata, None))


async def ended(one: Deregistration) -> None:
    async with asyncio.timeout(30):
        await one.run()


def actions(cloud: FakeCloud) -> list[str]:
    return [form["Action"] for form in cloud.requests]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


async def test_it_leaves_by_signed_requests_and_no_other_does(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "photo_api")
    one = leaving(cloud)
    assert one.left_at is None
    await ended(one)
    ((arn, targets),) = cloud.groups.targets.items()
    assert targets == {OTHER}
    find = {"Version": "2011-01-01", "AutoScalingGroupName": "photos", "MaxRecords": "100"}
    leave = {"Version": "2015-12-01", "TargetGroupArn": arn, "Targets.member.1.Id": INSTANCE}
    assert cloud.requests == [{"Action": FOUND, **find}, {"Action": LEFT, **leave}]
    assert one.left_at is not None
    assert warnings(caplog) == []
    assert "deregistered from the target groups" in caplog.text
    for secret in (cloud.secret_key, cloud.session_token):
        assert secret not in caplog.text


async def test_it_leaves_all_of_them_however_many_answers_tell_them(cloud: FakeCloud) -> None:
    for number in range(6):
        cloud.groups.add(f"photos-{number}", INSTANCE, OTHER)
    cloud.groups.page = 3
    await ended(leaving(cloud))
    assert list(cloud.groups.targets.values()) == [{OTHER}] * 7
    assert actions(cloud) == [FOUND] * 3 + [LEFT] * 7


async def test_a_list_without_end_is_not_read_to_its_end(cloud: FakeCloud) -> None:
    cloud.groups.page = 0
    await ended(leaving(cloud))
    assert actions(cloud) == [FOUND] * 5


async def test_a_group_without_target_groups_is_none_to_leave(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.groups.targets.clear()
    one = leaving(cloud)
    await ended(one)
    assert actions(cloud) == [FOUND]
    assert one.left_at is None
    assert warnings(caplog) == []


@pytest.mark.parametrize("failure", ["lost", "obeyed", "throttled", "refused", "clock", "find"])
async def test_what_fails_is_tried_again_and_told_once(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture, failure: str
) -> None:
    told = NOT_YET + "HTTPException"
    match failure:
        case "lost":
            cloud.balancing.lost.extend(["before", "before"])
        case "obeyed":
            cloud.balancing.lost.append("after")
        case "throttled":
            cloud.balancing.statuses.extend([(400, "Throttling"), (503, "ServiceUnavailable")])
            told = NOT_YET + "status 400 Throttling"
        case "refused":
            cloud.balancing.statuses.extend([403, 403])
            told = NOT_YET + "status 403 AccessDenied"
        case "find":
            cloud.faults.statuses.extend([(500, "ResourceContention"), 403])
            told = NOT_YET + "status 500 ResourceContention"
        case "clock":
            cloud.clock = 7200
            told = NOT_YET + "status 403 SignatureDoesNotMatch"
    await ended(leaving(cloud))
    assert list(cloud.groups.targets.values()) == [{OTHER}]
    found = [one for one in warnings(caplog) if "clock" not in one]
    assert len(found) == 1
    assert found[0].startswith(NOT_YET)
    assert failure in ("lost", "obeyed") or found == [told]


@pytest.mark.slow
async def test_an_answer_that_comes_late_holds_up_no_other_target_group(cloud: FakeCloud) -> None:
    """Later than a request may take: it was obeyed, and is asked for again."""
    cloud.groups.add("photos-2", INSTANCE)
    cloud.balancing.delay = 2.2
    running = asyncio.create_task(leaving(cloud).run())
    async with asyncio.timeout(10):
        while any(INSTANCE in targets for targets in cloud.groups.targets.values()):
            await asyncio.sleep(0.02)
        cloud.balancing.delay = 0
        await running


async def test_only_those_that_are_not_left_yet_are_asked_again(cloud: FakeCloud) -> None:
    cloud.groups.add("photos-2", INSTANCE)
    cloud.balancing.statuses.append(503)
    one = leaving(cloud)
    await ended(one)
    assert actions(cloud) == [FOUND, LEFT, LEFT]
    assert list(cloud.groups.targets.values()) == [{OTHER}, set()]


@pytest.mark.parametrize("code", ["InvalidTarget", "TargetGroupNotFound"])
async def test_a_target_or_group_that_is_gone_is_left(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    cloud.balancing.statuses.append((400, code))
    await ended(leaving(cloud))
    assert warnings(caplog) == []
    assert actions(cloud) == [FOUND]


async def test_it_may_be_repeated(cloud: FakeCloud, caplog: pytest.LogCaptureFixture) -> None:
    """By a process that was killed over it and started again."""
    await ended(leaving(cloud))
    await ended(leaving(cloud))
    assert list(cloud.groups.targets.values()) == [{OTHER}]
    assert warnings(caplog) == []


async def test_what_will_never_do_is_told_and_left_alone(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    await ended(leaving(cloud, region=None))
    assert warnings(caplog) == [NOT_YET + "no region is known"]
    assert cloud.requests == []


async def test_a_refusal_that_lasts_is_asked_about_ever_more_seldom(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.balancing.statuses.extend([403] * 99)
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            await leaving(cloud).run()
    assert 2 <= 99 - len(cloud.balancing.statuses) <= 6
    assert warnings(caplog) == [NOT_YET + "status 403 AccessDenied"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the answer is none of Amazon's"),
        (b"<html><body>Sign in</body></html>", "the answer is none of Amazon's"),
        (b"<%sResponse><b/>!" % FOUND.encode(), "the answer is no XML"),
    ],
)
async def test_a_service_that_answers_something_else_is_no_list(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture, body: bytes, told: str
) -> None:
    """Nor one without target groups."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    with raw_server(head + body) as url, suppress(TimeoutError):
        async with asyncio.timeout(0.3):
            await leaving(cloud, autoscaling_url=url).run()
    assert warnings(caplog) == [NOT_YET + told]


@pytest.mark.parametrize("service", ["autoscaling", "elbv2"])
@pytest.mark.parametrize("region", ["us-east-1", "eu-north-1", "us-gov-west-1", "cn-north-1"])
def test_the_regions_endpoints_are_botocores(service: str, region: str) -> None:
    client = botocore.session.get_session().create_client(
        service, region, aws_access_key_id="x", aws_secret_access_key="x"
    )
    name = client.meta.service_model.signing_name
    assert endpoint(name, region) == client.meta.endpoint_url


@pytest.mark.parametrize(
    ("told_at", "until"),
    [(None, 15), (0.5, 15), (5, 15), (8, 18), (14, 21), (40, 21)],
)
def test_a_balancer_that_was_told_late_is_served_for_longer_within_the_grace(
    told_at: float | None, until: float
) -> None:
    life = replace(load(USABLE).lifecycle, lame_duck=15, drain_wait=30, log_flush=5, grace=60)
    sent_to_until = 0.0 if told_at is None else 1000 + told_at + SETTLED
    assert lame_duck_end(life, 1000, sent_to_until) == 1000 + until

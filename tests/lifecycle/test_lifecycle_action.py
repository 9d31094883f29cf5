"""What a machine tells the group that terminates it: wait for me, and: go on."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from photo_api.cloud import query_api
from photo_api.cloud.credentials import fetch_role_credentials
from photo_api.cloud.lifecycle_action import (
    ASK_AGAIN,
    LifecycleAction,
)
from photo_api.cloud.metadata import InstanceMetadata, Metadata, ask, look_up
from photo_api.cloud.query_api import LIMIT, TRIES, RoleClient
from photo_api.cloud.sigv4 import Credentials, sign_request
from photo_api.settings.loading import load
from photo_api.supervisor.termination import Termination
from tests.metadata_service import FakeCloud, cloud_settings, raw_server, running_cloud

METADATA = Metadata("aws", "10.20.30.40", "eu-north-1", "i-0123456789abcdef0")
COMPLETED = "CompleteLifecycleAction"
EXTENDED = "RecordLifecycleActionHeartbeat"


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    """With a group that waits for this machine's end."""
    with running_cloud("aws") as running:
        running.terminate()
        yield running


def action_of(
    cloud: FakeCloud, metadata: Metadata = METADATA, region: str | None = None, **changes: object
) -> LifecycleAction:
    settings = cloud_settings(cloud.url, **changes)
    return LifecycleAction(settings, RoleClient(settings, metadata, region))


def posts(cloud: FakeCloud) -> int:
    return cloud.asked.count("POST /")


def actions(cloud: FakeCloud) -> list[str]:
    return [form["Action"] for form in cloud.requests]


async def extended(action: LifecycleAction, seconds: float) -> None:
    """Held open until then, and no longer."""
    async with asyncio.timeout(seconds + 20):
        await action.keep_open(time.monotonic() + seconds)


@pytest.mark.parametrize("group", ["photos", "photos/blue green+1 ü~*"])
async def test_the_group_is_told_in_a_signed_request(cloud: FakeCloud, group: str) -> None:
    cloud.hook.group = group
    action = action_of(cloud, autoscaling_group=group)
    await extended(action, 0.01)
    assert await action.complete()
    told = {
        "Version": "2011-01-01",
        "AutoScalingGroupName": group,
        "LifecycleHookName": "drain",
        "InstanceId": "i-0123456789abcdef0",
    }
    continued = {"Action": COMPLETED, "LifecycleActionResult": "CONTINUE"}
    assert cloud.requests == [{"Action": EXTENDED, **told}, {**continued, **told}]
    assert cloud.hook.results == ["CONTINUE"]


async def test_heartbeats_hold_an_action_open_until_it_is_completed(cloud: FakeCloud) -> None:
    cloud.hook.timeout = 2.0
    cloud.terminate()
    action = action_of(cloud, lifecycle_heartbeat=1.2)
    await extended(action, 2.9)
    assert 5 <= len(cloud.hook.heartbeats) <= 9
    assert await action.complete()
    assert cloud.hook.results == ["CONTINUE"]


async def test_heartbeats_that_fail_are_told_once_and_end_nothing(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    cloud.faults.statuses.extend([403] * 2)
    cloud.hook.timeout = 60.0
    cloud.terminate()
    await extended(action_of(cloud, lifecycle_heartbeat=0.3), 0.9)
    told = [record.message for record in caplog.records if "lifecycle" in record.message]
    refused = "lifecycle action not extended: status 403 AccessDenied"
    assert told == [refused, "lifecycle action extended"]
    assert len(cloud.hook.heartbeats) >= 3


async def test_nothing_is_told_where_nothing_is_open(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    """A deployment stops instances too, and the API knows no action to complete then."""
    cloud.target_state = "InService"
    action = action_of(cloud, lifecycle_heartbeat=0.3)
    await extended(action, 0.3)
    assert not await action.complete(time.monotonic() + 60)
    assert posts(cloud) == 0
    assert "lifecycle" not in caplog.text


async def test_an_action_that_opens_late_is_completed(cloud: FakeCloud) -> None:
    """The machine is told before the group's balancer has let go of it, and is ready first."""
    cloud.hook = type(cloud.hook)()
    action = action_of(cloud)
    await extended(action, 0.01)
    completing = asyncio.create_task(action.complete(time.monotonic() + 60))
    async with asyncio.timeout(20):
        while actions(cloud) != [EXTENDED, COMPLETED]:
            await asyncio.sleep(0.02)
    cloud.hook.open()
    assert await completing
    assert cloud.hook.results == ["CONTINUE"]


async def test_an_action_that_never_opens_is_not_waited_for_beyond_the_limit(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.hook = type(cloud.hook)()
    until = time.monotonic() + ASK_AGAIN + LIMIT + 0.5
    assert not await action_of(cloud).complete(until)
    assert time.monotonic() < until
    assert actions(cloud) == [COMPLETED] * 2
    assert "not completed: the group has no action open for this machine" in caplog.text


async def test_an_answer_that_was_lost_is_no_failure(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    """The action was open, and is not any more when the request comes for the second time."""
    caplog.set_level(logging.INFO)
    action = action_of(cloud)
    extending = asyncio.create_task(action.keep_open(time.monotonic() + 60))
    async with asyncio.timeout(20):
        while "lifecycle action extended" not in caplog.text:
            await asyncio.sleep(0.02)
    extending.cancel()
    cloud.faults.lost.append("after")
    assert await action.complete(time.monotonic() + 60)
    assert actions(cloud) == [EXTENDED, COMPLETED, COMPLETED]
    assert cloud.hook.results == ["CONTINUE"]
    assert "lifecycle action over, completed by a request whose answer was lost" in caplog.text


async def test_an_answer_that_was_lost_of_an_action_that_nobody_saw_is_not_told_as_a_failure(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.faults.lost.append("after")
    assert not await action_of(cloud).complete()
    assert cloud.hook.results == ["CONTINUE"]
    assert "lifecycle action perhaps completed: an answer was lost, and none is open" in caplog.text
    assert "not completed" not in caplog.text


async def test_a_request_that_was_lost_before_it_was_obeyed_is_repeated(cloud: FakeCloud) -> None:
    cloud.faults.lost.extend(["before", "before"])
    assert await action_of(cloud).complete()
    assert cloud.hook.results == ["CONTINUE"]


@pytest.mark.slow
async def test_a_slow_metadata_service_cuts_no_request(cloud: FakeCloud) -> None:
    """All that is asked before the request takes almost as long as tries may begin."""
    cloud.delay = 1.1
    assert await action_of(cloud).complete(time.monotonic() + 60)
    assert posts(cloud) == 1


async def test_an_action_that_timed_out_is_told_as_over(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.hook.timeout = 0.5
    action = action_of(cloud)
    await extended(action, 0.01)
    await asyncio.sleep(0.6)
    assert await action.complete(time.monotonic() + 60)
    assert actions(cloud) == [EXTENDED, COMPLETED]
    assert cloud.hook.results == ["ABANDON"]
    assert "lifecycle action over: its timeout has passed, or somebody completed it" in caplog.text


async def test_the_fake_accepts_no_other_signature(cloud: FakeCloud) -> None:
    key = await fetch_role_credentials(InstanceMetadata(cloud.url))
    wrong = Credentials(key.access_key, "wrong", key.session_token)
    form = {"Action": EXTENDED, "Version": "2011-01-01", "AutoScalingGroupName": "photos"}
    form |= {"LifecycleHookName": "drain", "InstanceId": cloud.instance_id}
    body = urlencode(form).encode()

    async def status(key: Credentials, body: bytes, region: str, age: float = 0) -> int:
        signed = urlencode(form).encode()
        url, headers = f"{cloud.url}/", {"Content-Type": "application/x-www-form-urlencoded"}
        now = time.time() - age
        headers = sign_request("POST", url, headers, signed, key, region, now, "autoscaling")
        return (await ask("POST", url, headers, body)).status

    assert await status(key, body, cloud.region) == 200
    assert await status(wrong, body, cloud.region) == 403
    assert await status(key, body + b"&Extra=1", cloud.region) == 403
    assert await status(key, body, "us-east-1") == 403
    assert await status(key, body, cloud.region, age=3600) == 403


@pytest.mark.parametrize("ahead", [3600, -86_400])
async def test_a_clock_that_is_off_is_set_by_the_api(
    cloud: FakeCloud, ahead: float, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.clock = ahead
    assert await action_of(cloud).complete()
    assert posts(cloud) == 2
    told = re.search(r"this machine's clock is off by (-?\d+) s", caplog.text)
    assert told
    assert ahead - 60 <= int(told[1]) <= ahead  # the machine may be slow, and dates are whole


@pytest.mark.parametrize(
    "failures",
    [
        [500],
        [(500, "ResourceContention"), 503],
        [400, (400, "RequestExpired"), 400],
        [(403, "ExpiredToken")],
    ],
)
async def test_passing_failures_of_the_api_are_tried_again(
    cloud: FakeCloud, failures: list[int | tuple[int, str]]
) -> None:
    cloud.faults.statuses.extend(failures)
    assert await action_of(cloud).complete()
    assert posts(cloud) == len(failures) + 1


async def test_a_refusal_is_asked_about_seldom_and_not_beyond_the_limit(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.faults.statuses.extend([403] * 9)
    until = time.monotonic() + ASK_AGAIN + LIMIT + 0.5
    assert not await action_of(cloud).complete(until)
    assert posts(cloud) == 2
    assert "lifecycle action not completed: status 403 AccessDenied" in caplog.text


async def test_a_refusal_that_passes_is_waited_out(cloud: FakeCloud) -> None:
    """A new key, or a right that was given just now, is not known everywhere at once."""
    cloud.faults.statuses.extend([(403, "InvalidClientTokenId")])
    assert await action_of(cloud).complete(time.monotonic() + 60)
    assert cloud.hook.results == ["CONTINUE"]


@pytest.mark.parametrize("state", [None, "InService"])
async def test_a_group_that_was_heard_to_terminate_the_machine_is_told_whatever_is_said_later(
    cloud: FakeCloud, state: str | None
) -> None:
    action = action_of(cloud)
    await extended(action, 0.01)
    cloud.target_state = state
    assert await action.complete()
    assert cloud.hook.results == ["CONTINUE"]


def termination_of(cloud: FakeCloud, metadata: Metadata | None) -> Termination:
    settings = load(
        {
            "PHOTO_API_DATABASE_URL": "postgresql://127.0.0.1/photos",
            "PHOTO_API_S3_ENDPOINT": "http://127.0.0.1",
            "PHOTO_API_S3_REGION": "eu-north-1",
            "PHOTO_API_S3_BUCKET": "photos",
            "PHOTO_API_JWT_KEYS": f"a:{secrets.token_hex(32)}",
            "PHOTO_API_SECRET_KEYS": f"a:{secrets.token_hex(32)}",
        }
    )
    return Termination(replace(settings, cloud=cloud_settings(cloud.url)), {}, metadata)


async def test_a_notice_counts_whatever_is_said_later(cloud: FakeCloud) -> None:
    termination = termination_of(cloud, METADATA)
    told: list[str] = []
    await termination.follow(told.append, told.append)
    assert told == ["termination notice: target-lifecycle-state Terminated"]
    cloud.target_state = None
    await termination.complete(asyncio.Event())
    assert cloud.hook.results == ["CONTINUE"]


async def test_metadata_that_come_back_at_the_end_complete_the_hook(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    """They never answered before: the instance drained for SIGTERM, as machines that end do."""
    cloud.status = 503
    termination = termination_of(cloud, None)
    await termination.complete(asyncio.Event())
    assert "nobody knows whether the group waits: there are no metadata" in caplog.text
    cloud.status = 200
    await termination.complete(asyncio.Event())
    assert cloud.hook.results == ["CONTINUE"]


async def test_failures_that_last_are_given_up_within_the_limit(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.faults.statuses.extend([500] * 99)
    assert not await action_of(cloud).complete()
    assert 2 <= posts(cloud) <= 5
    assert "lifecycle action not completed: status 500 InternalFailure" in caplog.text
    cloud.shutdown()
    cloud.server_close()
    assert not await action_of(cloud).complete()
    assert "lifecycle action not completed: ConnectionRefusedError" in caplog.text


@pytest.mark.slow
async def test_an_outage_of_the_api_is_waited_out(cloud: FakeCloud) -> None:
    cloud.faults.statuses.extend([503] * 5)
    assert await action_of(cloud).complete(time.monotonic() + 60)
    assert posts(cloud) == 6
    assert cloud.hook.results == ["CONTINUE"]


async def test_an_api_that_never_answers_is_given_up_at_the_limit(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_api, "TRIES", 0.5)
    with raw_server(keep_open=True) as silent:
        began = time.monotonic()
        assert not await action_of(cloud, autoscaling_url=silent).complete()
        assert time.monotonic() - began < LIMIT - TRIES + 0.5 + 2
    assert "lifecycle action not completed: TimeoutError" in caplog.text


async def test_a_page_of_a_proxy_completes_nothing(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>"
    with raw_server(page) as url:
        assert not await action_of(cloud, autoscaling_url=url).complete()
    assert "not completed: the answer is none of Amazon's" in caplog.text


async def test_the_region_is_the_metadatas_before_the_configured_one(cloud: FakeCloud) -> None:
    assert await action_of(cloud, region="our cellar").complete()
    unknown = Metadata("aws", None, None, METADATA.instance_id)
    cloud.terminate()
    assert await action_of(cloud, unknown, cloud.region).complete()
    assert posts(cloud) == 2
    assert not await action_of(cloud, unknown, "evil.example/").complete()
    assert not await action_of(cloud, unknown, None).complete()
    assert posts(cloud) == 2


async def test_no_key_gets_into_the_logs(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await look_up(cloud_settings(cloud.url))
    assert await action_of(cloud).complete()
    cloud.faults.statuses.extend([403])
    assert not await action_of(cloud).complete()
    cloud.secret_key = "a\nb"
    await action_of(cloud).complete()
    cloud.session_token = "s3ss10n\r\nX-Evil: 1"
    await action_of(cloud).complete()
    for secret in (cloud.access_key, cloud.secret_key, "s3ss10n", *cloud.tokens):
        assert secret not in caplog.text

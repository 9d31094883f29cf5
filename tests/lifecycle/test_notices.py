"""A machine that is about to be terminated learns of it, drains, and says when it is done."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import botocore.session
import pytest

from photo_api.cloud.credentials import fetch_role_credentials
from photo_api.cloud.metadata import InstanceMetadata, Metadata, ask, look_up
from photo_api.cloud.notices import (
    COMPLETION_LIMIT,
    autoscaling_endpoint,
    complete_lifecycle_action,
    notice,
)
from photo_api.cloud.sigv4 import Credentials, sign_request
from tests.metadata_service import FakeCloud, cloud_settings, raw_server, running_cloud
from tests.own_stage import ask as ask_database
from tests.service import Service, eventually

METADATA = Metadata("aws", "10.20.30.40", "eu-north-1", "i-0123456789abcdef0")
SPOT = '{"action": "%s", "time": "2026-09-18T08:22:00Z"}'


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with running_cloud("aws") as running:
        yield running


async def noticed(cloud: FakeCloud, seconds: float = 20.0) -> str:
    return await asyncio.wait_for(notice(cloud_settings(cloud.url)), seconds)


async def looks(cloud: FakeCloud, number: int) -> None:
    """Wait until the service has been asked this often from now on."""
    enough = len(cloud.asked) + 2 * number
    async with asyncio.timeout(20):
        while len(cloud.asked) < enough:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("state", ["Terminated", "Warmed:Terminated"])
async def test_a_group_that_terminates_the_machine_is_noticed(cloud: FakeCloud, state: str) -> None:
    cloud.target_state = state
    assert await noticed(cloud) == f"termination notice: target-lifecycle-state {state}"


@pytest.mark.parametrize("action", ["terminate", "stop", "hibernate"])
async def test_a_spot_interruption_is_noticed(cloud: FakeCloud, action: str) -> None:
    cloud.target_state, cloud.spot = None, SPOT % action
    assert await noticed(cloud) == f"termination notice: spot {action} at 2026-09-18T08:22:00Z"


async def test_a_spot_interruption_at_an_odd_time_is_noticed_all_the_same(cloud: FakeCloud) -> None:
    cloud.spot = '{"action": "terminate", "time": "soon\\nand more"}'
    assert await noticed(cloud) == "termination notice: spot terminate"


async def test_without_a_notice_it_is_waited_on(cloud: FakeCloud) -> None:
    waiting = asyncio.create_task(noticed(cloud, 60))
    for cloud.target_state in ("InService", "Standby", "Detached", None):
        await looks(cloud, 3)
        assert not waiting.done()
    cloud.target_state = "Terminated"
    assert await waiting


async def test_an_outage_is_waited_out_with_one_warning(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = asyncio.create_task(noticed(cloud, 60))
    for _ in range(2):
        cloud.status = 503
        await looks(cloud, 4)
        cloud.status = 200
        await looks(cloud, 4)
    assert not waiting.done()
    cloud.target_state = "Terminated"
    assert await waiting
    warnings = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["termination notices cannot be read: status 503"] * 2


async def test_a_forgotten_session_hides_no_notice(cloud: FakeCloud) -> None:
    waiting = asyncio.create_task(noticed(cloud, 60))
    await looks(cloud, 2)
    cloud.tokens.clear()
    cloud.target_state = "Terminated"
    assert await waiting


async def test_a_place_that_fails_does_not_hide_what_the_other_says(cloud: FakeCloud) -> None:
    cloud.target_state, cloud.spot = "Terminated", "<html>"
    assert await noticed(cloud) == "termination notice: target-lifecycle-state Terminated"
    cloud.broken, cloud.spot = {"autoscaling/target-lifecycle-state"}, SPOT % "terminate"
    assert (await noticed(cloud)).startswith("termination notice: spot terminate")


async def complete(cloud: FakeCloud, **changes: str) -> bool:
    settings = cloud_settings(cloud.url, **changes)
    return await complete_lifecycle_action(settings, METADATA, None)


def posts(cloud: FakeCloud) -> int:
    return cloud.asked.count("POST /")


@pytest.mark.parametrize("group", ["photos", "photos/blue green+1 ü~*"])
async def test_the_group_is_told_in_a_signed_request(cloud: FakeCloud, group: str) -> None:
    cloud.target_state = "Terminated"
    assert await complete(cloud, autoscaling_group=group)
    assert cloud.completed == [
        {
            "Action": "CompleteLifecycleAction",
            "Version": "2011-01-01",
            "AutoScalingGroupName": group,
            "LifecycleHookName": "drain",
            "LifecycleActionResult": "CONTINUE",
            "InstanceId": "i-0123456789abcdef0",
        }
    ]


async def test_the_fake_accepts_no_other_signature(cloud: FakeCloud) -> None:
    cloud.target_state = "Terminated"
    key = await fetch_role_credentials(InstanceMetadata(cloud.url))
    wrong = Credentials(key.access_key, "wrong", key.session_token)
    form = {"Action": "CompleteLifecycleAction", "Version": "2011-01-01"}
    form["InstanceId"] = cloud.instance_id
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


@pytest.mark.parametrize("statuses", [[500], [429, 503], [400, 400, 400]])
async def test_passing_failures_of_the_api_are_tried_again(
    cloud: FakeCloud, statuses: list[int]
) -> None:
    cloud.target_state = "Terminated"
    cloud.api_statuses.extend(statuses)
    assert await complete(cloud)
    assert posts(cloud) == len(statuses) + 1


async def test_a_role_without_the_right_is_not_tried_again(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.target_state = "Terminated"
    cloud.api_statuses.extend([403] * 9)
    assert not await complete(cloud)
    assert posts(cloud) == 1
    assert "lifecycle action not completed: status 403 AccessDenied" in caplog.text


async def test_failures_that_last_are_given_up_within_the_limit(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.target_state = "Terminated"
    cloud.api_statuses.extend([500] * 99)
    assert not await complete(cloud)
    assert 2 <= posts(cloud) <= 5
    assert "lifecycle action not completed: status 500 InternalFailure" in caplog.text
    cloud.shutdown()
    cloud.server_close()
    assert not await complete(cloud)
    assert "lifecycle action not completed: ConnectionRefusedError" in caplog.text


async def test_an_api_that_never_answers_is_given_up_at_the_limit(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.target_state = "Terminated"
    with raw_server(keep_open=True) as silent:
        began = time.monotonic()
        assert not await complete(cloud, autoscaling_url=silent)
        assert time.monotonic() - began < COMPLETION_LIMIT + 2
    assert "lifecycle action not completed: TimeoutError" in caplog.text


async def test_nothing_is_completed_that_is_not_open(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    """A deployment stops instances too, and the API knows no action to complete then."""
    assert not await complete(cloud)
    cloud.target_state = "Terminated"
    assert not await complete(cloud, autoscaling_group="", lifecycle_hook="")
    settings = cloud_settings(cloud.url)
    assert not await complete_lifecycle_action(settings, None, "eu-north-1")
    openstack = Metadata("openstack", None, "kr-pub-a", "a-uuid")
    assert not await complete_lifecycle_action(settings, openstack, "kr-pub-a")
    assert posts(cloud) == 0
    assert "ERROR" not in caplog.text


async def test_the_region_is_the_metadatas_before_the_configured_one(cloud: FakeCloud) -> None:
    cloud.target_state = "Terminated"
    settings = cloud_settings(cloud.url)
    assert await complete_lifecycle_action(settings, METADATA, "our cellar")
    unknown = Metadata("aws", None, None, METADATA.instance_id)
    assert await complete_lifecycle_action(settings, unknown, cloud.region)
    assert posts(cloud) == 2
    assert not await complete_lifecycle_action(settings, unknown, "evil.example/")
    assert not await complete_lifecycle_action(settings, unknown, None)
    assert posts(cloud) == 2


async def test_no_key_gets_into_the_logs(
    cloud: FakeCloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cloud.target_state = "Terminated"
    await look_up(cloud_settings(cloud.url))
    assert await complete(cloud)
    cloud.api_statuses.extend([403])
    assert not await complete(cloud)
    cloud.secret_key = "a\nb"
    await complete(cloud)
    cloud.session_token = "s3ss10n\r\nX-Evil: 1"
    await complete(cloud)
    for secret in (cloud.access_key, cloud.secret_key, "s3ss10n", *cloud.tokens):
        assert secret not in caplog.text


@pytest.mark.parametrize("region", ["us-east-1", "eu-north-1", "us-gov-west-1", "cn-north-1"])
def test_the_regions_endpoints_are_botocores(region: str) -> None:
    client = botocore.session.get_session().create_client(
        "autoscaling", region, aws_access_key_id="x", aws_secret_access_key="x"
    )
    assert autoscaling_endpoint(region) == client.meta.endpoint_url


def served(
    cloud: FakeCloud, start_service: Callable[..., Service], **settings: str
) -> tuple[Service, str]:
    """An instance on this cloud's machine, and its name in the registry."""
    cloud.address = ".".join(["10", *(str(random.randrange(1, 255)) for _ in range(3))])
    service = start_service(
        METADATA_URL=cloud.url,
        METADATA_TIMEOUT="10",
        NOTICE_INTERVAL="0.2",
        AUTOSCALING_GROUP="photos",
        LIFECYCLE_HOOK="drain",
        AUTOSCALING_URL=cloud.url,
        **settings,
    )
    return service, cloud.address


def row(service: Service, name: str) -> tuple[str, str | None, str | None]:
    statement = "SELECT state, cause, region FROM instances WHERE instance = $1"
    found = ask_database(service.environ, statement, name)
    assert len(found) == 1
    return tuple(found[0])


def test_a_termination_notice_drains_the_instance_and_completes_the_hook(
    cloud: FakeCloud, start_service: Callable[..., Service]
) -> None:
    service, name = served(cloud, start_service)
    eventually(lambda: row(service, name) == ("ready", None, "eu-north-1"), 20)
    cloud.target_state = "Terminated"
    assert service.process.wait(60) == 0
    cause = "termination notice: target-lifecycle-state Terminated"
    assert row(service, name) == ("stopped", cause, "eu-north-1")
    events = ask_database(
        service.environ,
        "SELECT event, cause FROM instance_events WHERE instance = $1 ORDER BY id",
        name,
    )
    assert ("draining", cause) in [tuple(event) for event in events]
    assert [form["InstanceId"] for form in cloud.completed] == [cloud.instance_id]


def test_a_spot_notice_drains_the_instance(
    cloud: FakeCloud, start_service: Callable[..., Service]
) -> None:
    service, name = served(cloud, start_service)
    cloud.spot = SPOT % "terminate"
    assert service.process.wait(60) == 0
    cause = "termination notice: spot terminate at 2026-09-18T08:22:00Z"
    assert row(service, name)[:2] == ("stopped", cause)
    assert cloud.completed == []


def test_a_stop_that_is_no_termination_completes_no_hook(
    cloud: FakeCloud, start_service: Callable[..., Service]
) -> None:
    service, name = served(cloud, start_service)
    assert service.stop() == 0
    assert row(service, name)[:2] == ("stopped", "SIGTERM")
    assert (posts(cloud), cloud.completed) == (0, [])


def test_metadata_that_comes_late_at_boot_is_asked_for_again(
    cloud: FakeCloud, start_service: Callable[..., Service]
) -> None:
    """The network of a machine may come up after its services."""
    cloud.status = 503
    name = f"127.0.3.{random.randrange(1, 255)}"
    service, _ = served(cloud, start_service, INSTANCE_IP=name)
    assert row(service, name)[2] is None
    cloud.status = 200
    eventually(lambda: row(service, name) == ("ready", None, "eu-north-1"), 30)
    cloud.target_state = "Terminated"
    assert service.process.wait(60) == 0
    assert row(service, name)[1] == "termination notice: target-lifecycle-state Terminated"
    assert [form["InstanceId"] for form in cloud.completed] == [cloud.instance_id]

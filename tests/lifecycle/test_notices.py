"""A machine that is about to be terminated learns of it, and drains."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterator

import pytest

from photo_api.cloud.notices import notice
from tests.metadata_service import BALANCING, FakeCloud, cloud_settings, running_cloud
from tests.own_stage import ask as ask_database
from tests.service import Service, eventually

SPOT = '{"action": "%s", "time": "2026-09-18T08:22:00Z"}'


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with running_cloud("aws") as running:
        yield running


async def noticed(cloud: FakeCloud, seconds: float = 20.0) -> str:
    return (await asyncio.wait_for(notice(cloud_settings(cloud.url)), seconds)).what


async def looks(cloud: FakeCloud, number: int) -> None:
    """Wait until the service has been asked this often from now on."""
    enough = len(cloud.asked) + 2 * number
    async with asyncio.timeout(20):
        while len(cloud.asked) < enough:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("state", ["Terminated", "Warmed:Terminated"])
async def test_a_group_that_terminates_the_machine_is_noticed(cloud: FakeCloud, state: str) -> None:
    cloud.target_state = state
    assert await noticed(cloud) == f"target-lifecycle-state {state}"


@pytest.mark.parametrize("action", ["terminate", "stop", "hibernate"])
async def test_a_spot_interruption_is_noticed(cloud: FakeCloud, action: str) -> None:
    cloud.target_state, cloud.spot = None, SPOT % action
    assert await noticed(cloud) == f"spot {action} at 2026-09-18T08:22:00Z"


async def test_a_spot_interruption_at_an_odd_time_is_noticed_all_the_same(cloud: FakeCloud) -> None:
    cloud.spot = '{"action": "terminate", "time": "soon\\nand more"}'
    assert await noticed(cloud) == "spot terminate"


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
    assert await noticed(cloud) == "target-lifecycle-state Terminated"
    cloud.broken, cloud.spot = {"autoscaling/target-lifecycle-state"}, SPOT % "terminate"
    assert (await noticed(cloud)).startswith("spot terminate")


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
        LOAD_BALANCING_URL=cloud.url + BALANCING,
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
    cloud.terminate()
    assert service.process.wait(60) == 0
    cause = "termination notice: target-lifecycle-state Terminated"
    assert row(service, name) == ("stopped", cause, "eu-north-1")
    events = ask_database(
        service.environ,
        "SELECT event, cause FROM instance_events WHERE instance = $1 ORDER BY id",
        name,
    )
    assert ("draining", cause) in [tuple(event) for event in events]
    assert cloud.hook.results == ["CONTINUE"]


def test_a_spot_notice_drains_the_instance(
    cloud: FakeCloud, start_service: Callable[..., Service]
) -> None:
    """Its group has not heard of it, and its balancer neither."""
    arn = cloud.groups.add("photos", cloud.instance_id)
    service, name = served(cloud, start_service, LAME_DUCK="1")
    cloud.spot = SPOT % "terminate"
    assert service.process.wait(60) == 0
    cause = "termination notice: spot terminate at 2026-09-18T08:22:00Z"
    assert row(service, name)[:2] == ("stopped", cause)
    assert not cloud.groups.targets[arn]
    assert cloud.hook.results == []


def test_a_stop_that_is_no_termination_completes_no_hook(
    cloud: FakeCloud, start_service: Callable[..., Service]
) -> None:
    """And deregisters nothing: nobody would register it again."""
    arn = cloud.groups.add("photos", cloud.instance_id)
    service, name = served(cloud, start_service)
    assert service.stop() == 0
    assert row(service, name)[:2] == ("stopped", "SIGTERM")
    assert cloud.requests == []
    assert cloud.groups.targets[arn]


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
    cloud.terminate()
    assert service.process.wait(60) == 0
    assert row(service, name)[1] == "termination notice: target-lifecycle-state Terminated"
    assert cloud.hook.results == ["CONTINUE"]

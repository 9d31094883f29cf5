"""Which instance is declared lost, by which, and on what proof."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest

from photo_api.registry import failure_detector, queries
from photo_api.registry import registration as module
from photo_api.registry.registration import Registration
from tests.lifecycle.fleet import OwnFleet, hanging, looked, vanished
from tests.lifecycle.test_drain import StartService
from tests.own_stage import ask
from tests.service import Service, eventually, free_port


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_detector, "ANSWER_WAIT", 0.5)


@pytest.fixture
async def judge(fleet: OwnFleet) -> Registration:
    """Whose heartbeats have come without a gap for long enough."""
    _, registry = fleet.start()
    await looked(registry)
    has_beaten_for(registry, queries.LOST_AFTER)
    return registry


def has_beaten_for(registry: Registration, seconds: float) -> None:
    registry._detector._unbroken_since = time.monotonic() - seconds


def port_of(service: Service) -> int:
    return int(service.url.rsplit(":", 1)[1])


@pytest.mark.parametrize("kind", ["refuses", "hangs", "vanished"])
@pytest.mark.parametrize("reaching", [True, False], ids=["reaching", "cut-off"])
async def test_the_proof_against_a_silent_instance(
    fleet: OwnFleet, judge: Registration, kind: str, reaching: bool
) -> None:
    """No answer proves nothing where no other instance's port can be reached either."""
    with vanished() as hole, vanished() as gone, hanging() as peer, hanging() as silent:
        ports = {"refuses": free_port(), "hangs": silent, "vanished": gone}
        await fleet.other(peer if reaching else hole)
        suspect = await fleet.other(ports[kind], silent=21)
        await looked(judge)
        lost = kind != "vanished" or reaching
        assert await fleet.state(suspect) == ("lost" if lost else "ready")


async def test_who_answers_is_not_lost_however_silent_its_heartbeat(
    fleet: OwnFleet, judge: Registration, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure_detector, "ANSWER_WAIT", 10.0)
    suspect = await fleet.other(port_of(service), silent=21)
    await looked(judge)
    assert await fleet.state(suspect) == "ready"


@pytest.mark.parametrize("known", [True, False])
async def test_the_last_of_all_declares_lost_whom_it_had_reached(
    fleet: OwnFleet, judge: Registration, service: Service, known: bool
) -> None:
    suspect = await fleet.other(port_of(service))
    if known:
        await looked(judge)
    with vanished() as hole:
        await fleet.do(
            "UPDATE instances SET port = $2, heartbeat_at = now() - interval '21 s'"
            " WHERE boot_id = $1::uuid",
            suspect, hole,
        )  # fmt: skip
        await looked(judge)
    assert await fleet.state(suspect) == ("lost" if known else "ready")


async def test_a_loopback_address_of_another_machine_is_not_asked_here(
    fleet: OwnFleet, judge: Registration, service: Service
) -> None:
    """It would answer for itself, or refuse in another's name."""
    suspects = [
        await fleet.other(port, silent=21, node="elsewhere")
        for port in (free_port(), port_of(service), judge._me.port)
    ]
    await looked(judge)
    assert [await fleet.state(one) for one in suspects] == ["ready"] * 3


@pytest.mark.parametrize("reaching", [True, False])
async def test_one_that_only_does_jobs_has_no_port_to_ask(
    fleet: OwnFleet, judge: Registration, service: Service, reaching: bool
) -> None:
    if reaching:
        await fleet.other(port_of(service))
    suspect = await fleet.other(0, silent=21, workers=0)
    await looked(judge)
    assert await fleet.state(suspect) == ("lost" if reaching else "ready")


async def test_whose_address_another_boot_has_is_lost(
    fleet: OwnFleet, judge: Registration, service: Service
) -> None:
    """What answers there is the other."""
    await fleet.other(port_of(service))
    suspect = await fleet.other(port_of(service), silent=21)
    await looked(judge)
    assert await fleet.state(suspect) == "lost"


async def test_a_gap_of_ones_own_begins_the_count_again(
    fleet: OwnFleet, judge: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All stood still; the first to wake finds the others silent."""
    suspect = await fleet.other(free_port(), silent=22)
    await fleet.do(
        "UPDATE instances SET heartbeat_at = now() - interval '22 s' WHERE boot_id = $1::uuid",
        judge._me.boot_id,
    )
    for _ in range(3):
        await looked(judge)
    assert await fleet.state(suspect) == "ready"
    has_beaten_for(judge, queries.LOST_AFTER)
    await looked(judge)
    assert await fleet.state(suspect) == "lost"


async def test_what_was_seen_before_a_gap_proves_nothing(
    fleet: OwnFleet, judge: Registration, service: Service
) -> None:
    """It stands still in the middle of a look, and finds no answer when it wakes."""
    await fleet.other(port_of(service))
    with vanished() as hole:
        suspect = await fleet.other(hole, silent=21)
        assert await judge.flush()
        await asyncio.sleep(0.1)
        await fleet.do(
            "UPDATE instances SET heartbeat_at = now() - interval '22 s' WHERE boot_id = $1::uuid",
            judge._me.boot_id,
        )
        await looked(judge)
    assert await fleet.state(suspect) == "ready"


async def test_eleven_vanished_machines_hold_no_heartbeat_up(
    fleet: OwnFleet, judge: Registration, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are asked at the same time, beside the heartbeat, and are all lost after one look."""
    monkeypatch.setattr(module, "HEARTBEAT", 0.05)
    monkeypatch.setattr(failure_detector, "ANSWER_WAIT", 1.0)
    await fleet.other(port_of(service))
    with ExitStack() as holes:
        ports = [holes.enter_context(vanished()) for _ in range(11)]
        suspects = [await fleet.other(port, silent=21) for port in ports]
        assert await judge.flush()
        looking = judge._detector._looking
        assert looking is not None
        beats = 0
        while not looking.done():
            assert await judge.flush()
            assert judge._detector._looking is looking or looking.done(), "one look at a time"
            beats += 1
            await asyncio.sleep(0.01)
        assert beats > 1
    assert {await fleet.state(one) for one in suspects} == {"lost"}


async def test_one_that_reaches_nobody_says_so_once(
    fleet: OwnFleet, judge: Registration, service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    boot = judge._me.boot_id
    with vanished() as hole:
        other = await fleet.other(hole)
        for _ in range(failure_detector.CUT_OFF_AFTER + 1):
            await looked(judge)
        cause = f"no connection to 127.0.0.1:{hole}"
        assert (await fleet.events(boot))[1:] == [("peers_unreachable", cause)]
        assert sum("no other instance can be reached" in text for text in caplog.messages) == 1
    await fleet.do(
        "UPDATE instances SET port = $2 WHERE boot_id = $1::uuid", other, port_of(service)
    )
    await looked(judge)
    await looked(judge)
    assert [name for name, _ in await fleet.events(boot)][1:] == [
        *("peers_unreachable", "peers_reachable")
    ]


@pytest.mark.long
@pytest.mark.timeout(240)
def test_nobody_is_lost_when_all_stood_still(
    own: dict[str, str], start_service: StartService
) -> None:
    """For longer than the limit, and one wakes long before the other."""
    address = own["PHOTO_API_DATABASE_URL"]
    first, second = (start_service(DATABASE_URL=address) for _ in range(2))
    ask(own, "DELETE FROM instances WHERE port <> ALL ($1)", [port_of(first), port_of(second)])
    time.sleep(queries.LOST_AFTER + 6)  # both have become judges
    with _still(second):
        with _still(first):
            time.sleep(queries.LOST_AFTER + 2)
        time.sleep(6)
    for service in (first, second):
        eventually(service.is_healthy)
    time.sleep(3)
    assert not ask(own, "SELECT FROM instance_events WHERE event IN ('lost', 'recovered')")


@contextmanager
def _still(service: Service) -> Iterator[None]:
    """As a machine that is paused: all of its processes at once."""
    parent = psutil.Process(service.process.pid)
    processes = [parent, *parent.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()

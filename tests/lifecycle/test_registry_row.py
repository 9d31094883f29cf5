"""The registry's row is as the instance is, whatever happened to it meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from photo_api.registry import queries
from photo_api.registry import registration as module
from tests.lifecycle.databases import SlowPath, socket_of, through
from tests.lifecycle.fleet import OwnFleet
from tests.own_stage import ask
from tests.service import Service, eventually


@pytest.mark.parametrize("state", ["starting", "ready", "draining"])
@pytest.mark.parametrize(
    ("damage", "event"),
    [
        ("DELETE FROM instances", ("corrected", "its row was missing")),
        ("UPDATE instances SET state = 'starting'", ("corrected", "its row said state starting")),
        ("UPDATE instances SET state = 'ready'", ("corrected", "its row said state ready")),
        ("UPDATE instances SET state = 'draining'", ("corrected", "its row said state draining")),
        ("UPDATE instances SET state = 'stopped'", ("corrected", "its row said state stopped")),
        ("UPDATE instances SET state = 'lost'", ("recovered", None)),
        ("UPDATE instances SET address = '10.9.9.9'", ("corrected", "address 10.9.9.9")),
        ("UPDATE instances SET port = 1, version = '0'", ("corrected", "version 0, port 1")),
    ],
)
async def test_a_row_that_is_gone_or_old_is_mended_by_the_next_heartbeat(
    fleet: OwnFleet, state: str, damage: str, event: tuple[str, str | None]
) -> None:
    boot, registry = fleet.start()
    if state != "starting":
        registry.change(state, state)
    assert await registry.flush()
    before = await fleet.row(boot)
    assert before["state"] == state
    events = await fleet.events(boot)
    await fleet.do(damage)
    assert await registry.flush()
    after = await fleet.row(boot)
    same = ("state", "instance", "address", "port", "version", "node", "workers")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert abs((after["started_at"] - before["started_at"]).total_seconds()) < 1
    (*earlier, last) = await fleet.events(boot)
    if damage.endswith(f"'{state}'"):
        assert [*earlier, last] == events, "it was as it should be"
        return
    assert (earlier, last[0]) == (events, event[0])
    assert (event[1] or "") in (last[1] or "")
    assert await registry.flush()
    assert len(await fleet.events(boot)) == len(events) + 1, "told once"


async def test_what_happens_while_there_is_no_row_is_written_down(fleet: OwnFleet) -> None:
    boot, registry = fleet.start()
    registry.change("ready", "ready")
    assert await registry.flush()
    await fleet.do("DELETE FROM instances")
    registry.note("worker_died", "web-1 exited with 1")
    registry.change("draining", "draining", "SIGTERM")
    registry.change("stopped", "stopped", "SIGTERM")
    assert await registry.flush()
    assert await fleet.state(boot) == "stopped"
    assert [name for name, _ in await fleet.events(boot)] == [
        *("started", "ready", "worker_died", "draining", "stopped", "corrected")
    ]


async def test_a_change_that_too_many_events_pushed_out_is_written_all_the_same(
    fleet: OwnFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PENDING", 3)
    boot, registry = fleet.start()
    registry.change("ready", "ready")
    for number in range(3):
        registry.note("worker_died", f"web-{number}")
    assert await registry.flush()
    assert await fleet.state(boot) == "ready"


async def test_a_row_that_ended_and_was_put_back_to_ready_is_lost(fleet: OwnFleet) -> None:
    """By hand, or by a backup; also when the next boot has the ended one's address."""
    boot, registry = fleet.start()
    registry.change("ready", "ready")
    registry.change("stopped", "stopped")
    assert await registry.flush()
    await fleet.do("UPDATE instances SET state = 'ready', heartbeat_at = now() - interval '1 h'")
    other, watching = fleet.start()
    assert await watching.flush()
    me = watching._me
    suspects = await queries.suspects(fleet.connection, other, 9)
    assert [(row["boot_id"], row["replaced"]) for row in suspects] == [(boot, False)]
    await fleet.do("UPDATE instances SET port = $1", me.port)
    suspects = await queries.suspects(fleet.connection, other, 9)
    assert [(row["boot_id"], row["replaced"]) for row in suspects] == [(boot, True)]
    assert await queries.declare_lost(fleet.connection, [boot], me) == [boot]


async def test_a_change_wakes_the_writer_until_it_is_written(
    own: dict[str, str], fleet: OwnFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first write hangs: the second does not wait for the next heartbeat."""
    monkeypatch.setattr(module, "HEARTBEAT", 1000.0)
    monkeypatch.setattr(module, "TIME_BOX", 1.0)
    path = SlowPath(socket_of(own))
    async with path.open() as port:
        boot, registry = fleet.start(through(own, port))
        registry.change("ready", "ready")
        keeping = asyncio.create_task(registry.keep())
        await _until(lambda: fleet.state(boot), "ready")
        async with registry._busy:  # that heartbeat is over
            path.delay = 1000.0
        registry.change("draining", "draining", "SIGTERM")
        for busy in (True, False):
            async with asyncio.timeout(30):
                while registry._busy.locked() is not busy:
                    await asyncio.sleep(0)
        assert await fleet.state(boot) == "ready"
        path.delay = 0.0
        await _until(lambda: fleet.state(boot), "draining")
        keeping.cancel()
        await registry.close()


async def test_the_connection_has_one_user_at_a_time(
    fleet: OwnFleet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queries, "LOST_AFTER", 0.0)
    boot, registry = fleet.start()
    await fleet.other(1, silent=60)
    registry.change("ready", "ready")
    assert await registry.flush()

    async def use() -> None:
        for _ in range(10):
            assert await registry.flush()
            assert await registry.removals() == (0, 0)

    await asyncio.gather(*(use() for _ in range(5)))
    last = asyncio.create_task(registry.flush())
    await asyncio.sleep(0)
    await registry.close()
    assert await last
    assert not caplog.messages or caplog.messages == ["declared lost"]
    assert await fleet.state(boot) == "ready"


def test_a_service_whose_row_was_deleted_is_ready_again(service: Service) -> None:
    port = int(service.url.rsplit(":", 1)[1])
    row = "SELECT state FROM instances WHERE port = $1 AND state <> 'stopped'"
    eventually(lambda: [one["state"] for one in ask(service.environ, row, port)] == ["ready"])
    ask(service.environ, "DELETE FROM instances WHERE port = $1", port)
    found = eventually(lambda: ask(service.environ, row, port), 30)
    assert [one["state"] for one in found] == ["ready"]
    assert "the registry had no row of this instance" in service.log


async def _until(probe: Callable[[], Awaitable[object]], wanted: object) -> None:
    async with asyncio.timeout(30):
        while await probe() != wanted:
            await asyncio.sleep(0.01)

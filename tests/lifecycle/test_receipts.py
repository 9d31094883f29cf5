"""Each end of an instance leaves one record, in the registry and in the log."""

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import psutil
import pytest

from photo_api.registry import leases, queries, receipts
from photo_api.registry.receipts import Receipt
from tests.lifecycle.clients import clients
from tests.lifecycle.databases import SlowPath, socket_of, through
from tests.lifecycle.fleet import OwnFleet, hanging
from tests.lifecycle.receipts import held, told
from tests.service import Service, eventually, serving

KNOWN = Receipt(
    "drained", "SIGTERM", 7, 6, 1, 0, 2, 2, "removed", 4.5, 0.1, 2.0, 1.5, 1.0, 1, 0, 0,
)  # fmt: skip


async def found(fleet: OwnFleet, boot: str) -> dict[str, Any]:
    query = "SELECT * FROM instance_receipts WHERE boot_id = $1::uuid"
    (row,) = await fleet.connection.fetch(query, boot)
    return dict(row)


def test_a_drain_under_load_accounts_for_every_request(
    start_service: Callable[..., Service],
) -> None:
    """Also for those of a recycled worker; the cause is that of the first who asked."""
    service = start_service("--workers", "2", LAME_DUCK="1", RECYCLE_AFTER="100")
    eventually(lambda: '"message":"ready"' in service.log)
    with clients(8, service.url, "/health/live", {}) as busy:
        eventually(lambda: "process replaced" in service.log, 60)
        service.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        service.process.send_signal(signal.SIGINT)  # the same wish
        assert service.process.wait(30) == 0
    receipt = held(service)
    assert (receipt["ending"], receipt["cause"]) == ("drained", "SIGTERM")
    assert (receipt["requests_cut"], receipt["untold"], receipt["was_ready"]) == (0, 0, True)
    answered = sum(sum(client.outcomes.values()) for client in busy)
    assert receipt["requests_finished"] >= answered - len(busy)
    assert (receipt["lame_duck_end"], receipt["balancers"]) == ("elapsed", 0)
    assert receipt["lame_duck_s"] >= 1
    phases = ("lame_duck_s", "in_flight_s", "flush_s")
    drain = (receipt["ended_at"] - receipt["asked_at"]).total_seconds()
    assert sum(receipt[name] for name in phases) == pytest.approx(drain, abs=3)
    assert receipt["registry_s"] is not None
    assert (receipt["jobs_handed_back"], receipt["jobs_kept"]) == (0, 0)
    assert receipt["log_lines_lost"] == 0


@pytest.mark.slow
def test_what_a_killed_worker_has_not_told_is_not_known(
    start_service: Callable[..., Service],
) -> None:
    service = start_service()
    eventually(lambda: '"message":"ready"' in service.log)
    service.children("photo_api.web_worker")[0].kill()
    eventually(lambda: "process died" in service.log)
    eventually(service.is_healthy, 30)
    assert service.stop() == 0
    receipt = held(service)
    assert (receipt["ending"], receipt["untold"]) == ("drained", 1)
    unknown = ("requests_cut", "log_lines_lost")
    assert {receipt[name] for name in unknown} == {None}
    assert receipt["in_flight_s"] is not None, "that death was before the drain"


def test_a_boot_that_never_became_ready_leaves_one_too(own: dict[str, str], tmp_path: Path) -> None:
    environ = own | {"PHOTO_API_LAME_DUCK": "0"}
    with serving(environ, tmp_path / "log") as service:
        eventually(lambda: "SIGTERM" in _handled(service), 30)
        assert service.stop() == 0
        receipt = held(service)
    assert (receipt["was_ready"], receipt["cause"]) == (False, "SIGTERM")


def _handled(service: Service) -> str:
    """Whether its supervisor has installed its handlers, as the kernel tells it."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return "SIGTERM" if caught >> (signal.SIGTERM - 1) & 1 else ""


async def test_the_lost_leave_one_of_which_nothing_is_known(fleet: OwnFleet) -> None:
    """Nothing is 0 that nobody counted; one that lives after all has not ended."""
    boot, registry = fleet.start()
    registry.change("ready", "ready")
    assert await registry.flush()
    _, watching = fleet.start()
    assert await watching.flush()
    await fleet.do(
        "UPDATE instances SET heartbeat_at = now() - interval '1 h' WHERE boot_id = $1::uuid", boot
    )
    assert await queries.declare_lost(fleet.connection, [boot], watching._me) == [boot]
    receipt = await found(fleet, boot)
    assert (receipt["ending"], receipt["cause"], receipt["was_ready"]) == ("lost", "silent", True)
    known = {"boot_id", "instance", "version", "written_at", "ending", "cause", "was_ready"}
    assert {name for name, value in receipt.items() if value is not None} == {*known, "started_at"}
    assert await registry.flush()
    assert not await fleet.connection.fetch("SELECT FROM instance_receipts"), "it is back"
    await fleet.do("UPDATE instances SET state = 'lost' WHERE boot_id = $1::uuid", boot)
    assert await registry.end(KNOWN)
    assert (await found(fleet, boot))["ending"] == "drained", "it knew better"


async def test_to_leave_one_reads_few_events_however_many_there_are(fleet: OwnFleet) -> None:
    """Many may be lost at once, and whoever declares them has two seconds for it."""
    boot, registry = fleet.start()
    assert await registry.flush()
    await fleet.do("UPDATE instances SET started_at = now() - interval '1 h'")
    await fleet.do(
        "INSERT INTO instance_events (boot_id, instance, event) SELECT gen_random_uuid(), 'i',"
        " (ARRAY['ready', 'draining'])[1 + n % 2] FROM generate_series(1, 10000) n"
    )
    await fleet.do("ANALYZE instance_events")
    read = (
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables"
        " WHERE relname = 'instance_events'"
    )
    async with fleet.connection.transaction():
        await fleet.do("UPDATE instances SET state = 'lost'")
        assert await fleet.connection.fetchval(read) < 100
    assert (await found(fleet, boot))["ending"] == "lost"


async def test_of_a_row_too_old_to_be_declared_lost_one_is_left(fleet: OwnFleet) -> None:
    boot, registry = fleet.start()
    assert await registry.flush()
    await fleet.do("UPDATE instances SET heartbeat_at = now() - interval '8 days'")
    lease = await leases.acquire(fleet.connection, str(uuid4()), "test", 60)
    assert lease is not None
    await queries.prune(fleet.connection, lease)
    assert await fleet.connection.fetchval("SELECT count(*) FROM instances") == 0
    receipt = await found(fleet, boot)
    assert (receipt["ending"], receipt["was_ready"]) == ("lost", False)


async def test_receipts_are_bounded_by_age_and_number(
    fleet: OwnFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "MOST_KEPT", 3)
    lease = await leases.acquire(fleet.connection, str(uuid4()), "test", 60)
    assert lease is not None
    for days in (0, 1, 2, 3, 99, 101):
        await fleet.do(
            "INSERT INTO instance_receipts (boot_id, instance, version, ending, written_at)"
            " VALUES (gen_random_uuid(), 'i', '1', 'lost', now() - make_interval(days => $1))",
            days,
        )
    await receipts.prune(fleet.connection, lease)
    ages = "SELECT extract(day FROM now() - written_at)::int FROM instance_receipts ORDER BY 1"
    assert [row[0] for row in await fleet.connection.fetch(ages)] == [0, 1, 2]


class Deaf(SlowPath):
    """A relay through which the database gets everything, and on the next `lost` connections
    nothing comes back any more once a receipt was sent on it."""

    lost = 0
    deaf = False

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.deaf = False
        await super()._relay(reader, writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65_536):
                if self.deaf:
                    continue
                writer.write(piece)
                await writer.drain()
                if self.lost and b'"requests_cut"' in piece:
                    self.lost, self.deaf = self.lost - 1, True
        writer.close()


async def test_an_end_at_which_everything_hangs_keeps_to_its_time_and_tells_what_it_cut(
    environ: dict[str, str], start_service: Callable[..., Service]
) -> None:
    """The database, the collectors of lines and spans, and the Pushgateway, all at once."""
    path = SlowPath(socket_of(environ))
    with hanging() as port:
        deaf = f"http://127.0.0.1:{port}"
        sinks = {"LOG_LOKI_URL": deaf, "LOG_OTLP_URL": deaf, "TRACE_OTLP_URL": deaf}
        sinks |= {"TRACE_RATIO": "1", "PUSHGATEWAY": deaf}
        times = {"LAME_DUCK": "1", "DRAIN_WAIT": "1", "LOG_FLUSH": "2"}
        async with path.open() as relay:
            where = {"DATABASE_URL": through(environ, relay)}
            service = await asyncio.to_thread(start_service, "--no-jobs", **where, **sinks, **times)
            user = await asyncio.to_thread(service.new_user)
            path.delay = 600
            stuck = asyncio.create_task(asyncio.to_thread(user.api.get, "/albums/"))
            await asyncio.sleep(0.3)
            service.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(service.process.wait, 30)
            await asyncio.wait([stuck])
    receipt = told(service)
    assert receipt["lame_duck_s"] < 3
    assert (receipt["untold"], receipt["requests_cut"]) == (0, 1)


def test_a_supervisor_that_stood_still_beyond_the_limit_calls_no_drain_killed(
    start_service: Callable[..., Service],
) -> None:
    """As with its machine, which a cloud moves elsewhere: its processes have ended by themselves,
    and it hears of that and of the limit at the same moment."""
    service = start_service(DRAIN_WAIT="0.5", LOG_FLUSH="0.5")
    eventually(lambda: '"message":"ready"' in service.log)
    supervisor = psutil.Process(service.process.pid)
    children = supervisor.children()
    service.process.send_signal(signal.SIGTERM)
    eventually(lambda: '"message":"draining"' in service.log, pause=0.005)
    time.sleep(0.02)
    supervisor.suspend()
    try:
        time.sleep(3)
        eventually(lambda: {one.status() for one in children} == {psutil.STATUS_ZOMBIE})
    finally:
        supervisor.resume()
    assert service.process.wait(30) == 0
    receipt = held(service)
    assert (receipt["ending"], receipt["untold"]) == ("drained", 0)


@pytest.mark.parametrize("unanswered", [1, pytest.param(9, marks=pytest.mark.slow)])
async def test_a_commit_without_an_answer_leaves_one_receipt(
    own: dict[str, str], fleet: OwnFleet, unanswered: int
) -> None:
    """It is written again while there is time, to no further effect; then it is not known."""
    path = Deaf(socket_of(own))
    async with path.open() as port:
        boot, registry = fleet.start(through(own, port))
        registry.change("ready", "ready")
        assert await registry.flush()
        path.lost = unanswered
        began = time.monotonic()
        assert await registry.end(KNOWN) is (unanswered == 1)
        assert time.monotonic() - began < 30
        assert not path.lost or unanswered == 9
        await registry.close()
    receipt = await found(fleet, boot)
    assert (receipt["ending"], receipt["requests_cut"]) == ("drained", 1)
    assert await fleet.state(boot) == "stopped"
    assert [name for name, _ in await fleet.events(boot)].count("stopped") == 1


async def test_a_database_that_is_not_migrated_hears_of_the_end_all_the_same(
    fleet: OwnFleet,
) -> None:
    boot, registry = fleet.start()
    assert await registry.flush()
    await fleet.do("ALTER TABLE instance_receipts RENAME TO later")
    await fleet.do("ALTER TABLE instances DISABLE TRIGGER instances_ended")
    try:
        assert await registry.end(KNOWN)
        assert await fleet.state(boot) == "stopped"
    finally:
        await fleet.do("ALTER TABLE instances ENABLE TRIGGER instances_ended")
        await fleet.do("ALTER TABLE later RENAME TO instance_receipts")


async def test_a_receipt_that_cannot_be_left_keeps_no_state_from_being_written(
    own: dict[str, str], fleet: OwnFleet
) -> None:
    boot, registry = fleet.start()
    locking = await asyncpg.connect(own["PHOTO_API_DATABASE_URL"])
    await fleet.do("ALTER TABLE instance_receipts RENAME TO later")
    try:
        assert await registry.flush()
        registry.change("ready", "ready")
        assert await registry.flush()
    finally:
        await fleet.do("ALTER TABLE later RENAME TO instance_receipts")
    try:
        await locking.execute("BEGIN; LOCK TABLE instance_receipts")
        registry.change("draining", "draining", "SIGTERM")
        assert await registry.flush()
        assert await fleet.state(boot) == "draining"
    finally:
        await locking.close()


async def test_the_release_before_leaves_one_that_says_no_more(fleet: OwnFleet) -> None:
    boot, registry = fleet.start()
    registry.change("ready", "ready")
    registry.change("stopped", "stopped", "SIGTERM")
    assert await registry.flush()
    receipt = await found(fleet, boot)
    assert (receipt["ending"], receipt["cause"]) == ("untold", "SIGTERM")
    assert receipt["requests_accepted"] is None
    assert receipt["ended_at"] is not None

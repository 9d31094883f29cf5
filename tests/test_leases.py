"""Leases: one holder at a time, and one that was away for too long changes nothing."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, get_args
from uuid import UUID, uuid4

import asyncpg
import pytest

from photo_api.db.pool import Database
from photo_api.jobs.queue import Kind, pull_back
from photo_api.jobs.statistics import count, count_waiting, fleet_gauges, statistics
from photo_api.maintenance import LEASE, SHORTEST_LEASE, prune
from photo_api.metrics import declared
from photo_api.metrics.counts import Buckets
from photo_api.metrics.declared import METRICS
from photo_api.metrics.exposition import histograms
from photo_api.photos.sweep import sweep
from photo_api.registry import leases
from photo_api.registry.leases import FENCE, HELD, Lease
from photo_api.storage.base import ObjectStore
from tests.jobs.conftest import start_worker  # noqa: F401  (a fixture)
from tests.jobs.stage import Worker
from tests.own_stage import ask, own_database
from tests.service import eventually
from tests.test_sweep import PausingStore

PRUNED = (
    "photos",
    "unreferenced_objects",
    "idempotency_keys",
    "deletions",
    "login_attempts",
    "refresh_tokens",
    "refresh_families",
    "jobs",
    "instances",
    "instance_events",
)


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    quick = environ | {"PHOTO_API_SWEEP_INTERVAL": "0.5"}
    with own_database(stack, quick) as settings:
        yield settings


async def taken(db: Any, name: str, seconds: float = 60) -> Lease:
    lease = await leases.acquire(db, name, "tests", seconds)
    assert lease is not None
    return lease


async def run_out(db: Any, lease: Lease) -> None:
    query = "UPDATE leases SET expires_at = now() - interval '1 second' WHERE name = $1"
    await db.execute(query, lease.name)


async def test_one_holder_at_a_time_with_a_token_that_grows(db: Database) -> None:
    name = uuid4().hex
    first = await taken(db, name)
    assert await leases.acquire(db, name, "another", 60) is None
    assert await leases.renew(db, first, 60)
    await run_out(db, first)
    second = await taken(db, name)
    assert second.token > first.token
    assert not await leases.renew(db, first, 60)
    await leases.release(db, first)
    assert await leases.acquire(db, name, "another", 60) is None, "it was not the first one's"
    await leases.release(db, second)
    third = await taken(db, name)
    assert third.token > second.token


@pytest.mark.parametrize(("ahead", "free"), [("4 minutes", False), ("31 days", True)])
async def test_a_lease_that_was_given_by_a_clock_ahead_ends_with_that(
    db: Database, ahead: str, free: bool
) -> None:
    """Its holder was killed meanwhile, or lives and is fenced off."""
    name = uuid4().hex
    first = await taken(db, name)
    await db.execute(
        "UPDATE leases SET expires_at = expires_at + $2::text::interval WHERE name = $1",
        name, ahead,
    )  # fmt: skip
    second = await leases.acquire(db, name, "another", 60)
    assert (second is not None) == free
    if second is not None:
        assert second.token > first.token
        assert not await leases.renew(db, first, 60)
        assert await leases.acquire(db, name, "a third", 60) is None, "the new end is honest"


async def test_of_ten_at_once_one_gets_it(db: Database) -> None:
    name = uuid4().hex
    got = await asyncio.gather(*(leases.acquire(db, name, str(n), 60) for n in range(10)))
    assert len([lease for lease in got if lease is not None]) == 1


async def test_a_lease_that_nobody_wanted_is_renewed_late(db: Database) -> None:
    """A database that was gone for an hour changes no holder."""
    lease = await taken(db, uuid4().hex)
    await run_out(db, lease)
    assert await leases.renew(db, lease, 60)


async def leave_old_rows(db: Database) -> None:
    """One row in each table whose time is over."""
    user = await db.fetchval(
        "INSERT INTO users (email, username, password_hash) VALUES ($1, 'old', '') RETURNING id",
        f"{uuid4().hex}@example.org",
    )
    photo = (
        "INSERT INTO photos (owner_id, status, album_id, original_filename, content_type,"
        " file_size, upload_expires_at, gone_at) VALUES ($1, $2, 0, '', '', 1,"
        " now() - interval '8 days', now() - interval '8 days')"
    )
    await db.execute(photo, user, "gone")
    await db.execute(
        "INSERT INTO unreferenced_objects VALUES ($1, now() - interval '1 day')", uuid4().hex
    )
    await db.execute(
        "INSERT INTO idempotency_keys (user_id, route, key, owner, created_at)"
        " VALUES ($1, '', '', gen_random_uuid(), now() - interval '26 hours')",
        user,
    )
    await db.execute(
        "INSERT INTO deletions VALUES ($1, 'photo', 0, '', now() - interval '1 hour')", user
    )
    await db.execute(
        "INSERT INTO login_attempts VALUES ('pair', $1, now() - interval '2 hours')", uuid4().bytes
    )
    await db.execute(
        "WITH family AS (INSERT INTO refresh_families (user_id, created_at)"
        "  VALUES ($1, now() - interval '3 days') RETURNING id)"
        " INSERT INTO refresh_tokens (token_hash, family_id, expires_at)"
        " SELECT $2, id, now() - interval '3 days' FROM family",
        user,
        uuid4().bytes,
    )
    await db.execute(
        "INSERT INTO jobs (kind, subject_id, state, available_at)"
        " VALUES ('none', 0, 'dead', now() - interval '31 days')"
    )
    await db.execute(
        "INSERT INTO instances (boot_id, instance, node, version, address, port, workers, state,"
        " heartbeat_at) VALUES (gen_random_uuid(), '', '', '', '', 1, 1, 'lost',"
        " now() - interval '8 days')"
    )
    await db.execute(
        "INSERT INTO instance_events (at, boot_id, instance, event)"
        " VALUES (now() - interval '101 days', gen_random_uuid(), '', '')"
    )


async def sizes(db: Database) -> dict[str, int]:
    return {name: await db.fetchval(f"SELECT count(*) FROM {name}") for name in PRUNED}


async def test_who_lost_the_lease_changes_nothing(db: Database, store: ObjectStore) -> None:
    await leave_old_rows(db)
    stale = await taken(db, uuid4().hex)
    await run_out(db, stale)
    before, pending = await sizes(db), "SELECT count(*) FROM photos WHERE status = 'pending'"
    assert min(before.values()) >= 1
    await db.execute("UPDATE photos SET status = 'pending'")
    for state in ("run out", "taken over"):
        await prune(db, stale)
        assert (await sweep(db, store, 3600, stale)).uploads == 0
        await count(db, stale)
        await count_waiting(db, stale)
        assert await sizes(db) == before, state
        assert await db.fetchval(pending) == before["photos"]
        assert await statistics(db) == {}
        if state == "run out":
            successor = await taken(db, stale.name)
    await prune(db, successor)
    assert (await sweep(db, store, 3600, successor)).uploads == before["photos"]
    await db.execute("UPDATE photos SET gone_at = now() - interval '8 days'")
    await sweep(db, store, 3600, successor)
    await prune(db, successor)
    assert set((await sizes(db)).values()) == {0}


async def test_what_is_due_goes_in_rounds(
    db: Database, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a long pause a statement with all of it would end at its time limit, each time."""
    monkeypatch.setattr(leases, "ROWS_AT_ONCE", 2)
    for _ in range(3):
        await leave_old_rows(db)
    lease = await taken(db, uuid4().hex)
    tables = {
        "photos",
        "idempotency_keys",
        "login_attempts",
        "jobs",
        "instance_events",
        "deletions",
    }
    for left in (1, 0):
        await prune(db, lease)
        await sweep(db, store, 3600, lease)
        for table in tables:
            assert await db.fetchval(f"SELECT count(*) FROM {table}") == left, table


async def test_what_was_written_by_a_clock_ahead_ends_with_that(db: Database) -> None:
    """Jobs are due, and failed logins forgotten; by the holder of the lease alone."""
    lease = await taken(db, uuid4().hex)
    jobs = [
        ("queued", "31 days"), ("leased", "31 days"), ("queued", "30 minutes"),
        ("leased", "1 hour"), ("dead", "31 days"),
    ]  # fmt: skip
    for state, later in jobs:
        await db.execute(
            "INSERT INTO jobs (kind, subject_id, state, available_at)"
            " VALUES ('none', 0, $1, now() + $2::text::interval)",
            state, later,
        )  # fmt: skip
    for later in ("31 days", "1 hour"):
        await db.execute(
            "INSERT INTO login_attempts VALUES ('pair', $1, now() + $2::text::interval)",
            uuid4().bytes, later,
        )  # fmt: skip
    due = "SELECT available_at <= now() AS due FROM jobs WHERE kind = 'none' ORDER BY id"
    windows = "SELECT count(*) FROM login_attempts"
    for held in (False, True):
        if not held:
            stale = await taken(db, uuid4().hex)
            await run_out(db, stale)
        await pull_back(db, lease if held else stale)
        await prune(db, lease if held else stale)
        assert [row["due"] for row in await db.fetch(due)] == [held, held, False, False, False]
        assert await db.fetchval(windows) == (1 if held else 2)
    await db.execute("DELETE FROM jobs WHERE kind = 'none'; DELETE FROM login_attempts")


async def test_a_takeover_waits_for_the_statement_that_is_at_work(
    settings: dict[str, str], db: Database
) -> None:
    """Else the old holder's change could land after the new one's."""
    url, name = settings["PHOTO_API_DATABASE_URL"], uuid4().hex
    old, blocker = await asyncpg.connect(url), await asyncpg.connect(url)
    key = uuid4().bytes
    await db.execute("INSERT INTO login_attempts VALUES ('pair', $1, now())", key)
    lease = await taken(db, name, 1)
    await blocker.execute("BEGIN")
    await blocker.execute("UPDATE login_attempts SET failures = 1 WHERE key = $1", key)
    delete = f"WITH {FENCE} DELETE FROM login_attempts WHERE key = $3 AND {HELD}"
    deleting = asyncio.create_task(old.execute(delete, *lease, key))
    await asyncio.sleep(1.2)
    taking = asyncio.create_task(taken(db, name))
    await asyncio.sleep(0.3)
    assert not taking.done()
    await blocker.execute("COMMIT")
    assert await deleting == "DELETE 1"
    assert (await taking).token > lease.token
    assert await old.execute(delete, *lease, key) == "DELETE 0"
    await old.close()
    await blocker.close()


async def test_a_sweep_that_loses_its_lease_takes_nothing_more(
    settings: dict[str, str], db: Database, store: ObjectStore
) -> None:
    """It was stopped between taking keys and deleting their bytes."""
    due = "INSERT INTO unreferenced_objects VALUES ($1, now() - interval '1 day')"
    look = "SELECT taken FROM unreferenced_objects WHERE object_key = $1"
    first, second = (f"photos/1/1/{uuid4().hex}" for _ in range(2))
    await db.execute(due, first)
    lease = await taken(db, uuid4().hex)
    pausing = PausingStore(settings)
    sweeping = asyncio.create_task(sweep(db, pausing, 3600, lease))
    await pausing.deleting.wait()
    await run_out(db, lease)
    successor = await taken(db, lease.name)
    await db.execute(due, second)
    pausing.may_go_on.set()
    await sweeping
    assert await db.fetchval(look, second) is False
    assert await db.fetchval(look, first) is True, "left to the successor"
    await db.execute("UPDATE unreferenced_objects SET delete_after = now() - interval '1 second'")
    await sweep(db, store, 3600, successor)
    assert await db.fetch("SELECT * FROM unreferenced_objects") == []


async def test_statistics_are_what_is_there(db: Database) -> None:
    user = await db.fetchval(
        "INSERT INTO users (email, username, password_hash) VALUES ($1, 'x', '') RETURNING id",
        f"{uuid4().hex}@example.org",
    )
    await db.execute("INSERT INTO albums (owner_id, name) VALUES ($1, ''), ($1, '')", user)
    for status, size in (("ready", 10), ("ready", 32), ("gone", 100), ("ready", 7)):
        await db.execute(
            "INSERT INTO photos (owner_id, status, album_id, original_filename, content_type,"
            " file_size, object_key) VALUES ($1, $2, 0, '', '', $3, $4)",
            user, status, size, uuid4().hex,
        )  # fmt: skip
    await db.execute("INSERT INTO jobs (kind, subject_id, state) VALUES ('none', 0, 'dead')")
    await db.execute(
        "UPDATE photos SET status = 'trashed', trashed_at = now() WHERE owner_id = $1"
        " AND file_size = 7", user,
    )  # fmt: skip
    lease = await taken(db, uuid4().hex)
    await count(db, lease)
    numbers = await statistics(db)
    assert numbers.pop("at") is not None
    users = await db.fetchval("SELECT count(*) FROM users")
    assert numbers == {
        "users": users,
        "albums": 2,
        "photos_ready": 2,
        "bytes_ready": 42,
        "photos_trashed": 1,
        "bytes_trashed": 7,
        "jobs_queued": 0,
        "jobs_dead": 1,
        "shares": 0,
        "photos_without_thumbnail": 2,
        "orphan_objects": 0,
        "orphan_bytes": 0,
        "oldest_orphan": 0,
        "kept_orphans": 0,
    }
    await db.execute("DELETE FROM photos WHERE status = 'trashed'")
    await db.execute("DELETE FROM unreferenced_objects")
    await db.execute(
        "UPDATE photos SET thumbnail_key = 't', thumbnail_bytes = 3, preview_key = 'p',"
        " preview_bytes = 5, display_key = 'd', display_bytes = 7 WHERE file_size = 32"
    )
    await db.execute("UPDATE photos SET status = 'gone' WHERE status = 'ready'")
    await asyncio.sleep(0.01)
    await count(db, lease)
    numbers = await statistics(db)
    assert (numbers["orphan_objects"], numbers["orphan_bytes"]) == (5, 57)
    away = "UPDATE unreferenced_objects SET delete_after = now() {}, taken = {}"
    for when, taken_by_sweep, objects, age, kept in (
        ("- interval '1 hour'", "false", 5, 3600, 0),
        ("+ interval '290 s'", "true", 5, 0, 0),
        ("+ interval '230 s'", "true", 5, 0, 5),
        ("- interval '1 minute'", "true", 5, 60, 5),
        ("+ interval '230 s'", "false", 0, 0, 0),
    ):
        await db.execute(away.format(when, taken_by_sweep))
        await count(db, lease)
        numbers = await statistics(db)
        assert (numbers["orphan_objects"], numbers["oldest_orphan"]) == (objects, age)
        assert numbers["kept_orphans"] == kept
    await db.execute("DELETE FROM unreferenced_objects")
    await db.execute("DELETE FROM albums")
    await count(db, lease)
    assert (await statistics(db))["albums"] == 0


@pytest.mark.parametrize(
    ("renditions", "reason", "job", "counted"),
    [
        ("pending", None, None, 1),
        ("pending", None, "queued", 0),
        ("pending", None, "leased", 0),
        ("failed", "attempts_exhausted:StoreUnavailable", "dead", 0),
        ("failed", "attempts_exhausted:StoreUnavailable", None, 1),
        ("failed", "bytes_missing", None, 1),
        ("failed", "too_many_pixels: 9", None, 0),
        ("failed", "decoder_timeout", None, 0),
    ],
)
async def test_photos_to_which_a_thumbnail_is_owed_and_nobody_makes_it(
    db: Database, renditions: str, reason: str | None, job: str | None, counted: int
) -> None:
    """Dead jobs are told as such; what a file is refused for, to its owner."""
    user = await db.fetchval(
        "INSERT INTO users (email, username, password_hash) VALUES ($1, 'x', '') RETURNING id",
        f"{uuid4().hex}@example.org",
    )
    lease = await taken(db, uuid4().hex)
    await count(db, lease)
    before = (await statistics(db))["photos_without_thumbnail"]
    await db.execute(
        "WITH p AS (INSERT INTO photos (owner_id, status, album_id, original_filename,"
        "  content_type, file_size, object_key, renditions, renditions_error)"
        "  VALUES ($1, 'ready', 0, '', '', 1, $2, $3, $4) RETURNING id)"
        " INSERT INTO jobs (kind, subject_id, state) SELECT 'renditions', id, $5 FROM p"
        " WHERE $5::text IS NOT NULL",
        user, uuid4().hex, renditions, reason, job,
    )  # fmt: skip
    await count(db, lease)
    assert (await statistics(db))["photos_without_thumbnail"] == before + counted
    await db.execute("DELETE FROM jobs WHERE user_id = $1", user)
    await db.execute("DELETE FROM users WHERE id = $1", user)


async def test_what_is_under_way_is_told_alike_by_all(db: Database) -> None:
    await db.execute(
        "INSERT INTO jobs (kind, subject_id, state, available_at) VALUES"
        " ('display', 1, 'queued', now() - interval '100 s'), ('display', 2, 'leased', now()),"
        " ('metadata', 3, 'dead', now())"
    )
    await db.execute(
        "INSERT INTO instances (boot_id, instance, node, version, address, port, workers, state)"
        " SELECT gen_random_uuid(), 'a', 'a', '1', 'a', 1, 1, s"
        " FROM unnest(ARRAY['ready', 'ready', 'lost', 'stopped']) s"
    )
    lease = await taken(db, uuid4().hex)
    await count(db, lease)
    await count_waiting(db, lease)
    told = await fleet_gauges(db)

    def number(name: str, *labels: str) -> float:
        return told[f"photo_api_fleet_{name}", labels]

    assert number("jobs", "display", "queued") == number("jobs", "display", "leased") == 1
    assert number("jobs", "metadata", "dead") == 1
    assert number("jobs", "renditions", "queued") == 0
    assert 100 <= number("oldest_job_seconds", "display") < 400
    assert number("oldest_job_seconds", "metadata") == 0
    assert number("instances", "ready") == 2
    assert number("instances", "draining") == 0
    assert abs(number("counted_timestamp_seconds") - time.time()) < 300
    fleet = {name for name in METRICS if name.startswith("photo_api_fleet_")}
    assert {name for name, _ in told} == fleet
    await db.execute("DELETE FROM jobs")
    await count_waiting(db, lease)
    told = await fleet_gauges(db)
    assert number("jobs", "display", "queued") == 0


async def ended(db: Database, seconds: float, cause: str = "SIGTERM", ago: float = 0) -> UUID:
    """An instance that has drained for so long."""
    boot = uuid4()
    await db.execute(
        "INSERT INTO instance_events (boot_id, instance, event, cause, at) VALUES"
        " ($1, 'a', 'draining', 'SIGTERM', now() - make_interval(secs => $2::float8 + $4)),"
        " ($1, 'a', 'stopped', $3, now() - make_interval(secs => $4::float8))",
        boot, seconds, cause, ago,
    )  # fmt: skip
    return boot


async def test_drains_are_counted_once_and_stay(db: Database) -> None:
    """A histogram that only grows, whatever becomes of instances, events and who counts."""
    await ended(db, 2.5)
    await ended(db, 9, "SIGTERM; 1 request cut at the limit")
    await ended(db, 700)
    await ended(db, -3)  # a clock that was set back
    first = await taken(db, uuid4().hex)
    await count_waiting(db, first)
    await count_waiting(db, first)
    metric = declared.FLEET_DRAIN

    async def told(result: str) -> Buckets:
        gauges = await fleet_gauges(db)
        own = {values: n for (name, values), n in gauges.items() if name == metric.name}
        return histograms(metric, own)[result,]

    whole, cut = await told("whole"), await told("cut")
    assert whole.counts == [1, 1, *[0] * 8, 1]
    assert whole.total == 702.5
    assert cut.counts == [0, 0, 0, 1, *[0] * 7]
    assert cut.total == 9
    await db.execute("DELETE FROM instance_events")
    await run_out(db, first)
    await ended(db, 0.5)
    await ended(db, 0.5, ago=90_000)  # nobody has counted for a day
    await count_waiting(db, first)
    assert (await told("whole")).counts == whole.counts, "who lost the lease counts nothing"
    second = await taken(db, first.name)
    await asyncio.gather(*(count_waiting(db, second) for _ in range(5)))
    assert (await told("whole")).counts == [2, 1, *[0] * 8, 1]
    assert (await told("whole")).total == 703


def test_every_kind_of_job_is_a_label() -> None:
    assert set(get_args(Kind)) < declared.KINDS


# Job processes


def holders(workers: list[Worker]) -> list[Worker]:
    """Those that have taken the lease and not noticed that they lost it."""
    return [
        worker
        for worker in workers
        if worker.log.count('"holds the lease"') > worker.log.count('"lost the lease"')
    ]


def lease_row(settings: dict[str, str]) -> Any:
    query = "SELECT holder, token, expires_at <= now() AS free FROM leases WHERE name = $1"
    return ask(settings, query, LEASE)[0]


def test_one_job_process_maintains_and_another_takes_over_from_the_dead(
    settings: dict[str, str],
    start_worker: Callable[..., Worker],  # noqa: F811
) -> None:
    workers = [start_worker() for _ in range(3)]
    [doomed] = eventually(lambda: holders(workers))
    before = lease_row(settings)
    doomed.kill()
    others = [worker for worker in workers if worker is not doomed]
    assert len(eventually(lambda: holders(others), SHORTEST_LEASE + 10)) == 1
    after = lease_row(settings)
    assert after["token"] == before["token"] + 1
    assert after["holder"] != before["holder"]


def test_a_frozen_holder_finds_itself_replaced_when_it_wakes(
    settings: dict[str, str],
    start_worker: Callable[..., Worker],  # noqa: F811
) -> None:
    workers = [start_worker() for _ in range(2)]
    [first] = eventually(lambda: holders(workers))
    [second] = [worker for worker in workers if worker is not first]
    frozen = first.jobs
    frozen.suspend()
    eventually(lambda: holders([second]), SHORTEST_LEASE + 10)
    row = lease_row(settings)
    frozen.resume()
    eventually(lambda: '"lost the lease"' in first.log, SHORTEST_LEASE + 10)
    assert lease_row(settings)["token"] >= row["token"]


def test_a_drain_lets_the_lease_go(
    settings: dict[str, str],
    start_worker: Callable[..., Worker],  # noqa: F811
) -> None:
    worker = start_worker(SWEEP_INTERVAL="60")
    eventually(lambda: holders([worker]), SHORTEST_LEASE + 10)
    worker.process.terminate()
    assert worker.process.wait(15) == 0
    assert lease_row(settings)["free"], "and not only a minute later"

"""What two instances of one database tell of the fleet, which one of them counts."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from photo_api.jobs import statistics
from photo_api.registry import leases
from photo_api.registry.leases import Lease
from tests.metrics.scraping import scrape
from tests.own_stage import ask, own_database
from tests.service import Service, eventually, running_service

Told = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def two(
    stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> Iterator[tuple[Service, Service]]:
    with own_database(stack, environ) as settings, ExitStack() as running:

        def start(name: str) -> Service:
            folder = tmp_path / name
            folder.mkdir()
            own = {"PHOTO_API_RUN_DIR": str(folder), "PHOTO_API_SWEEP_INTERVAL": "0.5"}
            return running.enter_context(running_service(settings | own, folder))

        yield start("first"), start("second")


def _told(service: Service) -> Told:
    samples = scrape(service.url).samples.items()
    return {key: number for key, number in samples if key[0].startswith("photo_api_fleet_")}


def _counts(service: Service) -> bool:
    """Whether its job worker holds the lease, as far as it knows."""
    log = service.log
    return log.count('"holds the lease"') > log.count('"lost the lease"')


@pytest.fixture(scope="module")
def own(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture
async def counting(own: dict[str, str]) -> AsyncIterator[tuple[asyncpg.Connection, Lease]]:
    """An empty database, and the lease with which its statistics may be written."""
    connection = await asyncpg.connect(own["PHOTO_API_DATABASE_URL"])
    await connection.execute("TRUNCATE statistics, leases, instance_events, instance_receipts")
    lease = await leases.acquire(connection, str(uuid4()), "test", 600)
    assert lease is not None
    yield connection, lease
    await connection.close()


@pytest.mark.parametrize(
    "name",
    ["drains", "drains:whole:7", "drains:later:10", "jobs:later:queued", "instances:later", "x"],
)
async def test_rows_that_another_release_wrote_do_not_age_the_numbers(
    counting: tuple[asyncpg.Connection, Lease], name: str
) -> None:
    """An upgrade, or one that is taken back, leaves them for ever."""
    db, lease = counting
    old = "INSERT INTO statistics (name, value, at) VALUES ($1, 3, now() - interval '9 days')"
    await db.execute(old, name)
    await statistics.count(db, lease)
    await statistics.count_waiting(db, lease)
    rows = [row[0] for row in await db.fetch("SELECT name FROM statistics")]
    told = await statistics.statistics(db)
    assert {*rows, "at"} - {*told} == {name}, "all that this release writes is told"
    at = (await statistics.fleet_gauges(db))["photo_api_fleet_counted_timestamp_seconds", ()]
    assert time.time() - at < 600


async def test_a_drain_of_which_nobody_knows_what_it_cut_is_not_whole(
    counting: tuple[asyncpg.Connection, Lease],
) -> None:
    """A process that was killed tells nothing of its requests. One that was killed long before a
    drain that ended by itself says nothing of that drain."""
    db, lease = counting
    for ending, cut in (("killed", None), ("drained", None), ("drained", 0), ("failed", 0)):
        boot = uuid4()
        await db.execute(
            "INSERT INTO instance_receipts (boot_id, instance, version, ending, requests_cut)"
            " VALUES ($1, 'i', '1', $2, $3)", boot, ending, cut,
        )  # fmt: skip
        for event in ("draining", "stopped"):
            insert = "INSERT INTO instance_events (boot_id, instance, event) VALUES ($1, 'i', $2)"
            await db.execute(insert, boot, event)
    await statistics.count_waiting(db, lease)
    await statistics.count_waiting(db, lease)
    gauges = await statistics.fleet_gauges(db)
    assert gauges["photo_api_fleet_drain_seconds", ("cut", "1")] == 1
    assert gauges["photo_api_fleet_drain_seconds", ("whole", "1")] == 3


@pytest.mark.slow
def test_all_tell_what_one_counts_and_another_when_that_stands_still(
    two: tuple[Service, Service],
) -> None:
    with two[0].new_user() as user:
        user.upload()

    def alike(name: str, number: float, **labels: str) -> bool:
        first, second = map(_told, two)
        return first == second and first.get((name, frozenset(labels.items()))) == number

    eventually(lambda: alike("photo_api_fleet_instances", 2, state="ready"), 60)
    [leader] = [service for service in two if _counts(service)]
    [other] = [service for service in two if service is not leader]
    [frozen] = leader.children("job_worker")
    frozen.suspend()
    eventually(lambda: _counts(other), 30)
    ask(
        leader.environ,
        "INSERT INTO instance_events (boot_id, instance, event, at) VALUES"
        " ($1, 'gone', 'draining', now() - interval '7 s'), ($1, 'gone', 'stopped', now())",
        uuid4(),
    )
    count = "photo_api_fleet_drain_seconds_count"
    eventually(lambda: alike(count, 1, result="whole"), 60)
    frozen.resume()
    eventually(lambda: not _counts(leader), 30)
    time.sleep(1)  # for what it was about to write
    assert alike(count, 1, result="whole")
    rows = ask(leader.environ, "SELECT sum(value) FROM statistics WHERE name LIKE 'drains:%:10'")
    assert rows[0][0] == 1, "by both together"

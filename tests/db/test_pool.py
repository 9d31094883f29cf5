"""The pool when all goes wrong: it waits no longer than it says, and comes back by itself."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from photo_api.db.connect import moved
from photo_api.db.pool import Database, DatabaseUnavailable, open_database
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import (
    BREAKER_OPEN,
    DATABASE_CONNECTIONS,
    DATABASE_REFUSALS,
    DATABASE_WAITING,
)
from photo_api.metrics.metric import Metric
from photo_base.postgres import FAILURES
from tests.db.clusters import Cluster, settings

AT_ONCE = 0.5
"""Generous for something that asks nobody."""


@pytest.fixture
async def database(cluster: Cluster) -> AsyncIterator[Database]:
    async with open_database(settings(cluster.url), "tests") as pool:
        yield pool


async def answers(database: Database) -> bool:
    try:
        return bool(await database.fetchval("SELECT 1") == 1)
    except (*FAILURES, DatabaseUnavailable):
        return False


async def until_answered(database: Database, seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not await answers(database):
            await asyncio.sleep(0.05)


async def until_refused_at_once(database: Database, seconds: float = 30) -> None:
    """Until the pool refuses ten in a row without asking anybody."""
    async with asyncio.timeout(seconds):
        quick = 0
        while quick < 10:
            started = time.monotonic()
            assert not await answers(database)
            quick = quick + 1 if time.monotonic() - started < AT_ONCE else 0


async def test_who_finds_the_pool_exhausted_waits_as_long_as_said(database: Database) -> None:
    async with database.acquire(), database.acquire(), database.acquire():
        for _ in range(2):
            started = time.monotonic()
            waiting = [database.fetchval("SELECT 1") for _ in range(8)]
            refused = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(error) for error in refused] == [DatabaseUnavailable] * 8
            waited = time.monotonic() - started
            assert 0.9 < waited < 4, "the server answers, so nobody is refused without a wait"
    assert await answers(database), "and all is well as soon as one is free"


async def test_slow_statements_are_no_outage(database: Database) -> None:
    """More of them than it takes for an outage, all cancelled at their timeout."""
    for _ in range(2):
        slow = [database.fetchval("SELECT pg_sleep(60)") for _ in range(3)]
        failed = await asyncio.gather(*slow, return_exceptions=True)
        assert [type(error) for error in failed] == [TimeoutError] * 3
        assert await answers(database)


async def test_a_slow_statement_rolls_its_transaction_back(database: Database) -> None:
    await database.execute("CREATE TABLE slow (number int)")

    async def write_slowly() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO slow VALUES (1)")
            await connection.execute("SELECT pg_sleep(60)")

    with pytest.raises(TimeoutError):
        await write_slowly()
    assert await database.fetchval("SELECT count(*) FROM slow") == 0
    await database.execute("DROP TABLE slow")


async def test_cancelled_requests_leak_no_connection(database: Database) -> None:
    async def request() -> None:
        async with database.transaction() as connection:
            await connection.fetchval("SELECT pg_sleep($1)", random.uniform(0, 0.02))
            await connection.fetchval("SELECT 1")

    for _ in range(40):
        requests = [asyncio.create_task(request()) for _ in range(6)]
        for task in requests:
            asyncio.get_running_loop().call_later(random.uniform(0, 0.04), task.cancel)
        await asyncio.gather(*requests, return_exceptions=True)
    await until_answered(database)
    async with asyncio.timeout(10), database.acquire(), database.acquire(), database.acquire():
        pass


async def test_after_kill_9_of_the_server_it_comes_back(
    cluster: Cluster, database: Database
) -> None:
    assert await answers(database)
    cluster.kill()
    assert not await answers(database)
    await until_refused_at_once(database)
    cluster.start()
    await until_answered(database)
    assert all(await asyncio.gather(*(answers(database) for _ in range(20))))


async def test_a_statement_that_a_killed_backend_ran_fails_alone(
    cluster: Cluster, database: Database
) -> None:
    running = asyncio.create_task(database.fetchval("SELECT pg_sleep(1.5)"))
    await asyncio.sleep(0.5)
    cluster.sql(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'tests'"
    )
    with pytest.raises(FAILURES):
        await running
    assert await answers(database)


@pytest.mark.slow
async def test_a_hung_server_is_found_out_and_then_costs_nobody_time(
    cluster: Cluster, database: Database
) -> None:
    async with database.acquire(), database.acquire():
        assert await answers(database)
    cluster.freeze()
    try:
        started = time.monotonic()
        assert not any(await asyncio.gather(*(answers(database) for _ in range(20))))
        # A statement's timeout, and a second in which the server could have said that it lives.
        assert time.monotonic() - started < 8
        await until_refused_at_once(database)
    finally:
        cluster.thaw()
    await until_answered(database)
    assert all(await asyncio.gather(*(answers(database) for _ in range(20))))


@pytest.mark.slow
async def test_a_transaction_on_a_hung_server_ends_with_its_statement(cluster: Cluster) -> None:
    async def freeze_and_ask(database: Database) -> None:
        async with database.transaction() as connection:
            cluster.freeze()
            await connection.fetchval("SELECT 1")

    patient = settings(cluster.url, statement_timeout=6)
    async with open_database(patient, "tests") as database:
        started = time.monotonic()
        try:
            with pytest.raises(FAILURES):
                await freeze_and_ask(database)
            assert time.monotonic() - started < 11, "its rollback is not waited for besides"
        finally:
            cluster.thaw()
        await until_answered(database)


async def test_it_closes_in_time_though_the_server_hangs(cluster: Cluster) -> None:
    try:
        patient = settings(cluster.url, statement_timeout=60)
        async with open_database(patient, "tests") as database:
            assert await answers(database)
            cluster.freeze()
            started = time.monotonic()
        assert time.monotonic() - started < 15
    finally:
        cluster.thaw()


async def test_connections_to_what_takes_no_more_are_replaced(
    cluster: Cluster, database: Database
) -> None:
    """Sessions that stay read-only though the server is not, as after a failover behind one
    address."""
    role = "ALTER ROLE photo_api {} default_transaction_read_only"
    cluster.sql("CREATE TABLE written (number int)")
    cluster.sql("GRANT ALL ON written TO photo_api")
    cluster.sql(role.format("SET") + " = on")
    write = "INSERT INTO written VALUES (1)"
    with pytest.raises(FAILURES):
        await database.execute(write)
    await asyncio.sleep(1.5)
    cluster.sql(role.format("RESET"))
    async with asyncio.timeout(15):
        while True:
            with suppress(*FAILURES):
                await database.execute(write)
                break
            await asyncio.sleep(0.1)
            assert await answers(database)


def own_role(cluster: Cluster, name: str, password: str) -> str:
    """The address of a role of the test's own, which gets this password."""
    known = cluster.sql(f"SELECT count(*) FROM pg_roles WHERE rolname = '{name}'") == "1"
    verb = "ALTER" if known else "CREATE"
    cluster.sql(f"{verb} ROLE {name} LOGIN PASSWORD '{password}' CONNECTION LIMIT 10")
    return f"postgresql://{name}:{password}@{cluster.place}/photo_api"


async def test_a_changed_password_is_no_outage(cluster: Cluster) -> None:
    """Connections from before go on, however many are refused a new one."""
    refusals: list[None] = []
    async with open_database(settings(own_role(cluster, "r1", "first")), "tests") as pool:
        pool.refused = lambda: refusals.append(None)
        own = await pool.fetchval("SELECT pg_backend_pid()")
        changed = own_role(cluster, "r1", "second")
        async with pool.acquire():
            for _ in range(20):  # more than open a breaker
                assert not await answers(pool)
        assert len(refusals) in (1, 2), "the server is asked once a second"
        assert await pool.fetchval("SELECT pg_backend_pid()") == own
        pool.use(settings(changed))
        async with pool.acquire() as connection:
            assert await connection.fetchval("SELECT pg_backend_pid()") == own
            assert await answers(pool), "at once"


async def test_with_another_role_connections_are_replaced(cluster: Cluster) -> None:
    async with open_database(settings(own_role(cluster, "r2", "first")), "tests") as pool:
        assert await pool.fetchval("SELECT current_user") == "r2"
        pool.use(settings(own_role(cluster, "r3", "other")))
        await asyncio.sleep(0)
        assert await pool.fetchval("SELECT current_user") == "r3"
        assert await pool.fetchval("SELECT current_user") == "r3"


@pytest.mark.parametrize(
    ("after", "elsewhere"),
    [
        ("postgresql://u:new@h:5432/db", False),
        ("postgresql://u@h:5432/db?password=new", False),
        ("postgresql://v:old@h:5432/db", True),
        ("postgresql://u:old@i:5432/db", True),
        ("postgresql://u:old@h:5433/db", True),
        ("postgresql://u:old@h:5432/other", True),
        ("postgresql://u:old@h:5432/db?host=/run", True),
    ],
)
def test_what_makes_connections_lead_elsewhere(after: str, elsewhere: bool) -> None:
    assert moved(settings("postgresql://u:old@h:5432/db"), settings(after)) is elsewhere


async def test_who_waits_and_who_is_refused_is_counted(database: Database) -> None:
    counts = Counts()
    database.watched_by(counts, "web")

    def now(metric: Metric, *values: str) -> float:
        list(counts.take())
        return counts.gauges()[metric.name, values]

    async with database.acquire(), database.acquire(), database.acquire():
        waiting = asyncio.gather(
            *(database.fetchval("SELECT 1") for _ in range(4)), return_exceptions=True
        )
        async with asyncio.timeout(10):
            while now(DATABASE_WAITING, "web") < 4:
                await asyncio.sleep(0.01)
        assert now(DATABASE_CONNECTIONS, "web", "in_use") == 3
        await waiting
        counts.add_watched()
        assert counts.sums[DATABASE_REFUSALS]["web",] == 4
    assert now(DATABASE_WAITING, "web") == 0
    assert now(DATABASE_CONNECTIONS, "web", "idle") == 3
    assert now(BREAKER_OPEN, "database") == 0

"""Connections are lent to one at a time, come back whatever happens, and end when they are old."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from photo_api.db import connections
from photo_api.db.pool import Database, DatabaseUnavailable, open_database
from photo_base.postgres import FAILURES
from tests.db.clusters import Cluster, settings

PID = "SELECT pg_backend_pid()"
ENDED = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1"


@pytest.fixture
async def database(cluster: Cluster) -> AsyncIterator[Database]:
    """With two connections at most."""
    async with open_database(settings(cluster.url), "tests", 2) as pool:
        yield pool


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


async def both_are_there(database: Database) -> bool:
    """Whether two can be lent at once, and neither is in the midst of something."""
    async with asyncio.timeout(10), database.acquire() as one, database.acquire() as other:
        pids = {await connection.fetchval(PID) for connection in (one, other)}
        return len(pids) == 2


async def test_who_asks_one_by_one_has_one_connection(database: Database) -> None:
    async with database.acquire() as one, database.acquire() as other:
        assert await one.fetchval(PID) != await other.fetchval(PID)
    assert len({await database.fetchval(PID) for _ in range(9)}) == 1


async def test_a_place_that_is_given_to_somebody_who_has_gone_is_the_next_one_s(
    database: Database,
) -> None:
    for cancelled in range(3):
        async with database.acquire(), database.acquire():
            waiting = [asyncio.create_task(database.fetchval("SELECT 1")) for _ in range(3)]
            await asyncio.sleep(0.01)
        for task in waiting[: cancelled + 1]:  # in the moment in which it was woken
            task.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert results[cancelled + 1 :] == [1] * (2 - cancelled)
        assert await both_are_there(database)


async def test_cancelled_at_any_moment_it_leaks_nothing(database: Database) -> None:
    async def ask() -> None:
        async with database.transaction() as connection:
            await connection.fetchval("SELECT 1")
        await database.fetchval("SELECT 2")

    for steps in range(25):
        tasks = [asyncio.create_task(ask()) for _ in range(4)]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert await both_are_there(database)
    assert database._connections.in_use == 0


async def test_who_is_cancelled_does_not_wait_for_his_statement(
    cluster: Cluster, database: Database
) -> None:
    own = await database.fetchval(PID)
    asking = asyncio.create_task(database.fetchval("SELECT pg_sleep(60)"))
    await until(lambda: cluster.sql("SELECT count(*) FROM pg_stat_activity"
                                    " WHERE wait_event = 'PgSleep'") == "1")  # fmt: skip
    cluster.freeze()
    try:
        asking.cancel()
        started = time.monotonic()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert time.monotonic() - started < 0.5
        assert database._connections.in_use == 1, "it is not lent before its statement has ended"
    finally:
        cluster.thaw()
    await until(lambda: database._connections.in_use == 0)
    assert await database.fetchval(PID) == own


async def test_cancelled_while_it_connects_a_place_is_free_again(
    cluster: Cluster, database: Database
) -> None:
    cluster.freeze()
    try:
        asking = [asyncio.create_task(database.fetchval("SELECT 1")) for _ in range(2)]
        await asyncio.sleep(0.1)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    finally:
        cluster.thaw()
    assert await both_are_there(database)


async def test_nobody_gets_what_another_has_begun(database: Database) -> None:
    async with database.acquire() as connection:
        own = await connection.fetchval(PID)
        await connection.execute("BEGIN")
    assert await database.fetchval(PID) != own


async def test_a_place_is_free_again_after_each_kind_of_failure(database: Database) -> None:
    async def fail(statement: str) -> None:
        async with database.acquire() as connection:
            await connection.execute(statement)

    ends = "SELECT pg_terminate_backend(pg_backend_pid())"
    for statement in ("SELECT 1 / 0", "nonsense", "BEGIN; SELECT 1 / 0", ends):
        with pytest.raises(FAILURES):
            await fail(statement)
    with pytest.raises(KeyError):
        async with database.transaction():
            raise KeyError
    assert await both_are_there(database)


async def test_those_that_nobody_wants_are_closed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_LIFETIME", 0.3)
    async with database.acquire() as one:
        async with database.acquire():
            pass
        ours = database._connections
        await until(lambda: ours.idle == 0)
        assert not one.is_closed(), "it is in use, for however long"
    assert ours.idle == 1
    await until(lambda: ours.idle == 0)
    assert await both_are_there(database)


async def test_an_old_one_is_not_lent_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = await database.fetchval(PID)
    monkeypatch.setattr(connections, "LIFETIME", 0.0)
    assert await database.fetchval(PID) == own
    assert await database.fetchval(PID) != own


async def test_after_a_migration_one_transaction_fails_and_not_one_for_each_connection(
    cluster: Cluster, database: Database
) -> None:
    cluster.sql("CREATE TABLE migrated (number int); GRANT ALL ON migrated TO photo_api")
    read = "SELECT * FROM migrated"
    async with database.acquire() as one, database.acquire() as other:
        await one.fetch(read)
        await other.fetch(read)
    cluster.sql("ALTER TABLE migrated ALTER number TYPE text")

    async def read_in_transaction() -> None:
        async with database.transaction() as connection:
            await connection.fetch(read)

    async with database.acquire():
        with pytest.raises(asyncpg.InvalidCachedStatementError):
            await read_in_transaction()
    await read_in_transaction()  # by the other, if it were still there
    cluster.sql("DROP TABLE migrated")


async def test_once_closed_it_lends_nothing_and_nobody_keeps_one(cluster: Cluster) -> None:
    async with open_database(settings(cluster.url), "tests", 1) as pool:
        lent = await pool.take()
        waiting = asyncio.create_task(pool.fetchval("SELECT 1"))
        await asyncio.sleep(0.01)
    assert lent.is_closed()
    await pool.give_back(lent, None)
    with pytest.raises(DatabaseUnavailable):
        await waiting
    with pytest.raises(DatabaseUnavailable):
        await pool.fetchval("SELECT 1")

"""A database that is full takes no word of a job's postponement either."""

import asyncio
from typing import Any

import asyncpg

from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.jobs.queue import Job
from tests.jobs.stage import enqueue, handling, leased_by
from tests.own_stage import database_of

FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk BEFORE UPDATE ON jobs FOR EACH ROW
WHEN (NEW.handed_back > OLD.handed_back) EXECUTE FUNCTION full_disk();
"""
"""As when there is no room for a new version of this row, though for others there is."""


class Writing:
    """Does a job by writing, for which there is no room."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.tries = 0

    async def run(self, job: Job) -> None:
        try:
            await self.db.execute("UPDATE jobs SET handed_back = handed_back + 1")
        finally:
            self.tries += 1  # not before: one that works on after its lease just loses it

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        raise NotImplementedError


async def test_a_lease_that_ends_before_the_database_takes_writes_is_no_failure(
    settings: dict[str, str], connections: list[Any]
) -> None:
    connection = connections[0]
    settings = settings | {"PHOTO_API_JOB_CONCURRENCY": "1"}
    await connection.execute(FULL)
    try:
        await enqueue(connection)
        async with database_of(settings) as db, handling(settings, db, writing := Writing(db)):
            async with asyncio.timeout(30):
                while not writing.tries or not (other := await _taken_over(connection)):
                    await asyncio.sleep(0.05)
            assert other.failures == 1, "nobody could say so yet"
            assert await connection.fetchval("SELECT handed_back FROM jobs") == 0
            await connection.execute("DROP TRIGGER full_disk ON jobs")
            async with asyncio.timeout(30):
                while not await connection.fetchval("SELECT handed_back FROM jobs"):
                    await asyncio.sleep(0.05)
        assert await connection.fetchval("SELECT state FROM jobs") == "leased", "by the other"
        assert await queue.retry_later(connection, other, "a failure of its own")
        await connection.execute("UPDATE jobs SET available_at = now()")
        assert (await leased_by(connection, "third")).failures == 1
    finally:
        await connection.execute("DROP FUNCTION full_disk CASCADE")


async def _taken_over(connection: asyncpg.Connection) -> Job | None:
    """By another, as soon as the lease is over."""
    return next(iter(await queue.lease(connection, "other", 60, ["renditions"])), None)

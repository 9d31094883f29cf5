"""Numbers of photos by month are those that counting would give, whoever changes what beside."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from photo_api.registry import leases
from photo_api.timeline import queries
from tests.own_stage import own_database

WRITERS, STEPS = 5, 30
MONTHS = ("2023-12-31T23:59:59+09:00", "2024-01-01", "2024-02-29T12:00:00", None)
BY_COUNT = """SELECT to_char(sort_at, 'YYYY-MM') AS month, count(*) AS photos FROM photos
    WHERE owner_id = $1 AND status = 'ready' AND archived = $2 GROUP BY 1 ORDER BY 1 DESC"""


@pytest.fixture(scope="module")
def database(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[str]:
    with own_database(stack, environ) as settings:
        yield settings["PHOTO_API_DATABASE_URL"]


async def new_owner(db: Any) -> int:
    owner: int = await db.fetchval(
        "INSERT INTO users (email, username, password_hash) VALUES ($1, 'm', '') RETURNING id",
        f"{uuid4().hex}@x.org",
    )
    return owner


async def assert_exact(db: Any, owners: list[int]) -> None:
    """In one snapshot, while others write."""
    async with db.transaction(isolation="repeatable_read"):
        for owner in owners:
            for archived in (False, True):
                kept = await queries.months(db, owner, archived=archived)
                assert kept == await db.fetch(BY_COUNT, owner, archived)


class Writer:
    """Somebody who changes photos of both owners at random, in transactions that may be undone."""

    def __init__(self, db: Any, owners: list[int], seed: float) -> None:
        self.db, self.owners, self.random = db, owners, random.Random(seed)

    async def write(self) -> None:
        acts: list[Callable[[], Awaitable[object]]] = [
            self.upload, self.upload, self.presign, self.status, self.status, self.archive,
            self.date, self.many, self.erase, self.move,
        ]  # fmt: skip
        for _ in range(STEPS):
            transaction = self.db.transaction()
            await transaction.start()
            try:
                for _ in range(self.random.choice([1, 1, 1, 2])):
                    await self.random.choice(acts)()
            except (asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError):
                await transaction.rollback()  # two photos in the other order: no month is at fault
                continue
            await (transaction.commit() if self.random.random() < 0.8 else transaction.rollback())

    async def upload(self, status: str = "ready") -> None:
        await self.db.execute(
            "INSERT INTO photos (owner_id, album_id, status, original_filename, content_type,"
            " file_size, object_key, taken_at)"
            " VALUES ($1, 1, $2, 'x.jpg', 'image/jpeg', 1, $3, $4)",
            self.random.choice(self.owners), status, uuid4().hex, self.random.choice(MONTHS),
        )  # fmt: skip

    async def presign(self) -> None:
        await self.upload("pending")

    async def on_one(self, change: str, *args: object) -> None:
        """A change of some photo, in whatever state it is."""
        await self.db.execute(
            f"UPDATE photos SET {change} WHERE status <> 'gone' AND id = (SELECT id FROM photos"
            " WHERE owner_id = ANY ($1) AND status <> 'gone' ORDER BY hashint8(id + $2) LIMIT 1)",
            self.owners, self.random.randrange(10**6), *args,
        )  # fmt: skip

    async def status(self) -> None:
        """Confirmed, put into the trash, restored, or deleted as the release before does it."""
        status = self.random.choice(["ready", "ready", "trashed", "gone"])
        await self.on_one("status = $3, trashed_at = now()", status)

    async def archive(self) -> None:
        await self.on_one("archived = NOT archived")

    async def date(self) -> None:
        """As the release before, by the file alone; or the user's word, or taken back."""
        change = self.random.choice(
            ["taken_at = '2022-07-01'", "sort_at = '2021-06-01', date_source = 'user'",
             "date_source = 'file'", "sort_at = sort_at + interval '40 days', date_source = 'user'"]
        )  # fmt: skip
        await self.on_one(change)

    async def many(self) -> None:
        await self.db.execute(
            "UPDATE photos p SET archived = NOT archived, date_source = 'user',"
            " sort_at = sort_at - interval '20 days' FROM (SELECT id FROM photos"
            " WHERE owner_id = ANY ($1) AND status = 'ready' ORDER BY id LIMIT 5 FOR UPDATE) some_"
            " WHERE p.id = some_.id AND p.status = 'ready'",
            self.owners,
        )

    async def erase(self) -> None:
        await self.db.execute(
            "DELETE FROM photos WHERE status <> 'x' AND id IN (SELECT id FROM photos WHERE"
            " owner_id = ANY ($1) AND status <> 'x' ORDER BY hashint8(id + $2) LIMIT 2)",
            self.owners, self.random.randrange(10**6),
        )  # fmt: skip

    async def move(self) -> None:
        await self.on_one("owner_id = $3", self.random.choice(self.owners))


async def test_months_are_exact_in_every_snapshot(database: str) -> None:
    connections: list[Any] = [await asyncpg.connect(database) for _ in range(WRITERS + 2)]
    looking, adding, *writing = connections
    seed = random.random()
    print("seed", seed)
    try:
        owners = [await new_owner(looking), await new_owner(looking)]
        lease = await leases.acquire(looking, "months", "tests", 600)
        assert lease is not None
        writers = asyncio.gather(
            *(Writer(db, owners, seed + n).write() for n, db in enumerate(writing))
        )
        looks = 0
        while not writers.done():
            await queries.add_up(adding, lease)
            await assert_exact(looking, owners)
            looks += 1
            await asyncio.sleep(0.05)
        await writers
        assert looks > 3
        await assert_exact(looking, owners)
        await queries.add_up(adding, lease)
        assert await looking.fetchval("SELECT count(*) FROM timeline_changes") == 0
        await assert_exact(looking, owners)
        kept = await looking.fetch("SELECT * FROM timeline_months ORDER BY owner_id, month")
        await looking.execute("SELECT count_timeline()")
        assert kept == await looking.fetch("SELECT * FROM timeline_months ORDER BY 1, 2")
        await looking.execute("DELETE FROM users WHERE id = $1", owners[0])
        await queries.add_up(adding, lease)
        left = await looking.fetch("SELECT DISTINCT owner_id FROM timeline_months")
        assert [owner for (owner,) in left] == [owners[1]], "nothing is left of who is gone"
    finally:
        for db in connections:
            db.terminate()


async def test_nobody_waits_for_a_month(database: str) -> None:
    """Changes of one month's photos beside another transaction that has changed it, and beside
    whoever adds up; what is not committed counts for nobody else. (Uploads of one user do wait, for
    the sum of their bytes.)"""
    one, other = await asyncpg.connect(database), await asyncpg.connect(database)
    try:
        owner = await new_owner(one)
        lease = await leases.acquire(one, "nobody waits", "tests", 600)
        assert lease is not None
        for _ in range(3):
            await Writer(one, [owner], 1).upload()
        first, second, _ = await one.fetch(
            "SELECT id FROM photos WHERE owner_id = $1 AND status = 'ready'", owner
        )
        await other.execute("SET lock_timeout = '100ms'")
        archive = "UPDATE photos SET archived = true WHERE id = $1 AND status = 'ready'"
        transaction = one.transaction()
        await transaction.start()
        await one.execute(archive, first["id"])
        await other.execute(archive, second["id"])
        await queries.add_up(other, lease)
        assert [row["photos"] for row in await queries.months(other, owner, archived=False)] == [2]
        await transaction.commit()
        assert [row["photos"] for row in await queries.months(other, owner, archived=False)] == [1]
    finally:
        await one.close()
        await other.close()

"""No statement reads more because others have more: pages read are counted, time is not."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from bench.every_statement import STATEMENTS
from bench.flat import NOT_FLAT
from bench.many_rows import (
    GROWING,
    LARGE,
    MIDDLE,
    NONE,
    WHOLE_INDEXES,
    Rows,
    buffers,
    explained,
    fill,
    ids_of,
    rows_for,
    scanned,
)
from bench.senders import Seen, senders_in_sources
from photo_api.db.connect import ONE_PLAN
from photo_api.jobs import queue, statistics
from photo_api.registry import leases
from tests.own_stage import own_database

FEW, MANY = Rows(1200, 24_000, share=4), Rows(6000, 120_000, share=4)
"""One user has so many that a statement would show which reads all of theirs."""

GROWS, AT_LEAST = 1.35, 18
"""Ratio, and pages, by which the deeper trees of a larger table may show: a level for each
hundredfold."""

SCANS = {
    "photos without": "`photo-api reconcile`, which compares all photos with the store",
}
"""Statements that may read a growing table from one end to the other, and why."""


ELSEWHERE = ("db/", "moving/", "photos/reconcile", "photos/adoption.py")
"""Sources whose statements are no request's and on no timer: the pool, migrations, and commands
that compare everything."""

ALONE = {
    "accounts/admin_queries.py set_quota": "a command of the operator's, for one account",
    "accounts/admin_queries.py users": "a command of the operator's, which shows accounts",
    "health/probe.py DatabaseProbe._ask": "SELECT 1",
    "jobs/queue.py jobs": "a command of the operator's, which shows jobs",
    "photos/late_uploads.py leave_to_sweep": "what late_uploads._unknown has found, by its keys",
    "renditions/job.py _PhotoJob._keep": "a photo and its job, by their ids",
    "renditions/job.py _PhotoJob._photo": "a photo, by its id",
    "renditions/rereading.py MetadataJob._key": "a photo, by its id",
    "storage/swift_opening.py open_requests": "no statement: a token's request",
}
"""What is not in the catalogue, and why."""


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture
def empty(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


def as_superuser(stack: dict[str, Any], settings: dict[str, str]) -> str:
    path = urlsplit(settings["PHOTO_API_DATABASE_URL"]).path
    return str(urlunsplit(urlsplit(stack["superuser_url"])._replace(path=path)))


@pytest.fixture
async def superuser(
    stack: dict[str, Any], settings: dict[str, str]
) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        as_superuser(stack, settings), server_settings={"plan_cache_mode": ONE_PLAN}
    )
    yield connection
    await connection.close()


async def read_by_each(connection: Any, user: int) -> dict[tuple[str, int], int]:
    """Pages of each statement, by what calls it and its number there; none has an effect."""
    read: dict[tuple[str, int], int] = {}
    everything = connection.transaction()
    await everything.start()
    ids = await ids_of(connection, user)
    for name, call in STATEMENTS.items():
        own = connection.transaction()
        await own.start()

        async def look(query: str, args: tuple[object, ...], name: str = name) -> None:
            plan = await explained(connection, query, args, "ANALYZE, BUFFERS, TIMING OFF")
            number = sum(1 for caller, _ in read if caller == name)
            read[name, number] = buffers(plan)

        await call(Seen(connection, look), ids)
        await own.rollback()
    await everything.rollback()
    return read


@pytest.mark.slow
async def test_what_a_statement_reads_does_not_grow_with_the_tables(
    superuser: Any,
) -> None:
    await fill(superuser, NONE, FEW)
    few = {user: await read_by_each(superuser, user) for user in (MIDDLE, LARGE)}
    await fill(superuser, FEW, MANY)
    many = {user: await read_by_each(superuser, user) for user in (MIDDLE, LARGE)}
    grown = {
        (statement, user): (few[user].get(statement, 0), pages)
        for user in few
        for statement, pages in many[user].items()
        if statement[0] not in NOT_FLAT and pages > GROWS * few[user].get(statement, 0) + AT_LEAST
    }
    assert grown == {}
    await superuser.execute("SET session_replication_role = origin")
    async with superuser.transaction():
        before = await superuser.fetch(READ, GROWING)
        await superuser.execute("DELETE FROM users WHERE id = 7")
        assert await superuser.fetch(READ, GROWING) == before, "a user goes by indexes"


READ = (
    "SELECT relname, seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = ANY ($1) ORDER BY 1"
)


async def test_no_statement_needs_to_read_a_growing_table_from_end_to_end(
    stack: dict[str, Any], empty: dict[str, str]
) -> None:
    """Not even of few rows, when scans are made dear: there is an index for each."""
    superuser: Any = await asyncpg.connect(
        as_superuser(stack, empty), server_settings={"plan_cache_mode": ONE_PLAN}
    )
    found: dict[str, set[str]] = {}
    senders: set[str] = set()
    everything = superuser.transaction()
    await everything.start()
    await rows_for(superuser, NONE, FEW)
    await superuser.execute("ANALYZE")
    await superuser.execute("SET LOCAL enable_seqscan = off")
    ids = await ids_of(superuser, MIDDLE)
    whole = dict(await superuser.fetch(WHOLE_INDEXES, GROWING))
    for name, call in STATEMENTS.items():
        own = superuser.transaction()
        await own.start()

        async def look(query: str, args: tuple[object, ...], name: str = name) -> None:
            plan = await explained(superuser, query, args, "COSTS")
            if tables := scanned(plan, whole):
                found.setdefault(name, set()).update(tables)

        seen = Seen(superuser, look)
        await call(seen, ids)
        senders |= seen.senders
        await own.rollback()
    await everything.rollback()
    await superuser.close()
    assert set(found) == set(SCANS), found
    left = {sender for sender in senders_in_sources() - senders if not sender.startswith(ELSEWHERE)}
    assert left == set(ALONE), "a statement that is not in the catalogue"


async def test_totals_are_exact_whoever_changes_rows_beside(empty: dict[str, str]) -> None:
    """While changes are added up by several at once, some transactions are taken back."""
    url = empty["PHOTO_API_DATABASE_URL"]
    connections: list[Any] = [await asyncpg.connect(url) for _ in range(6)]
    counting, other, *writers = connections
    user = await counting.fetchval(
        "INSERT INTO users (email, username, password_hash) VALUES ('a', 'a', '') RETURNING id"
    )
    lease = await leases.acquire(counting, "maintenance", "tests", 600)
    assert lease is not None
    busy = [asyncio.create_task(_change(one, user, n)) for n, one in enumerate(writers)]
    while not all(task.done() for task in busy):
        await asyncio.gather(
            statistics.count_waiting(counting, lease), statistics.count_waiting(other, lease)
        )
    await asyncio.gather(*busy)
    for beforehand in ("SELECT 1", "SELECT count_totals()", RENEWED):
        await counting.execute(beforehand)
        await statistics.count(counting, lease)  # links that have expired leave the number
        await statistics.count_waiting(counting, lease)
        await statistics.count(counting, lease)
        told = await statistics.statistics(counting)
        photos, size = await counting.fetchrow(
            "SELECT count(*), sum(file_size) FROM photos WHERE status = 'ready'"
        )
        assert (told["photos_ready"], told["bytes_ready"]) == (photos, size)
        assert told["albums"] == await counting.fetchval("SELECT count(*) FROM albums")
        assert told["shares"] == await counting.fetchval(
            "SELECT count(*) FROM shares WHERE is_active AND coalesce(expires_at > now(), true)"
        )
        depth = await queue.depth(counting)
        states = dict(await counting.fetch("SELECT state, count(*) FROM jobs GROUP BY state"))
        assert {name: depth[name] for name in ("queued", "leased", "dead")} == {
            name: states.get(name, 0) for name in ("queued", "leased", "dead")
        }
        assert await counting.fetchval("SELECT count(*) FROM total_changes") == 0
    await counting.execute("DELETE FROM users")
    await statistics.count(counting, lease)
    told = await statistics.statistics(counting)
    names = ("users", "albums", "shares", "photos_ready", "bytes_ready")
    assert [told[name] for name in names] == [0] * 5
    for connection in connections:
        await connection.close()


RENEWED = (
    "UPDATE shares SET expires_at = CASE id % 2 WHEN 0 THEN now() + interval '1 hour' END"
    " WHERE expiry_counted"
)


async def _change(db: Any, user: int, number: int) -> None:
    for turn in range(25):
        change = db.transaction()
        await change.start()
        ids = [
            row[0]
            for row in await db.fetch(
                "INSERT INTO photos (owner_id, status, album_id, original_filename, content_type,"
                " file_size, object_key) SELECT $1, s, 0, '', '', 1000 + n,"
                " format('%s/%s/%s', $2::int, $3::int, n)"
                " FROM generate_series(1, 3) n, unnest(ARRAY[CASE n % 2 WHEN 0 THEN 'pending'"
                " ELSE 'ready' END]) s RETURNING id",
                user, number, turn,
            )
        ]  # fmt: skip
        await db.execute("UPDATE photos SET status = 'ready' WHERE id = ANY ($1)", ids[:2])
        await db.execute("UPDATE photos SET status = 'gone' WHERE id = $1", ids[2])
        album = await db.fetchval(
            "INSERT INTO albums (owner_id, name) VALUES ($1, 'a') RETURNING id", user
        )
        await db.execute(
            "INSERT INTO shares (album_id, token_hash, token_sealed, token_kid, is_active,"
            " expires_at) SELECT $1, sha256(format('%s %s', $1::bigint, n)::bytea), '', '',"
            " n <> 3, CASE n WHEN 2 THEN now() - interval '1 s' END FROM generate_series(1, 4) n",
            album,
        )
        await db.execute("UPDATE shares SET view_count = 1 WHERE album_id = $1", album)
        await db.execute("UPDATE jobs SET state = 'dead' WHERE subject_id = $1", album)
        await db.execute(
            "INSERT INTO jobs (kind, subject_id) SELECT 'renditions', id"
            " FROM unnest($1::bigint[]) id", ids,
        )  # fmt: skip
        await db.execute("UPDATE jobs SET state = 'leased' WHERE subject_id = $1", ids[0])
        await db.execute("DELETE FROM jobs WHERE subject_id = $1 AND kind = 'renditions'", ids[1])
        await (change.rollback() if turn % 5 == 4 else change.commit())

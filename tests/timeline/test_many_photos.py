"""70,000 photos in one month and a million of one user: what is read of them, by pages."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from bench.many_rows import buffers, explained, nodes
from bench.senders import Seen
from photo_api.db.connect import ONE_PLAN
from photo_api.timeline import queries
from tests.db.test_flat_statements import as_superuser
from tests.own_stage import own_database

MONTH, FOLLOWING = datetime(2024, 5, 1), datetime(2024, 6, 1)
IN_ONE_MONTH, LARGEST = 70_000, 1_000_000

FILL = """INSERT INTO photos (owner_id, album_id, status, original_filename, content_type,
    file_size, object_key, sort_at, date_source, dates_passed_over, width, height, archived,
    favourite)
SELECT $1, 1, 'ready', 'x.jpg', 'image/jpeg', 1, format('%s/%s', $1::bigint, n),
    {moment}, 'exif', '{{}}', 4000 + n % 3, 3000, n % 10 = 0, n % 30 = 1
FROM generate_series(1, $2::int) n"""
"""Uploaded in another order than they were taken in, as somebody does who moves in."""

IN_MONTH = "'2024-05-01'::timestamp + make_interval(secs => n::bigint * 7919 % 2678400)"
OVER_YEARS = "'2001-01-01'::timestamp + make_interval(mins => (n::bigint * 7919 % 11000000)::int)"


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture
async def db(stack: dict[str, Any], settings: dict[str, str]) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(
        as_superuser(stack, settings), server_settings={"plan_cache_mode": ONE_PLAN}
    )
    yield connection
    await connection.close()


async def filled(db: Any, photos: int, moment: str) -> int:
    owner: int = await db.fetchval(
        "INSERT INTO users (email, username, password_hash) VALUES ($1, 'm', '') RETURNING id",
        f"{photos}@x.org",
    )
    await db.execute("SET session_replication_role = replica")
    await db.execute(FILL.format(moment=moment), owner, photos)
    await db.execute("SET session_replication_role = origin")
    await db.execute("SELECT count_timeline()")
    await db.execute("VACUUM ANALYZE photos")
    return owner


async def read(db: Any, ask: Any) -> tuple[int, set[str], Any]:
    """Pages, the nodes of its plans, and what it gives."""
    told: list[Any] = []

    async def look(query: str, args: tuple[object, ...]) -> None:
        told.append(await explained(db, query, args, "ANALYZE, BUFFERS, TIMING OFF"))

    answer = await ask(Seen(db, look))
    kinds = {node["Node Type"] for plan in told for node, _ in nodes(plan)}
    return sum(map(buffers, told)), kinds, answer


async def walk(db: Any, owner: int, limit: int, *, archived: bool) -> tuple[list[int], int]:
    """The ids of a whole month, and the most pages that one answer has taken."""
    ids: list[int] = []
    before, most = (FOLLOWING, 0), 0
    while True:
        pages, kinds, page = await read(
            db, lambda db, before=before: queries.month(
                db, owner, MONTH, before, limit, archived=archived
            ),
        )  # fmt: skip
        assert "Index Only Scan" in kinds
        assert not kinds & {"Sort", "Seq Scan", "Bitmap Heap Scan"}
        most = max(most, pages)
        ids += [int(one) for one in page["ids"][1:-1].split(",") if one]
        if page["photos"] < limit:
            return ids, most
        before = page["last_at"], page["last_id"]


@pytest.mark.slow
async def test_a_month_of_70_000_is_read_from_an_index_alone(db: Any) -> None:
    owner = await filled(db, IN_ONE_MONTH, IN_MONTH)
    await _months_and_pages(db, owner, 1, IN_ONE_MONTH)


@pytest.mark.long
async def test_a_million_of_one_user_are_no_slower(db: Any) -> None:
    owner = await filled(db, LARGEST, OVER_YEARS)
    await _months_and_pages(db, owner, 252, LARGEST)


async def _months_and_pages(db: Any, owner: int, months: int, photos: int) -> None:
    pages, _, rows = await read(db, lambda db: queries.months(db, owner, archived=False))
    assert abs(len(rows) - months) <= 1
    assert sum(row["photos"] for row in rows) == photos * 9 // 10
    assert pages <= 10 + months // 20, pages
    by_date = (
        "SELECT id FROM photos WHERE owner_id = $1 AND status = 'ready' AND archived = $2"
        " AND sort_at >= $3 AND sort_at < $4 ORDER BY sort_at DESC, id DESC"
    )
    for archived in (False, True):
        expected = [row["id"] for row in await db.fetch(by_date, owner, archived, MONTH, FOLLOWING)]
        for limit in (5000, 100):
            if limit == 100 and len(expected) > 10_000:
                continue
            ids, most = await walk(db, owner, limit, archived=archived)
            assert ids == expected
            assert most <= 8 + limit // 60, "an entry of the index has some 70 bytes"
    ids = expected[:200]
    pages, kinds, found = await read(db, lambda db: queries.tiles(db, owner, ids))
    assert len(found) == len(ids)
    assert "Seq Scan" not in kinds
    assert pages <= 5 * len(ids), "a row, and the levels of an index, for each"

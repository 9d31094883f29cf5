"""What lists read, of somebody whose 200,000 photos have what is asked for anywhere, or nowhere."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from bench.flat import later_indexes
from bench.many_rows import buffers, explained, nodes
from photo_api.db.connect import ONE_PLAN
from photo_api.errors import ApiError, Code
from photo_api.photos import finding
from photo_api.photos.filters import Box, Filters
from photo_api.photos.search import terms_of
from photo_api.photos.ways import LOOKED_AT
from tests.own_stage import database_of, own_database

MANY, OLD = 200_000, 60
OWNER = 1
ALL_OLD, ALL_NEW, RARE = 1, 2, 3
"""Albums: of the oldest photos, of the newest, and of some everywhere. In none are the oldest but
those in the first two."""

FILL = f"""
INSERT INTO photos (owner_id, status, original_filename, content_type, file_size, object_key,
    renditions, thumbnail_key, metadata_reader, display_key, sort_at, favourite, archived, camera,
    latitude, longitude, search_text)
SELECT {OWNER}, 'ready', 'x', 'image/' || CASE WHEN i <= {OLD} THEN 'png'
    WHEN i > {MANY - OLD} THEN 'heic' ELSE 'jpeg' END, 1, 'p' || i, 'ready',
    CASE WHEN i > {OLD} THEN 't' END, 1, 'd', '2000-01-01'::timestamp + make_interval(mins => i),
    i <= {OLD}, i > {OLD}, CASE WHEN i <= {OLD} THEN 'Old' WHEN i > {MANY - OLD} THEN 'New'
    WHEN i % 4000 = 0 THEN 'Rare' ELSE 'Usual' END, CASE WHEN i > {OLD} THEN 37.5 + i % 2 END,
    CASE WHEN i <= {OLD} THEN NULL WHEN i <= 2 * {OLD} THEN 179.5 - i % 2 * 359 ELSE 127 END,
    CASE WHEN i % {MANY // 5} = 7 THEN '봉화' WHEN i < 20000 THEN '서울' ELSE '' END || ' img'
FROM generate_series(1, {MANY}) i
"""
KEYS = (
    "INSERT INTO photo_search (photo_id, owner_id, keys)"
    " SELECT id, owner_id, search_keys(owner_id, search_text) FROM photos"
)
ALBUMS = f"""
INSERT INTO album_photos (album_id, photo_id, sort_at)
SELECT CASE WHEN id <= {OLD} / 2 THEN {ALL_OLD} WHEN id > {MANY - OLD} THEN {ALL_NEW}
    ELSE {RARE} END, id, sort_at FROM photos
WHERE id <= {OLD} / 2 OR id > {OLD}
"""
IN_NONE = f"""
INSERT INTO photos_in_no_album (photo_id, owner_id, sort_at)
SELECT id, owner_id, sort_at FROM photos WHERE id > {OLD} / 2 AND id <= {OLD}
"""


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture
async def superuser(
    stack: dict[str, Any], settings: dict[str, str]
) -> AsyncIterator[asyncpg.Connection]:
    path = urlsplit(settings["PHOTO_API_DATABASE_URL"]).path
    url = str(urlunsplit(urlsplit(stack["superuser_url"])._replace(path=path)))
    connection = await asyncpg.connect(url, server_settings={"plan_cache_mode": ONE_PLAN})
    yield connection
    await connection.close()


async def read_for(superuser: Any, filters: Filters) -> tuple[int, int, int]:
    """How many photos a page has, how many rows were read for it, and how many pages."""
    query, values, _ = finding.statement(OWNER, finding.Page(filters))
    plan = await explained(superuser, query, tuple(values), "ANALYZE, BUFFERS, TIMING OFF")
    read = sum(
        node["Actual Loops"] * sum(node.get(name, 0) for name in ("Actual Rows", *REMOVED))
        for node, _ in nodes(plan)
        if "Relation Name" in node
    )
    return plan["Actual Rows"], read, buffers(plan)


REMOVED = ("Rows Removed by Filter", "Rows Removed by Index Recheck")
SINGLE: dict[str, Filters] = {
    "by date": Filters(),
    "the first": Filters(taken_before=datetime(2000, 1, 1, 2)),
    "none so late": Filters(taken_from=datetime(2030, 1, 1)),
    "a time": Filters(taken_from=datetime(2000, 2, 1), taken_before=datetime(2000, 2, 2)),
    "favourites, all old": Filters(favourite=True),
    "archived, nearly all": Filters(archived=True),
    "not archived, all old": Filters(archived=False),
    "camera, all old": Filters(camera="Old"),
    "camera, all new": Filters(camera="New"),
    "camera, rare": Filters(camera="Rare"),
    "camera, nearly all": Filters(camera="Usual"),
    "camera, none": Filters(camera="None"),
    "camera in a time": Filters(camera="Usual", taken_before=datetime(2000, 1, 3)),
    "type, all old": Filters(content_type="image/png"),
    "type, all new": Filters(content_type="image/heic"),
    "type, nearly all": Filters(content_type="image/jpeg"),
    "type, none": Filters(content_type="image/gif"),
    "no renditions, all old": Filters(without_renditions=True),
    "place, nearly all": Filters(has_place=True),
    "no place, all old": Filters(has_place=False),
    "box, nearly all": Filters(box=Box(126, 37, 128, 39)),
    "box, all old": Filters(box=Box(179, 37, 180, 39)),
    "box over the date line, all old": Filters(box=Box(179, 37, -179, 39)),
    "box, none": Filters(box=Box(0, 0, 10, 10)),
    "box, none before": Filters(box=Box(126, 37, 128, 39), taken_before=datetime(2000, 1, 1, 2)),
    "album, all old": Filters(album=ALL_OLD),
    "album, all new": Filters(album=ALL_NEW),
    "album, nearly all": Filters(album=RARE),
    "album, none": Filters(album=99),
    "album in a time": Filters(album=RARE, taken_before=datetime(2000, 1, 3)),
    "no album, all old": Filters(in_no_album=True),
}
SEVERAL: dict[str, Filters] = {
    "nearly all, and all old": Filters(camera="Usual", archived=False),
    "all old twice": Filters(camera="Old", favourite=True),
    "all new, and all old": Filters(content_type="image/heic", has_place=False),
    "rare, and nearly all": Filters(camera="Rare", has_place=True, archived=True),
}
FIVE_TIMES, AT_LEAST = 5, 10


@pytest.mark.slow
async def test_no_list_reads_more_than_five_times_what_it_gives(
    superuser: Any, settings: dict[str, str]
) -> None:
    async with later_indexes(superuser):
        await superuser.execute("SET session_replication_role = replica")
        await superuser.execute(
            "INSERT INTO users (email, username, password_hash) VALUES ('a', 'a', '');"
            "INSERT INTO albums (owner_id, name) SELECT 1, 'a' FROM generate_series(1, 3)"
        )
        for statement in (FILL, KEYS, ALBUMS, IN_NONE):
            await superuser.execute(statement)
    await superuser.execute("VACUUM ANALYZE")
    found = {name: await read_for(superuser, filters) for name, filters in SINGLE.items()}
    wrong = {
        name: (given, read)
        for name, (given, read, _) in found.items()
        if read > FIVE_TIMES * given + AT_LEAST
        or (given == 0) != (", none" in name or "none " in name)
    }
    assert wrong == {}
    for name, filters in SEVERAL.items():
        given, read, _ = await read_for(superuser, filters)
        assert read <= FIVE_TIMES * given + 3 * LOOKED_AT + 2 * OLD, name
    rare, read, pages = await read_for(superuser, Filters(terms=terms_of("봉화")))
    assert (rare, pages <= 50) == (5, True), (read, pages)
    await _too_broad(settings)


async def _too_broad(settings: dict[str, str]) -> None:
    """What takes longer is told, and the connection serves on."""
    async with database_of(settings) as db:
        page = finding.Page(Filters(terms=terms_of("서울 img"), camera="Usual"))
        with pytest.raises(ApiError) as refused:
            await finding.find(db, 0.001, OWNER, page)
        assert refused.value.code is Code.FILTER_TOO_BROAD
        assert "taken_from" in refused.value.detail
        assert "`q`" in refused.value.detail
        assert len(await finding.find(db, 5, OWNER, page)) == page.limit

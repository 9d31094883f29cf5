"""Photos by what they have in common, and what there is to ask for."""

from dataclasses import dataclass
from typing import Any, get_args

import asyncpg

from photo_api.db.bounded import fetch_within
from photo_api.errors import ApiError, Code
from photo_api.http.pages import ended_by_bytes
from photo_api.photos.filters import Filters, Type
from photo_api.photos.presentation import COLUMNS
from photo_api.photos.text_search import searched
from photo_api.photos.ways import ORDER, After, Statement, driver, followed


@dataclass(frozen=True, slots=True)
class Page:
    """As many photos as the limit behind one of them."""

    filters: Filters
    after: After = After()
    limit: int = 50


async def find(db: Any, seconds: float, owner_id: int, page: Page) -> list[Any]:
    """The photos, each with its `sort_at`. What has no index of its own may take so many seconds;
    raises `ApiError` FILTER_TOO_BROAD beyond."""
    query, values, bounded = statement(owner_id, page)
    if bounded:
        rows: list[Any] = await db.fetch(query, *values)
        return rows
    try:
        return await fetch_within(db, seconds, query, *values)
    except asyncpg.QueryCanceledError as error:
        raise ApiError(Code.FILTER_TOO_BROAD, too_broad(page.filters)) from error


def too_broad(filters: Filters) -> str:
    """What to narrow."""
    narrower = ["ask for a shorter time with taken_from and taken_before"]
    if filters.terms is not None:
        narrower.append("search for a longer or rarer word in `q`")
    if filters.box is not None:
        narrower.append("make `bbox` smaller")
    told = f"Too many photos have to be looked at for this: {', or '.join(narrower)}"
    return f"{told}. While the database is busy, the same may do in a moment"


def statement(owner_id: int, page: Page) -> tuple[str, list[object], bool]:
    """The statement for a page, its values, and whether an index gives what it reads."""
    filters, place = page.filters, min(page.after, After())
    if filters.taken_before is not None:
        place = min(place, After(filters.taken_before, 0))
    made = Statement(filters, [owner_id, *place, page.limit])
    ways = made.ways() or [made.by_date()]
    common = [driver(ways)] if len(ways) > 1 else []
    if filters.terms is None:
        photos = followed(ways)
    else:
        tables, photos = searched(made, ways, filters.terms)
        common += tables
    select = f"SELECT p.sort_at, {COLUMNS} FROM ({photos}) p ORDER BY {ORDER} LIMIT $4"
    head = f"WITH {', '.join(common)}" if common else ""
    bounded = len(ways) == 1 and filters.terms is None
    return head + ended_by_bytes(select, ORDER), made.values, bounded


MOST_CAMERAS = 200
CAMERAS = """
WITH RECURSIVE named AS (
    (SELECT camera FROM photos p WHERE owner_id = $1 AND status = 'ready' AND camera IS NOT NULL
        ORDER BY camera LIMIT 1)
    UNION ALL SELECT (SELECT p.camera FROM photos p WHERE p.owner_id = $1 AND p.status = 'ready'
        AND p.camera > named.camera ORDER BY p.camera LIMIT 1) FROM named WHERE camera IS NOT NULL
) SELECT camera FROM named WHERE camera IS NOT NULL LIMIT $2"""
TYPES = """
SELECT type FROM unnest($3::text[]) type WHERE (
    SELECT true FROM photos p WHERE p.owner_id = $1 AND p.status = 'ready'
    AND p.content_type = 'image/' || type LIMIT 1)"""
"""Not by EXISTS, which may become a join that reads all that the owner has."""


async def facets(db: Any, owner_id: int) -> dict[str, list[str]]:
    """What filters may ask for: each value is looked up behind the one before."""
    row = await db.fetchrow(
        f"SELECT ARRAY({CAMERAS}) AS cameras, ARRAY({TYPES}) AS types",
        owner_id, MOST_CAMERAS, get_args(Type),
    )  # fmt: skip
    return {"cameras": row["cameras"], "types": row["types"]}

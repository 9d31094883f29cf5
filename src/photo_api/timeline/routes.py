"""The timeline: months, what a month holds, and tiles of the photos that are in view."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response

from photo_api.contract import API_PREFIX
from photo_api.errors import not_found
from photo_api.http.cursors import Cursor, decode_moment, encode_moment
from photo_api.http.direct_route import DirectRoute
from photo_api.http.fields import COUNT, MAX_ID, PathId, in_range
from photo_api.http.json import json_response
from photo_api.http.openapi import errors
from photo_api.photos.delivery import file_of
from photo_api.photos.queries import thumbnail_of
from photo_api.photos.routes import REDIRECT
from photo_api.photos.thumbnail_urls import LENGTH
from photo_api.state import Anyone, Authenticated, Caller
from photo_api.timeline import queries
from photo_api.timeline.models import MonthPage, Tiles, TilesRequest, Timeline

router = APIRouter(prefix=API_PREFIX, tags=["timeline"], route_class=DirectRoute)

MOST_OF_A_MONTH = 5000

MonthName = Annotated[
    str,
    Path(max_length=7, pattern=r"^(1[89]|2[0-9])[0-9]{2}-(0[1-9]|1[0-2])$", examples=["2024-05"]),
]
Archived = Annotated[bool, Query(description="those that are archived, and no others")]
MonthLimit = Annotated[
    int,
    COUNT,
    Query(ge=0, description=f"how many at most; above {MOST_OF_A_MONTH} is {MOST_OF_A_MONTH}"),
    AfterValidator(lambda value: min(value, MOST_OF_A_MONTH)),
]


@router.get("/timeline", response_model=Timeline, responses=errors(401, 403, 422, 503))
async def timeline(caller: Authenticated, archived: Archived = False) -> Response:
    """Months in which the caller took photos, by the clock on the wall there, and how many; those
    that are archived do not count unless asked for."""
    rows = await queries.months(caller.state.db, caller.user_id, archived=archived)
    return json_response({"months": [{"month": month, "photos": photos} for month, photos in rows]})


@router.get(
    "/timeline/{month}", response_model=MonthPage, responses=errors(400, 401, 403, 404, 422, 503)
)
async def month_page(
    month: MonthName,
    caller: Authenticated,
    archived: Archived = False,
    limit: MonthLimit = MOST_OF_A_MONTH,
    cursor: Cursor = None,
) -> Response:
    """What it takes to lay a month out: ids, ratios and days of up to 5,000 photos, in lists that
    go together, the latest first. `POST /photos/tiles` has the rest of those in view."""
    year, number = int(month[:4]), int(month[5:])
    first = datetime(year, number, 1)
    before = (datetime(year + number // 12, number % 12 + 1, 1), 0)
    if cursor:
        before = min(before, decode_moment(cursor))
    page = await queries.month(
        caller.state.db, caller.user_id, first, before, limit, archived=archived
    )
    behind = None
    if page["photos"] == limit and limit:
        behind = encode_moment(page["last_at"], page["last_id"])
    columns = {
        name: orjson.Fragment(page[name]) for name in ("ids", "ratios", "days", "favourites")
    }
    return json_response({"month": month, **columns, "next": behind})


@router.post("/photos/tiles", response_model=Tiles, responses=errors(401, 403, 422, 503))
async def tiles(body: TilesRequest, caller: Authenticated) -> Response:
    """What a page of thumbnails shows of up to 200 photos. Those that are not the caller's are left
    out."""
    ids = list(dict.fromkeys(filter(in_range, body.photo_ids)))
    found = {row[0]: row for row in await queries.tiles(caller.state.db, caller.user_id, ids)}
    rows = [found[photo_id] for photo_id in ids if photo_id in found]
    return json_response({"tiles": await _page(caller, rows) if rows else ()})


async def _page(caller: Caller, rows: list[Any]) -> Sequence[orjson.Fragment]:
    """Kept for the way in which thumbnails are delivered now."""
    state = caller.state
    key = rows[0]["id"], rows[-1]["id"], state.owners.way
    present = partial(_tiles, caller)
    return (await state.tile_pages.page(key, rows, present, state.owners.at_once)).json


def _tiles(caller: Caller, rows: Sequence[Any]) -> Iterator[dict[str, Any]]:
    named = [(row[0], row[-1], row[2]) for row in rows]
    urls = caller.state.thumbnails(caller.user_id, named)
    for row, url in zip(rows, urls, strict=True):
        (
            photo_id, title, original, content_type, width, height, blurhash, sort_at, favourite,
            archived, renditions, _,
        ) = row  # fmt: skip
        yield {
            "id": photo_id,
            "title": title,
            "original_filename": original,
            "content_type": content_type,
            "width": width,
            "height": height,
            "blurhash": blurhash,
            "sort_at": sort_at,
            "favourite": favourite,
            "archived": archived,
            "renditions": renditions,
            "thumbnail_url": url,
        }


@router.get(
    "/photos/{photo_id}/thumbnail",
    response_class=Response,
    responses=REDIRECT | errors(404, 416, 422, 503),
)
async def thumbnail(
    photo_id: PathId,
    request: Request,
    state: Anyone,
    owner: Annotated[int, COUNT, Query(ge=1, le=MAX_ID)],
    until: Annotated[int, COUNT, Query(ge=0, le=MAX_ID, description="in epoch seconds")],
    signature: Annotated[
        str, Query(max_length=LENGTH, pattern=r"^[A-Za-z0-9_-]+$", min_length=LENGTH)
    ],
) -> Response:
    """A thumbnail, by an address that tiles and the trash have signed: for `<img>`, which sends no
    token, where the service streams images itself."""
    if not state.thumbnail_urls.allows(owner, photo_id, until, signature):
        raise not_found("Photo")
    photo = await thumbnail_of(state.db, owner, photo_id)
    if photo is None:
        raise not_found("Photo")
    return await state.owners.deliver(request, file_of(photo, "thumbnail", own=True))

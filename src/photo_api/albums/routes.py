"""Albums and what is in them."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from photo_api.albums import arranging, queries
from photo_api.albums.models import (
    Album,
    AlbumChange,
    AlbumPage,
    AlbumWithCover,
    Changed,
    NewAlbum,
    PhotoIds,
    PhotoMove,
)
from photo_api.albums.orders import Order, in_its_order
from photo_api.contract import API_PREFIX
from photo_api.errors import ApiError, Code, not_found
from photo_api.http.cursors import Cursor, decode_cursor, next_page
from photo_api.http.direct_route import DirectRoute
from photo_api.http.fields import MAX_ID, MAX_LIMIT, Limit, PathId, Skip, in_range
from photo_api.http.idempotency import create_once, idempotency
from photo_api.http.json import encode_within, json_response, no_content
from photo_api.http.openapi import errors
from photo_api.http.pages import PAGE_BYTES
from photo_api.state import AppState, Authenticated, IdempotencyKey

router = APIRouter(prefix=f"{API_PREFIX}/albums", tags=["albums"], route_class=DirectRoute)
of_photos = APIRouter(prefix=f"{API_PREFIX}/photos", tags=["albums"], route_class=DirectRoute)

FIRST_PAGE = 1000

Covers = Annotated[
    bool, Query(description="tell the cover of each: what was chosen, or its first photo")
]


@router.post("", status_code=201, response_model=Album, responses=errors(401, 403, 422, 503))
async def create_album(
    body: NewAlbum, caller: Authenticated, idempotency_key: IdempotencyKey = None
) -> Response:
    """Open an album."""
    db = caller.state.db
    key = idempotency(caller.user_id, "albums", idempotency_key, body)

    async def create(connection: Any) -> int:
        description = body.description or None
        return await queries.insert_album(connection, caller.user_id, body.name, description)

    album_id, _ = await create_once(db, key, 201, create)
    album = await queries.album(db, caller.user_id, album_id)
    if album is None:
        raise not_found("Album")
    return json_response(dict(album), 201)


@router.get("", response_model=list[AlbumWithCover], responses=errors(400, 401, 403, 422, 503))
async def list_albums(
    caller: Authenticated,
    skip: Skip = 0,
    limit: Limit = 50,
    cursor: Cursor = None,
    covers: Covers = False,
) -> Response:
    """The caller's albums, newest first. A full page (`limit` albums or 4 MB) names the following
    one in its Link header, by a cursor that stays right while albums come and go."""
    before, state = decode_cursor(cursor) if cursor else MAX_ID, caller.state
    rows = await queries.albums(state.db, caller.user_id, before, skip, limit, covers=covers)
    told = await _covers(state, rows) if covers else [{}] * len(rows)
    page = encode_within(
        PAGE_BYTES, (_album(row) | cover for row, cover in zip(rows, told, strict=True))
    )
    headers = {}
    if page and (len(rows) == limit or len(page) < len(rows)):
        path = "/api/albums/"
        headers = next_page(
            path, rows[len(page) - 1]["id"], limit, "&covers=true" if covers else ""
        )
    return json_response(page, headers=headers)


def _album(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in queries.ALBUM_FIELDS}


async def _covers(state: AppState, rows: list[Any]) -> list[dict[str, Any]]:
    """The field `cover` of each. Others have their turn after as many URLs as are signed in a few
    milliseconds."""
    made: list[dict[str, Any]] = []
    for number, row in enumerate(rows, 1):
        photo_id, cover = row["cover_id"], None
        if photo_id is not None:
            url = state.thumbnail_url(
                row["cover_owner_id"], photo_id, row["cover_key"], row["cover_filename"]
            )
            blurhash = row["cover_blurhash"]
            cover = {"photo_id": photo_id, "thumbnail_url": url, "blurhash": blurhash}
        made.append({"cover": cover})
        if number % state.owners.at_once == 0:
            await asyncio.sleep(0)
    return made


@router.get("/{album_id}", response_model=AlbumPage, responses=errors(400, 401, 403, 404, 422, 503))
async def get_album(
    album_id: PathId,
    caller: Authenticated,
    skip: Skip = 0,
    limit: Annotated[Limit | None, Query()] = None,
    cursor: Cursor = None,
    covers: Covers = False,
) -> Response:
    """An album with its photos in its order (`sort`): a page of them, or without `limit` the first
    1,000; it ends at 4 MB in any case. `next` is null on the last page. Once the album has another
    order, a cursor is 400."""
    size, state = FIRST_PAGE if limit is None else limit, caller.state

    async def fetch(order: Order, after: tuple[Any, ...]) -> list[Any]:
        return await queries.album_page(
            state.db, caller.user_id, album_id, order, after, skip, size + 1, covers=covers
        )

    rows, order = await in_its_order(fetch, cursor)
    if not rows:
        raise not_found("Album")
    shown = [row for row in rows[:size] if row["id"] is not None]
    page = await state.owners.presenter.page(shown)
    album = rows[0]
    (cover,) = await _covers(state, rows[:1]) if covers else [{}]
    return json_response(
        {
            "id": album_id,
            "owner_id": album["album_owner_id"],
            "name": album["name"],
            "description": album["album_description"],
            "cover_photo_id": album["cover_photo_id"],
            "photo_count": album["photo_count"],
            "sort": album["sort"],
            "created_at": album["album_created_at"],
            "updated_at": album["album_updated_at"],
            **cover,
            "photos": page.json,
            "next": order.cursor_behind(page, rows),
        }
    )


@router.patch("/{album_id}", response_model=Album, responses=errors(400, 401, 403, 404, 422, 503))
async def change_album(album_id: PathId, body: AlbumChange, caller: Authenticated) -> Response:
    """Change name, description, cover or order."""
    cover = body.cover_photo_id
    row = await queries.update_album(
        caller.state.db,
        caller.user_id,
        album_id,
        body.name,
        body.description,
        # An id that cannot exist is asked for as 0, which no photo has.
        cover if cover is None or in_range(cover) else 0,
        body.sort,
    )
    if row is None:
        raise not_found("Album")
    if not row["cover_ok"]:
        raise ApiError(Code.INVALID_COVER, "The cover must be one of your photos")
    return json_response(_album(row))


@router.delete("/{album_id}", status_code=204, responses=errors(401, 403, 404, 503))
async def delete_album(album_id: PathId, request: Request, caller: Authenticated) -> Response:
    """Delete an album and its share links; its photos stay."""
    if not await queries.delete_album(
        caller.state.db, caller.user_id, album_id, request.state.request_id
    ):
        raise not_found("Album")
    return no_content()


@router.post(
    "/{album_id}/photos", response_model=Changed, responses=errors(401, 403, 404, 422, 503)
)
async def add_photos(album_id: PathId, body: PhotoIds, caller: Authenticated) -> Response:
    """Put photos at the album's end; those of others, unknown or already there are skipped."""
    wanted = list(filter(in_range, body.photo_ids))
    async with caller.state.changes.turn_at_last(caller.user_id):
        count = await queries.add_photos(caller.state.db, caller.user_id, album_id, wanted)
    if count is None:
        raise not_found("Album")
    return json_response({"message": f"Added {count} photos", "count": count})


@router.delete(
    "/{album_id}/photos", response_model=Changed, responses=errors(401, 403, 404, 422, 503)
)
async def remove_photos(album_id: PathId, body: PhotoIds, caller: Authenticated) -> Response:
    """Take photos out of the album; the photos themselves stay."""
    wanted = list(filter(in_range, body.photo_ids))
    async with caller.state.changes.turn_at_last(caller.user_id):
        count = await queries.remove_photos(caller.state.db, caller.user_id, album_id, wanted)
    if count is None:
        raise not_found("Album")
    return json_response({"message": f"Removed {count} photos", "count": count})


@router.post(
    "/{album_id}/photos/move",
    response_model=Changed,
    responses=errors(401, 403, 404, 422, 429, 503),
)
async def move_photos(album_id: PathId, body: PhotoMove, caller: Authenticated) -> Response:
    """Move photos of the album before or after another one of it, or to its start or end. Those
    that are not in the album are skipped; the other one must be. It is the order by position,
    whichever the album is shown in."""
    other = body.before if body.after is None else body.after
    side: arranging.Side = body.to or ("before" if body.after is None else "after")
    if other is not None and not in_range(other):
        raise not_found("The other photo")
    wanted = list(filter(in_range, body.photo_ids))
    where, state = arranging.Where(side, other), caller.state
    async with state.changes.turn(caller.user_id), state.db.transaction() as connection:
        count = await arranging.move(connection, caller.user_id, album_id, wanted, where)
    if count is None:
        raise not_found("Album")
    return json_response({"message": f"Moved {count} photos", "count": count})


@of_photos.get(
    "/{photo_id}/albums",
    response_model=list[Album],
    responses=errors(400, 401, 403, 404, 422, 503),
)
async def albums_of_photo(
    photo_id: PathId, caller: Authenticated, limit: Limit = MAX_LIMIT, cursor: Cursor = None
) -> Response:
    """The caller's albums that hold the photo, newest first. A full page names the following one in
    its Link header."""
    before = decode_cursor(cursor) if cursor else MAX_ID
    rows = await queries.albums_of_photo(caller.state.db, caller.user_id, photo_id, before, limit)
    if not rows:
        raise not_found("Photo")
    page = encode_within(PAGE_BYTES, (_album(row) for row in rows if row["id"] is not None))
    headers = {}
    if page and (len(page) == limit or len(page) < len(rows)):
        headers = next_page(f"/api/photos/{photo_id}/albums", rows[len(page) - 1]["id"], limit)
    return json_response(page, headers=headers)

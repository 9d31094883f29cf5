"""Albums and what is in them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from photo_api.albums import queries
from photo_api.albums.models import Album, AlbumChange, AlbumPage, Changed, NewAlbum, PhotoIds
from photo_api.contract import API_PREFIX
from photo_api.errors import ApiError, Code, not_found
from photo_api.http.cursors import Cursor, cursor_behind, decode_cursor, next_page
from photo_api.http.direct_route import DirectRoute
from photo_api.http.fields import MAX_ID, Limit, PathId, Skip, in_range
from photo_api.http.idempotency import create_once, idempotency
from photo_api.http.json import encode_within, json_response, no_content
from photo_api.http.openapi import errors
from photo_api.http.pages import PAGE_BYTES
from photo_api.state import Authenticated, IdempotencyKey

router = APIRouter(prefix=f"{API_PREFIX}/albums", tags=["albums"], route_class=DirectRoute)

FIRST_PAGE = 1000


@router.post("", status_code=201, response_model=Album, responses=errors(401, 403, 422, 503))
async def create_album(
    body: NewAlbum, caller: Authenticated, idempotency_key: IdempotencyKey = None
) -> Response:
    """Open an album."""
    db = caller.state.db
    key = idempotency(caller.user_id, "albums", idempotency_key, body.model_dump())

    async def create(connection: Any) -> int:
        description = body.description or None
        return await queries.insert_album(connection, caller.user_id, body.name, description)

    album_id, _ = await create_once(db, key, 201, create)
    album = await queries.album(db, caller.user_id, album_id)
    if album is None:
        raise not_found("Album")
    return json_response(dict(album), 201)


@router.get("", response_model=list[Album], responses=errors(400, 401, 403, 422, 503))
async def list_albums(
    caller: Authenticated, skip: Skip = 0, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """The caller's albums, newest first. A full page (`limit` albums or 4 MB) names the following
    one in its Link header, by a cursor that stays right while albums come and go."""
    before = decode_cursor(cursor) if cursor else MAX_ID
    rows = await queries.albums(caller.state.db, caller.user_id, before, skip, limit)
    page = encode_within(
        PAGE_BYTES, ({name: row[name] for name in queries.ALBUM_FIELDS} for row in rows)
    )
    headers = {}
    if page and (len(rows) == limit or len(page) < len(rows)):
        headers = next_page("/api/albums/", rows[len(page) - 1]["id"], limit)
    return json_response(page, headers=headers)


@router.get("/{album_id}", response_model=AlbumPage, responses=errors(400, 401, 403, 404, 422, 503))
async def get_album(
    album_id: PathId,
    caller: Authenticated,
    skip: Skip = 0,
    limit: Annotated[Limit | None, Query()] = None,
    cursor: Cursor = None,
) -> Response:
    """An album with its photos in album order: a page of them, or without `limit` the first 1,000;
    it ends at 4 MB in any case. `next` is null on the last page."""
    after = decode_cursor(cursor) if cursor else -1
    size = FIRST_PAGE if limit is None else limit
    rows = await queries.album_page(
        caller.state.db, caller.user_id, album_id, after, skip, size + 1
    )
    if not rows:
        raise not_found("Album")
    shown = [row for row in rows[:size] if row["id"] is not None]
    page = await caller.state.owners.presenter.page(shown)
    album = rows[0]
    return json_response(
        {
            "id": album_id,
            "owner_id": album["album_owner_id"],
            "name": album["name"],
            "description": album["album_description"],
            "cover_photo_id": album["cover_photo_id"],
            "photo_count": album["photo_count"],
            "created_at": album["album_created_at"],
            "updated_at": album["album_updated_at"],
            "photos": page,
            "next": cursor_behind(page, rows),
        }
    )


@router.patch("/{album_id}", response_model=Album, responses=errors(400, 401, 403, 404, 422, 503))
async def change_album(album_id: PathId, body: AlbumChange, caller: Authenticated) -> Response:
    """Change name, description or cover."""
    cover = body.cover_photo_id
    row = await queries.update_album(
        caller.state.db,
        caller.user_id,
        album_id,
        body.name,
        body.description,
        # An id that cannot exist is asked for as 0, which no photo has.
        cover if cover is None or in_range(cover) else 0,
    )
    if row is None:
        raise not_found("Album")
    if not row["cover_ok"]:
        raise ApiError(Code.INVALID_COVER, "The cover must be one of your photos")
    return json_response({name: row[name] for name in queries.ALBUM_FIELDS})


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
    count = await queries.remove_photos(caller.state.db, caller.user_id, album_id, wanted)
    if count is None:
        raise not_found("Album")
    return json_response({"message": f"Removed {count} photos", "count": count})

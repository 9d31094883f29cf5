"""Photos: upload, list, change, delete, deliver."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from photo_api.contract import API_PREFIX
from photo_api.errors import not_found
from photo_api.http.cursors import (
    decode_cursor,
    decode_moment,
    encode_moment,
    next_found,
    next_page,
)
from photo_api.http.direct_route import DirectRoute
from photo_api.http.fields import MAX_ID, PathId
from photo_api.http.idempotency import Key, idempotency
from photo_api.http.json import json_response, no_content
from photo_api.http.openapi import errors
from photo_api.metrics.counts import results
from photo_api.metrics.declared import CONFIRMS, PRESIGNS, UPLOADED_BYTES, UPLOADS
from photo_api.photos import cancelling, direct_upload, finding, queries, server_upload
from photo_api.photos.delivery import file_of
from photo_api.photos.filters import Facets, PhotoQuery
from photo_api.photos.models import (
    Confirmed,
    ConfirmRequest,
    Photo,
    PhotoChange,
    PhotoDetail,
    PresignedUpload,
    PresignRequest,
    Uploaded,
)
from photo_api.photos.presentation import DETAIL, Size, own_image
from photo_api.photos.upload_queries import has_album
from photo_api.photos.ways import After
from photo_api.state import AppState, Authenticated, Caller, IdempotencyKey

PATH = f"{API_PREFIX}/photos/"

router = APIRouter(prefix=f"{API_PREFIX}/photos", tags=["photos"], route_class=DirectRoute)

SizeQuery = Annotated[
    Size,
    Query(
        description="auto: what browsers show, at full size; original: the file as it was uploaded;"
        " display: without metadata; preview: at most 1440 pixels a side; thumbnail: at most 320"
    ),
]

REDIRECT: dict[int | str, dict[str, Any]] = {
    200: {"description": "the bytes (delivery by streaming)", "content": {"image/*": {}}},
    206: {"description": "a range of the bytes (delivery by streaming)"},
    302: {
        "description": "a signed URL for the same method",
        "headers": {"Location": {"schema": {"type": "string"}}},
    },
}


@router.post(
    "/presigned-url",
    response_model=PresignedUpload,
    responses=errors(400, 401, 403, 404, 409, 413, 422, 429, 503),
)
async def presign(
    body: PresignRequest, caller: Authenticated, idempotency_key: IdempotencyKey = None
) -> Response:
    """Begin a direct upload: PUT the bytes to `upload_url` with exactly `upload_headers`, then
    confirm. The URL accepts this size and type only, and with `sha256` these bytes only."""
    key = idempotency(caller.user_id, "photos.presign", idempotency_key, body)
    with results(caller.state.metrics.counts, PRESIGNS) as result:
        begun = await direct_upload.presign(caller.state, caller.user_id, body, key)
        result.word = "duplicate" if begun["duplicate"] else "ok"
    return json_response(begun)


@router.post("/confirm", response_model=Confirmed, responses=errors(401, 403, 404, 409, 422, 503))
async def confirm(body: ConfirmRequest, caller: Authenticated) -> Response:
    """Finish a direct upload once its PUT has succeeded. May be repeated."""
    with results(caller.state.metrics.counts, CONFIRMS) as result:
        done = await direct_upload.confirm(caller.state, caller.user_id, body.photo_id)
        result.word = "duplicate" if done.duplicate else "ok"
    return json_response(
        {
            "photo_id": done.photo_id,
            "filename": done.object_key.rsplit("/", 1)[-1],
            "url": own_image(done.photo_id),
            "message": "You had this photo already" if done.duplicate else "Upload confirmed",
            "duplicate": done.duplicate,
        }
    )


@router.delete("/{photo_id}/upload", status_code=204, responses=errors(401, 403, 404, 409, 503))
async def cancel_upload(photo_id: PathId, caller: Authenticated) -> Response:
    """Give up a direct upload that was begun and not confirmed: what it reserved of the quota is
    free at once, and its bytes, also those that come later, are deleted. May be repeated. One that
    was confirmed stays and is 409 `upload_confirmed`."""
    await cancelling.cancel(caller.state, caller.user_id, photo_id)
    return no_content()


@router.post(
    "",
    status_code=201,
    response_model=Uploaded,
    responses=errors(400, 401, 403, 404, 409, 413, 422, 503) | {200: {"model": Uploaded}},
    openapi_extra=server_upload.REQUEST_BODY,
)
async def upload(
    request: Request, caller: Authenticated, idempotency_key: IdempotencyKey = None
) -> Response:
    """Upload through the server: a multipart form with `file` and `album_id`, streamed to the store
    as it comes in. Direct uploads are cheaper for everyone; this one suits small clients."""
    key = None
    if idempotency_key is not None:
        key = Key(caller.user_id, "photos.upload", idempotency_key, None)
    counts = caller.state.metrics.counts
    with results(counts, UPLOADS, "server") as result:
        done = await server_upload.upload(request, caller.state, caller.user_id, key)
        result.word = "duplicate" if done.duplicate else "ok"
    counts.add(UPLOADED_BYTES, "server", by=done.file_size)
    return json_response(
        {
            "id": done.photo_id,
            "filename": done.object_key.rsplit("/", 1)[-1],
            "original_filename": done.original_filename,
            "content_type": done.content_type,
            "file_size": done.file_size,
            "url": own_image(done.photo_id),
            "message": "You had this photo already" if done.duplicate else "Photo uploaded",
            "duplicate": done.duplicate,
        },
        200 if done.duplicate else 201,
    )


@router.get("", response_model=list[Photo], responses=errors(400, 401, 403, 404, 422, 503))
async def list_photos(caller: Authenticated, query: Annotated[PhotoQuery, Query()]) -> Response:
    """The caller's photos, newest first; with any filter, or `order=taken`, the last one taken
    first. A full page (`limit` photos or 4 MB) names the following one in its Link header, by a
    cursor that stays right, and fast, while photos come and go. Filters that ask too much of the
    database together are 422 `filter_too_broad`."""
    if query.by_date:
        return await _found(caller, query)
    limit = query.limit
    before = decode_cursor(query.behind) if query.behind else MAX_ID
    rows = await queries.photos(caller.state.db, caller.user_id, before, query.skip, limit)
    page = await caller.state.owners.presenter.page(rows)
    headers = {}
    if page and (len(rows) == limit or len(page) < len(rows)):
        headers = next_page(PATH, rows[len(page) - 1]["id"], limit)
    return json_response(page.json, headers=headers)


async def _found(caller: Caller, query: PhotoQuery) -> Response:
    limit, filters = query.limit, query.filters()
    after = After(*decode_moment(query.behind)) if query.behind else After()
    state, owner_id = caller.state, caller.user_id
    seconds = state.settings.database.filter_timeout
    rows = await finding.find(state.db, seconds, owner_id, finding.Page(filters, after, limit))
    album = None if rows else filters.album
    if album is not None and not await has_album(state.db, owner_id, album):
        raise not_found("Album")
    page = await state.owners.presenter.page(rows)
    headers = {}
    if page and (len(rows) == limit or len(page) < len(rows)):
        last = rows[len(page) - 1]
        cursor = encode_moment(last["sort_at"], last["id"])
        headers = next_found(PATH, cursor, limit, query.asked())
    return json_response(page.json, headers=headers)


@router.get("/facets", response_model=Facets, responses=errors(401, 403, 503))
async def facets(caller: Authenticated) -> Response:
    """What the caller's photos can be asked for by: their cameras, of which the first 200 by name,
    and the types of their files."""
    return json_response(await finding.facets(caller.state.db, caller.user_id))


@router.get("/{photo_id}", response_model=PhotoDetail, responses=errors(401, 403, 404, 503))
async def get_photo(photo_id: PathId, caller: Authenticated) -> Response:
    """One photo, with its EXIF."""
    row = await queries.photo(caller.state.db, caller.user_id, photo_id)
    return _detail(caller.state, row)


@router.patch("/{photo_id}", response_model=PhotoDetail, responses=errors(401, 403, 404, 422, 503))
async def change_photo(photo_id: PathId, body: PhotoChange, caller: Authenticated) -> Response:
    """Change title, description or date, or whether it is a favourite or archived."""
    row = await queries.update_photo(
        caller.state.db,
        caller.user_id,
        photo_id,
        body.title,
        body.description,
        body.date(),
        body.favourite,
        body.archived,
    )
    return _detail(caller.state, row)


def _detail(state: AppState, row: Any | None) -> Response:
    if row is None:
        raise not_found("Photo")
    return json_response(state.owners.presenter.one(row) | {name: row[name] for name in DETAIL})


@router.delete("/{photo_id}", status_code=204, responses=errors(401, 403, 404, 503))
async def delete_photo(photo_id: PathId, request: Request, caller: Authenticated) -> Response:
    """Delete a photo; it leaves all albums at once, and stays in the trash for some days."""
    days, request_id = caller.state.settings.uploads.trash_days, request.state.request_id
    async with caller.state.db.transaction() as connection:
        if not await queries.delete_photo(connection, caller.user_id, photo_id, days, request_id):
            raise not_found("Photo")
    return no_content()


@router.get(
    "/{photo_id}/image",
    response_class=Response,
    responses=REDIRECT | errors(401, 403, 404, 416, 422, 503),
)
async def image(
    photo_id: PathId, request: Request, caller: Authenticated, size: SizeQuery = "auto"
) -> Response:
    """The image itself. `auto` is the original where browsers show its type; of a HEIC or HEIF it
    is the display rendition, a WebP or JPEG of the same size, and the preview until that is made.
    `display` is a file without metadata where one is made, or else as `auto`. What is being made is
    404 with Retry-After: the original never stands in for a preview or a thumbnail."""
    photo = await queries.image(caller.state.db, caller.user_id, photo_id)
    if photo is None:
        raise not_found("Photo")
    return await caller.state.owners.deliver(request, file_of(photo, size, own=True))

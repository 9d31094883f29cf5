"""Keeping: many photos at once, the trash, and what a backup need not send."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from photo_api.contract import API_PREFIX
from photo_api.http.cursors import Cursor, decode_moment, encode_moment
from photo_api.http.direct_route import DirectRoute
from photo_api.http.fields import MAX_ID, Limit
from photo_api.http.idempotency import idempotency
from photo_api.http.json import encode_within, json_response
from photo_api.http.openapi import errors
from photo_api.http.pages import PAGE_BYTES
from photo_api.photos import keeping, trash
from photo_api.photos.bulk import Bulk, BulkResults, Operation, carry_out, in_order
from photo_api.photos.dating import date
from photo_api.photos.keeping_models import (
    BulkRequest,
    Checked,
    CheckRequest,
    Emptied,
    EmptyRequest,
    TrashedPhoto,
    purge_at,
)
from photo_api.photos.queries import with_contents
from photo_api.state import AppState, Authenticated, IdempotencyKey

router = APIRouter(prefix=f"{API_PREFIX}/photos", tags=["keeping"], route_class=DirectRoute)

OPERATIONS: Mapping[str, Operation] = MappingProxyType({**keeping.OPERATIONS, "date": date})

ROUNDS = 5
"""Transactions of one request that empties a trash; the next goes on."""


@router.post(
    "/bulk", response_model=BulkResults, responses=errors(401, 403, 404, 409, 422, 429, 503)
)
async def change_many(
    body: Annotated[BulkRequest, Body(discriminator="operation")],
    request: Request,
    caller: Authenticated,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Change up to 1,000 photos: all in one transaction, with an answer for each id. Done again it
    leaves what is so already."""
    key = idempotency(caller.user_id, "photos.bulk", idempotency_key, body)
    bulk = Bulk(
        caller.user_id,
        in_order(body.photo_ids),
        body,
        caller.state.settings.uploads.trash_days,
        request.state.request_id,
    )
    async with caller.state.changes.turn(caller.user_id):
        done = await carry_out(caller.state.db, key, OPERATIONS[body.operation], bulk)
    return json_response(done)


@router.get("/trash", response_model=list[TrashedPhoto], responses=errors(400, 401, 403, 422, 503))
async def list_trash(caller: Authenticated, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """What was deleted and can be restored, the last deleted first, with the time after which it is
    deleted for good. A full page names the following one in its Link header."""
    state, days = caller.state, caller.state.settings.uploads.trash_days
    moment, photo_id = decode_moment(cursor) if cursor else (datetime.max, MAX_ID)
    before = moment.replace(tzinfo=UTC), photo_id
    rows = await trash.page(state.db, caller.user_id, before, limit)
    page = encode_within(PAGE_BYTES, (_trashed(state, row, days) for row in rows))
    headers = {}
    if page and (len(rows) == limit or len(page) < len(rows)):
        last = rows[len(page) - 1]
        behind = encode_moment(last["trashed_at"].replace(tzinfo=None), last["id"])
        headers = {"Link": f'</api/photos/trash?cursor={behind}&limit={limit}>; rel="next"'}
    return json_response(page, headers=headers)


def _trashed(state: AppState, row: Any, days: int) -> dict[str, Any]:
    trashed_at = row["trashed_at"]
    photo = state.owners.presenter.one(row)
    photo |= {"trashed_at": trashed_at, "purge_at": purge_at(trashed_at, days)}
    if state.owners.reader is None:  # streamed; the image route shows nothing of the trash
        named = row["thumbnail_key"], row["original_filename"]
        signed = state.thumbnail_url(row["owner_id"], row["id"], *named)
        photo |= {"thumbnail_url": signed, "preview_url": None}
    return photo


@router.post("/trash/empty", response_model=Emptied, responses=errors(401, 403, 422, 429, 503))
async def empty_trash(body: EmptyRequest, caller: Authenticated) -> Response:
    """Delete what is in the trash for good: up to 5,000 photos, and how many are left. Repeat it
    with the answer's `until` while there are some, and what is deleted meanwhile stays."""
    db, owner_id = caller.state.db, caller.user_id
    until, purged = body.until or await trash.now(db, owner_id), 0
    async with caller.state.changes.turn(owner_id):
        for _ in range(ROUNDS):
            if not (due := await trash.oldest(db, owner_id, until)):
                break
            async with db.transaction() as connection:
                purged += sum((await trash.purge(connection, owner_id, due)).values())
            if len(due) < trash.BATCH:
                break
    left = await trash.count(db, owner_id, until)
    return json_response({"purged": purged, "left": left, "until": until})


@router.post("/check", response_model=Checked, responses=errors(401, 403, 422, 503))
async def check(body: CheckRequest, caller: Authenticated) -> Response:
    """Which of these files you have, before a backup sends them: each is absent, present or in the
    trash, from where an upload with `on_duplicate` `reuse` restores it."""
    rows = await with_contents(caller.state.db, caller.user_id, map(bytes.fromhex, body.sha256))
    results = [
        {"sha256": digest, "status": row["status"], "photo_id": row["photo_id"]}
        for digest, row in zip(body.sha256, rows, strict=True)
    ]
    return json_response({"results": results})

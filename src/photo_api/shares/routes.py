"""Share links: made and revoked by an album's owner, opened by anyone with one."""

import secrets
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from photo_api.accounts.tokens import digest
from photo_api.contract import API_PREFIX
from photo_api.db.places import TRIES
from photo_api.errors import ApiError, Code, not_found
from photo_api.http.cursors import Cursor, decode_cursor, next_page
from photo_api.http.direct_route import DirectRoute
from photo_api.http.fields import MAX_ID, MAX_LIMIT, Limit, PathId, Skip
from photo_api.http.idempotency import create_once, idempotency
from photo_api.http.json import json_response, no_content
from photo_api.http.openapi import errors
from photo_api.photos.delivery import file_of
from photo_api.photos.routes import REDIRECT, SizeQuery
from photo_api.photos.upload_queries import has_album
from photo_api.shares import queries
from photo_api.shares.models import NewShare, Share, SharedAlbum
from photo_api.shares.visits import expired_link, open_album, unknown_link
from photo_api.state import Anyone, AppState, Authenticated, IdempotencyKey

router = APIRouter(prefix=API_PREFIX, tags=["shares"], route_class=DirectRoute)

FIRST_PAGE = 1000

Token = Annotated[str, Path(max_length=200, examples=["h4Zr3p1f0aXw"])]


@router.post(
    "/albums/{album_id}/share",
    status_code=201,
    response_model=Share,
    responses=errors(401, 403, 404, 409, 422, 503),
)
async def create_share(
    album_id: PathId,
    caller: Authenticated,
    body: NewShare | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a link by which anyone can see the album."""
    state = caller.state
    wanted, most = body or NewShare(), state.settings.delivery.share_links
    days, originals = wanted.expires_in_days, wanted.allow_original
    key = idempotency(
        caller.user_id, "shares", idempotency_key, [album_id, days, *([True] if originals else [])]
    )

    async def create(db: Any) -> int:
        token = secrets.token_urlsafe(24)
        token_hash = digest(token)
        lifetime = timedelta(days=days) if days is not None else None
        sealed = state.sealer.seal(token, token_hash)
        new = queries.NewLink(caller.user_id, album_id, token_hash, *sealed, lifetime, originals)
        for _ in range(TRIES):
            share_id = await queries.insert_share(db, new, most)
            if share_id is not None:
                return share_id
            if not await has_album(db, caller.user_id, album_id):
                raise not_found("Album")
            if await queries.count_working(db, caller.user_id) >= most:
                break
        text = f"{most} of your share links work; revoke some before you make another"
        raise ApiError(Code.TOO_MANY_LINKS, text)

    share_id, _ = await create_once(state.db, key, 201, create)
    share = await queries.share(state.db, caller.user_id, share_id)
    if share is None:
        raise not_found("Share link")
    return json_response(_present(state, share), 201)


@router.get(
    "/albums/{album_id}/share",
    response_model=list[Share],
    responses=errors(400, 401, 403, 404, 422, 503),
)
async def list_shares(
    album_id: PathId, caller: Authenticated, limit: Limit = MAX_LIMIT, cursor: Cursor = None
) -> Response:
    """The album's links, revoked and expired ones included, newest first. A full page names the
    following one in its Link header."""
    before = decode_cursor(cursor) if cursor else MAX_ID
    rows = await queries.shares(caller.state.db, caller.user_id, album_id, before, limit)
    if not rows:
        raise not_found("Album")
    page = [_present(caller.state, row) for row in rows if row["id"] is not None and limit]
    headers = {}
    if page and len(page) == limit:
        headers = next_page(f"/api/albums/{album_id}/share", rows[-1]["id"], limit)
    return json_response(page, headers=headers)


@router.delete(
    "/albums/{album_id}/share/{share_id}",
    status_code=204,
    responses=errors(401, 403, 404, 503),
)
async def revoke_share(
    album_id: PathId, share_id: PathId, request: Request, caller: Authenticated
) -> Response:
    """Revoke a link, at once and for ever."""
    if not await queries.revoke_share(
        caller.state.db, caller.user_id, album_id, share_id, request.state.request_id
    ):
        raise not_found("Share link")
    return no_content()


@router.get("/share/{token}", response_model=SharedAlbum, responses=errors(400, 404, 410, 422, 503))
async def view_share(
    token: Token,
    request: Request,
    state: Anyone,
    skip: Skip = 0,
    limit: Annotated[Limit | None, Query()] = None,
    cursor: Cursor = None,
) -> Response:
    """A shared album: a page of its photos in its order, or without `limit` the first 1,000; it
    ends at 4 MB in any case. Counts the view, unless a program looks: HEAD, previews of links,
    search engines."""
    size = FIRST_PAGE if limit is None else limit
    page = await open_album(request, state, token, size=size, skip=skip, cursor=cursor)
    return json_response(
        {
            "album_name": page.album["name"],
            "album_description": page.album["album_description"],
            "photo_count": page.album["photo_count"],
            "photos": page.photos,
            "created_at": page.album["album_created_at"],
            "next": page.next,
        }
    )


@router.get(
    "/share/{token}/photos/{photo_id}/image",
    response_class=Response,
    responses=REDIRECT | errors(404, 410, 416, 422, 503),
)
async def shared_image(
    token: Token, photo_id: PathId, request: Request, state: Anyone, size: SizeQuery = "auto"
) -> Response:
    """A shared photo's image without metadata: `auto` and `display` at full size, or the preview
    while that is being made. Until that is there too: 404 with Retry-After. `original` is the same
    as `display`, unless the link's owner allows originals."""
    photo = await queries.shared_image(state.db, digest(token), photo_id)
    if photo is None:
        raise unknown_link(request)
    if photo["expired"]:
        raise expired_link(request)
    if photo["object_key"] is None:
        raise not_found("Photo")
    return await state.visitors.deliver(request, file_of(photo, size, own=False))


def _present(state: AppState, row: Any) -> dict[str, Any]:
    token = state.sealer.unseal(row["token_kid"], row["token_sealed"], row["token_hash"])
    return {
        "id": row["id"],
        "album_id": row["album_id"],
        "token": token,
        "is_active": row["is_active"],
        "expires_at": row["expires_at"],
        "view_count": row["view_count"],
        "allow_original": row["allow_original"],
        "created_at": row["created_at"],
        "share_url": f"{state.settings.http.public_url}/share/{token}" if token else None,
    }

"""Uploads by presigned URL: the client PUTs to a staging key, and confirming copies from there.

The copy comes first and is then what is verified: the staging key can still be written by whoever
holds the URL, the copy's key was never in one.
"""

import hashlib
import logging
import secrets
from dataclasses import dataclass
from typing import Any

from photo_api.db.places import TRIES
from photo_api.errors import ApiError, Code, not_found
from photo_api.http.fields import in_range
from photo_api.http.idempotency import Key, create_once
from photo_api.photos import upload_queries as queries
from photo_api.photos.formats import ACCEPTED_TYPES, EXTENSIONS, SNIFF_LENGTH, same_kind, sniff
from photo_api.photos.models import PresignRequest
from photo_api.state import AppState
from photo_api.storage.base import ObjectMissing, StoreUnavailable

log = logging.getLogger(__name__)

COPIES_OF_USER = 4
"""Confirmations of one user that a worker carries out at a time."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The photo that a confirmation ended with; `duplicate` when it was there before."""

    photo_id: int
    object_key: str
    duplicate: bool


async def presign(
    state: AppState, owner_id: int, body: PresignRequest, key: Key | None
) -> dict[str, Any]:
    """Begin an upload. Raises `ApiError` UNSUPPORTED_TYPE, TOO_LARGE, NOT_FOUND, UPLOAD_EXPIRED,
    TOO_MANY_UPLOADS."""
    content_type = accepted_type(body.content_type)
    check_size(body.file_size, state.settings.uploads.max_size)
    if not in_range(body.album_id):
        raise not_found("Album")
    sha256 = bytes.fromhex(body.sha256) if body.sha256 else None
    reuse = body.on_duplicate == "reuse"
    known: list[int] = []
    secret = secrets.token_hex(16)
    uploads = state.settings.uploads

    async def create(db: Any) -> int:
        if reuse and sha256 is not None:
            photo = await queries.ready_with_content(db, owner_id, sha256)
            if photo and await link_known(db, owner_id, body.album_id, photo["id"]):
                known.append(photo["id"])
                return known[0]
        return await _begin(state, db, owner_id, body, content_type, secret)

    photo_id, replayed = await create_once(state.db, key, 200, create)
    if known:
        return _nothing_to_upload(photo_id)
    if replayed:
        return await _presigned_before(state, owner_id, photo_id, sha256 if reuse else None)
    staging_key = f"staging/{owner_id}/{photo_id}/{secret}"
    return _signed(
        state, photo_id, staging_key, content_type, body.file_size, sha256, uploads.url_ttl
    )


async def _begin(
    state: AppState, db: Any, owner_id: int, body: PresignRequest, content_type: str, secret: str
) -> int:
    """The id of a pending photo. Raises `ApiError` NOT_FOUND, TOO_MANY_UPLOADS."""
    uploads, seconds = state.settings.uploads, 0
    for _ in range(TRIES):
        photo_id = await queries.insert_pending(
            db,
            owner_id,
            body.album_id,
            title=body.title,
            description=body.description,
            filename=body.filename,
            content_type=content_type,
            size=body.file_size,
            sha256=bytes.fromhex(body.sha256) if body.sha256 else None,
            secret=secret,
            url_ttl=uploads.url_ttl,
            longest_put=uploads.longest_put,
            reuse=body.on_duplicate == "reuse",
            most=uploads.max_pending,
        )
        if photo_id is not None:
            return photo_id
        if not await queries.has_album(db, owner_id, body.album_id):
            raise not_found("Album")
        pending, seconds = await queries.count_pending(db, owner_id)
        if pending >= uploads.max_pending:
            break
    text = "uploads wait for their confirmation; confirm some, or wait until they expire"
    raise ApiError(
        Code.TOO_MANY_UPLOADS, f"{uploads.max_pending} {text}", retry_after=max(1, seconds)
    )


async def _presigned_before(
    state: AppState, owner_id: int, photo_id: int, reused: bytes | None
) -> dict[str, Any]:
    """The same upload once more, for what is left of its time: never longer than was promised to
    the sweep. None is needed for a photo that is there with the bytes that may be `reused`."""
    photo = await queries.staged(state.db, owner_id, photo_id)
    if photo and photo["status"] == "ready" and reused and photo["sha256"] == reused:
        return _nothing_to_upload(photo_id)
    if photo is None or photo["status"] == "gone" or photo["seconds_left"] < 1:
        raise ApiError(
            Code.UPLOAD_EXPIRED,
            "The upload of this Idempotency-Key has expired; begin another with a new key",
        )
    return _signed(
        state,
        photo_id,
        photo["staging_key"],
        photo["content_type"],
        photo["file_size"],
        photo["sha256"],
        photo["seconds_left"],
    )


def _signed(
    state: AppState,
    photo_id: int,
    staging_key: str,
    content_type: str,
    size: int,
    sha256: bytes | None,
    expires_in: int,
) -> dict[str, Any]:
    upload = state.owners.signer.upload(
        staging_key, content_type=content_type, size=size, sha256=sha256, expires_in=expires_in
    )
    return {
        "photo_id": photo_id,
        "upload_url": upload.url,
        "object_key": staging_key,
        "expires_in": expires_in,
        "upload_method": "PUT",
        "upload_headers": upload.headers,
        "duplicate": False,
    }


def _nothing_to_upload(photo_id: int) -> dict[str, Any]:
    return {
        "photo_id": photo_id,
        "upload_url": None,
        "object_key": None,
        "expires_in": 0,
        "upload_method": "PUT",
        "upload_headers": {},
        "duplicate": True,
    }


async def confirm(state: AppState, owner_id: int, photo_id: int) -> Outcome:
    """Finish an upload; repeatable. Raises `ApiError` NOT_FOUND, NOT_UPLOADED, UPLOAD_MISMATCH.

    Who repeats it meanwhile waits, and finds what became of it: each would copy all of the bytes,
    and others wait for the store. So do a user's own others beyond `COPIES_OF_USER`."""
    async with state.confirming.of((owner_id, photo_id)), state.copying.of(owner_id):
        return await _confirm(state, owner_id, photo_id)


async def _confirm(state: AppState, owner_id: int, photo_id: int) -> Outcome:
    photo = await queries.staged(state.db, owner_id, photo_id) if in_range(photo_id) else None
    if photo is None or photo["status"] != "pending":
        return await _ended(state, owner_id, photo)
    content_type = await _staged_type(state, photo)
    key = object_key(owner_id, photo_id, photo["content_type"])
    await queries.note_object(state.db, key, queries.KEY_GRACE)
    try:
        return await _adopt(state, owner_id, photo, key, content_type)
    except ApiError:
        await discard(state, key)
        raise


async def _adopt(
    state: AppState, owner_id: int, photo: Any, key: str, content_type: str
) -> Outcome:
    await _copy_and_verify(state, photo, key, content_type)
    sha256 = photo["sha256"]
    if photo["reuse_duplicates"]:
        sha256 = sha256 or await _digest(state, key)
        done = await _reuse_or_make_ready(state, owner_id, photo, key, content_type, sha256)
    elif await queries.make_ready(state.db, owner_id, photo["id"], key, content_type, sha256):
        done = Outcome(photo["id"], key, duplicate=False)
    else:
        done = None
    if done is None or done.duplicate:
        await discard(state, key)
    if done is not None:
        return done
    # Somebody else confirmed meanwhile, or the sweep was faster: what counts is the row.
    return await _ended(state, owner_id, await queries.staged(state.db, owner_id, photo["id"]))


async def _reuse_or_make_ready(
    state: AppState, owner_id: int, photo: Any, key: str, content_type: str, sha256: bytes
) -> Outcome | None:
    """How the upload ended here; None when it was no longer pending."""
    mine = photo["id"]
    async with state.db.transaction() as connection:
        known = await queries.lock_content(connection, owner_id, sha256)
        if known is None:
            ready = await queries.make_ready(connection, owner_id, mine, key, content_type, sha256)
            return Outcome(mine, key, duplicate=False) if ready else None
        if not await queries.end_as_duplicate(connection, owner_id, mine, known["id"]):
            return None
        await queries.link(connection, owner_id, photo["album_id"], known["id"])
        return Outcome(known["id"], known["object_key"], duplicate=True)


async def _ended(state: AppState, owner_id: int, photo: Any | None) -> Outcome:
    """What a confirmation found that came after the upload's end. Raises `ApiError` NOT_FOUND."""
    if photo is not None and photo["duplicate_of"] is not None:
        known = await queries.staged(state.db, owner_id, photo["duplicate_of"])
        if known is not None and known["status"] == "ready":
            return Outcome(known["id"], known["object_key"], duplicate=True)
    elif photo is not None and photo["status"] == "ready":
        return Outcome(photo["id"], photo["object_key"], duplicate=False)
    raise not_found("Photo")


async def _staged_type(state: AppState, photo: Any) -> str:
    """The content type of what was uploaded, by its first bytes: what is no photo is refused before
    anything is copied, as often as it is tried."""
    try:
        return await _verify(state, photo, photo["staging_key"])
    except ObjectMissing:
        raise _not_uploaded() from None


async def _copy_and_verify(state: AppState, photo: Any, key: str, content_type: str) -> None:
    """The copy is looked at again: until it was made, the URL may have been used once more."""
    try:
        await state.store.copy(photo["staging_key"], key, content_type=content_type)
    except ObjectMissing:
        raise _not_uploaded() from None
    if await _verify(state, photo, key) != content_type:
        raise ApiError(Code.UPLOAD_MISMATCH, "The file was changed meanwhile; confirm again")


def _not_uploaded() -> ApiError:
    text = "The file has not been uploaded yet; PUT it to upload_url first"
    return ApiError(Code.NOT_UPLOADED, text)


async def _verify(state: AppState, photo: Any, key: str) -> str:
    """The content type that the bytes under `key` show. Raises `ApiError` UPLOAD_MISMATCH,
    `ObjectMissing`."""
    info, head = await state.store.peek(key, SNIFF_LENGTH)
    if info.size != photo["file_size"]:
        raise ApiError(
            Code.UPLOAD_MISMATCH,
            f"{photo['file_size']} bytes were declared and {info.size} uploaded; begin anew",
        )
    found = sniff(head)
    if found is None or not same_kind(photo["content_type"], found):
        raise ApiError(
            Code.UPLOAD_MISMATCH,
            f"The file is not {photo['content_type']} as declared but"
            f" {found or 'no image of an accepted type'}; begin anew",
        )
    return found


async def _digest(state: AppState, key: str) -> bytes:
    digest = hashlib.sha256()
    async for chunk in (await state.store.open(key)).chunks:
        digest.update(chunk)
    return digest.digest()


async def link_known(db: Any, owner_id: int, album_id: int, photo_id: int) -> bool:
    """Whether the photo is still there, and now in the album. Raises `ApiError` NOT_FOUND for the
    album."""
    found = await queries.link(db, owner_id, album_id, photo_id)
    if not found["album"]:
        raise not_found("Album")
    return bool(found["photo"])


async def discard(state: AppState, key: str) -> None:
    """Delete a copy that lost, as far as that works now; the sweep has its key in any case."""
    try:
        await state.store.delete([key])
    except StoreUnavailable as error:
        log.info("left to the sweep: %s", error)


def accepted_type(declared: str) -> str:
    """The normalised content type. Raises `ApiError` UNSUPPORTED_TYPE."""
    content_type = declared.partition(";")[0].strip().lower()
    content_type = "image/jpeg" if content_type == "image/jpg" else content_type
    if content_type not in ACCEPTED_TYPES:
        raise ApiError(
            Code.UNSUPPORTED_TYPE,
            f"This type is not accepted; send one of {', '.join(sorted(ACCEPTED_TYPES))}",
        )
    return content_type


def check_size(size: int, largest: int) -> None:
    """Raises `ApiError` TOO_LARGE."""
    if size > largest:
        raise ApiError(Code.TOO_LARGE, f"A photo may have at most {largest} bytes")


def object_key(owner_id: int, photo_id: int, content_type: str) -> str:
    """A fresh key, for which no URL was ever issued. Owner and photo stand in it so that
    `reconcile --adopt` can recreate a lost row."""
    return f"photos/{owner_id}/{photo_id}/{secrets.token_hex(16)}{EXTENSIONS[content_type]}"

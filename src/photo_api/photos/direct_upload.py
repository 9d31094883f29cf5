"""Uploads by presigned URL: the client PUTs to a staging key, and confirming copies from there.

The copy comes first and is then what is verified: any holder of the URL can still write to the
staging key; the copy's key was never in one.
"""

import hashlib
import logging
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from photo_api.db.places import TRIES
from photo_api.delivery.base import SignedUpload
from photo_api.errors import ApiError, Code, not_found
from photo_api.http.fields import in_range, offset_of
from photo_api.http.idempotency import Key, create_once
from photo_api.metrics.declared import UPLOADED_BYTES, UPLOADS
from photo_api.photos import upload_queries as queries
from photo_api.photos.formats import ACCEPTED_TYPES, EXTENSIONS, SNIFF_LENGTH, sniff
from photo_api.photos.models import PresignRequest
from photo_api.settings.serving import UploadSettings
from photo_api.state import AppState
from photo_api.storage.base import ObjectChanged, ObjectMissing, StoreUnavailable

log = logging.getLogger(__name__)

_UNKNOWN = "application/octet-stream"
"""What browsers say of a file whose kind they do not know; some say nothing."""

_ALIASES: Mapping[str, str] = MappingProxyType(
    {"": _UNKNOWN, "image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}
)
_ACCEPTED = f"one of {', '.join(sorted(ACCEPTED_TYPES))}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The photo that an upload ended with; `duplicate` when it was there before."""

    photo_id: int
    object_key: str
    original_filename: str
    content_type: str
    file_size: int
    duplicate: bool


def outcome(photo: Any, *, duplicate: bool) -> Outcome:
    """That of an upload which ended with the photo of this row."""
    return Outcome(
        photo["id"],
        photo["object_key"],
        photo["original_filename"],
        photo["content_type"],
        photo["file_size"],
        duplicate,
    )


async def presign(
    state: AppState, owner_id: int, body: PresignRequest, key: Key | None
) -> dict[str, Any]:
    """Begin an upload. Raises `ApiError` UNSUPPORTED_TYPE, TOO_LARGE, QUOTA_EXCEEDED, NOT_FOUND,
    UPLOAD_EXPIRED, TOO_MANY_UPLOADS."""
    new, uploads = _new_photo(owner_id, body), state.settings.uploads
    check_size(new.size, uploads.max_size)
    check_album_id(new.album_id)
    reuse = body.on_duplicate == "reuse"
    known: list[int] = []
    secret = secrets.token_hex(16)

    async def create(db: Any) -> int:
        if reuse and new.sha256 is not None:
            photo_id = await _photo_with(db, owner_id, new.sha256, new.album_id)
            if photo_id is not None:
                known.append(photo_id)
                return photo_id
        return await _begin(db, new, secret, reuse, uploads)

    photo_id, replayed = await create_once(state.db, key, 200, create)
    if known:
        return _presigned(photo_id, None)
    if replayed:
        return await _presigned_before(state, owner_id, photo_id, new.sha256 if reuse else None)
    staging_key = f"staging/{owner_id}/{photo_id}/{secret}"
    url = state.uploads.upload(
        staging_key,
        content_type=new.content_type,
        size=new.size,
        sha256=new.sha256,
        expires_in=uploads.url_ttl,
    )
    return _presigned(photo_id, url, staging_key, uploads.url_ttl)


async def _photo_with(db: Any, owner_id: int, sha256: bytes, album_id: int | None) -> int | None:
    """The photo with these bytes, which is in the album now; in the trash it was restored. Raises
    `ApiError` NOT_FOUND for the album."""
    known = await queries.ready_with_content(db, owner_id, sha256)
    if known and await link_known(db, owner_id, album_id, known["id"]):
        return int(known["id"])
    if await queries.trashed_with_content(db, owner_id, sha256) is None:
        return None
    async with db.transaction() as begun:
        connection = begun or db  # a connection begins a part of the transaction that it is in
        known = await queries.lock_content(connection, owner_id, sha256, album_id)
        if known and await link_known(connection, owner_id, album_id, known["id"]):
            return int(known["id"])
    return None


def _new_photo(owner_id: int, body: PresignRequest) -> queries.NewPhoto:
    return queries.NewPhoto(
        owner_id,
        body.album_id,
        body.title,
        body.description,
        body.filename,
        _declared_type(body.content_type),
        body.file_size,
        bytes.fromhex(body.sha256) if body.sha256 else None,
        body.file_modified_at,
        offset_of(body.file_modified_at),
    )


async def _begin(
    db: Any, new: queries.NewPhoto, secret: str, reuse: bool, uploads: UploadSettings
) -> int:
    """The id of a pending photo. Raises `ApiError` NOT_FOUND, QUOTA_EXCEEDED, TOO_MANY_UPLOADS."""
    seconds = 0
    for _ in range(TRIES):
        photo_id = await queries.insert_pending(db, new, secret, reuse, uploads)
        if photo_id is not None:
            return photo_id
        await check_room(db, new, uploads.quota)
        pending, seconds = await queries.count_pending(db, new.owner_id)
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
        return _presigned(photo_id, None)
    if photo is None or photo["status"] in ("trashed", "gone") or photo["seconds_left"] < 1:
        raise ApiError(
            Code.UPLOAD_EXPIRED,
            "The upload of this Idempotency-Key has expired; begin another with a new key",
        )
    url = state.uploads.upload(
        photo["staging_key"],
        content_type=photo["content_type"],
        size=photo["file_size"],
        sha256=photo["sha256"],
        expires_in=photo["seconds_left"],
    )
    return _presigned(photo_id, url, photo["staging_key"], photo["seconds_left"])


def _presigned(
    photo_id: int, url: SignedUpload | None, key: str | None = None, expires_in: int = 0
) -> dict[str, Any]:
    """The answer to the client; without a URL there is nothing to upload."""
    return {
        "photo_id": photo_id,
        "upload_url": url.url if url else None,
        "object_key": key,
        "expires_in": expires_in,
        "upload_method": "PUT",
        "upload_headers": url.headers if url else {},
        "duplicate": url is None,
    }


async def confirm(state: AppState, owner_id: int, photo_id: int) -> Outcome:
    """Finish an upload; repeatable. Raises `ApiError` NOT_FOUND, NOT_UPLOADED, UPLOAD_MISMATCH,
    TOO_MANY_REQUESTS.

    A repetition meanwhile waits, and finds what became of it: each would copy all of the bytes."""
    async with state.confirmations.turn(owner_id, photo_id):
        return await _confirm(state, owner_id, photo_id)


async def _confirm(state: AppState, owner_id: int, photo_id: int) -> Outcome:
    photo = await queries.staged(state.db, owner_id, photo_id) if in_range(photo_id) else None
    if photo is None or photo["status"] != "pending":
        return await _ended(state, owner_id, photo)
    content_type, etag = await _staged_type(state, photo)
    key = object_key(owner_id, photo_id, content_type)
    await queries.note_object(state.db, key, queries.KEY_GRACE)
    try:
        await _copy_and_verify(state, photo, key, content_type, etag)
        return await _adopt(state, owner_id, photo, key, content_type)
    except ApiError:
        await discard(state, key)
        raise
    except ObjectMissing:
        # Some of the store's machines do not have the copy: that says nothing of the upload.
        raise StoreUnavailable("the copy of an upload is not found yet") from None


async def _adopt(
    state: AppState, owner_id: int, photo: Any, key: str, content_type: str
) -> Outcome:
    mine = replace(outcome(photo, duplicate=False), object_key=key, content_type=content_type)
    done, sha256 = None, photo["sha256"]
    if photo["reuse_duplicates"]:
        sha256 = sha256 or await _digest(state, key)
        done = await _reuse_or_make_ready(state, owner_id, photo["album_id"], mine, sha256)
    elif await queries.make_ready(state.db, owner_id, mine.photo_id, key, content_type, sha256):
        done = mine
    if done is not mine:
        await discard(state, key)
    if done is not None:
        counts = state.metrics.counts
        counts.add(UPLOADS, "direct", "duplicate" if done.duplicate else "ok")
        counts.add(UPLOADED_BYTES, "direct", by=done.file_size)
        return done
    # Somebody else confirmed meanwhile, or the sweep was faster: what counts is the row.
    return await _ended(state, owner_id, await queries.staged(state.db, owner_id, photo["id"]))


class _Over(Exception):
    """The upload was no longer pending: what its transaction has restored is undone."""


async def _reuse_or_make_ready(
    state: AppState, owner_id: int, album_id: int | None, mine: Outcome, sha256: bytes
) -> Outcome | None:
    """How the upload ended here; None, with nothing changed, when it was no longer pending."""
    with suppress(_Over):
        async with state.db.transaction() as connection:
            known = await queries.lock_content(connection, owner_id, sha256, album_id)
            if known is None:
                if await queries.make_ready(
                    connection, owner_id, mine.photo_id, mine.object_key, mine.content_type, sha256
                ):
                    return mine
            elif await queries.end_as_duplicate(connection, owner_id, mine.photo_id, known["id"]):
                await queries.link(connection, owner_id, album_id, known["id"])
                return outcome(known, duplicate=True)
            raise _Over
    return None


async def _ended(state: AppState, owner_id: int, photo: Any | None) -> Outcome:
    """What a confirmation found that came after the upload's end. Raises `ApiError` NOT_FOUND."""
    if photo is not None and photo["duplicate_of"] is not None:
        known = await queries.staged(state.db, owner_id, photo["duplicate_of"])
        if known is not None and known["status"] == "ready":
            return outcome(known, duplicate=True)
    elif photo is not None and photo["status"] == "ready":
        return outcome(photo, duplicate=False)
    raise not_found("Photo")


async def _staged_type(state: AppState, photo: Any) -> tuple[str, str | None]:
    """The content type of what was uploaded, by its first bytes, and its ETag: what is no photo is
    refused before anything is copied, as often as it is tried."""
    try:
        return await _verify(state, photo, photo["staging_key"])
    except ObjectMissing:
        raise _not_uploaded() from None


async def _copy_and_verify(
    state: AppState, photo: Any, key: str, content_type: str, etag: str | None
) -> None:
    """The copy is looked at again: until it was made, the URL may have been used once more, and an
    ETag tells that of stores which heed it, and of honest clients alone: mostly it is an MD5."""
    try:
        await state.store.copy(photo["staging_key"], key, content_type=content_type, etag=etag)
    except ObjectMissing:
        raise _not_uploaded() from None
    except ObjectChanged:
        raise _changed() from None
    if (await _verify(state, photo, key))[0] != content_type:
        raise _changed()
    declared = None if state.uploads.binds_bytes else photo["sha256"]
    if declared is not None and await _digest(state, key) != declared:
        text = "The bytes are others than the declared sha256 tells; begin anew"
        raise ApiError(Code.UPLOAD_MISMATCH, text)


def _changed() -> ApiError:
    return ApiError(Code.UPLOAD_MISMATCH, "The file was changed meanwhile; confirm again")


def _not_uploaded() -> ApiError:
    text = "The file has not been uploaded yet; PUT it to upload_url first"
    return ApiError(Code.NOT_UPLOADED, text)


async def _verify(state: AppState, photo: Any, key: str) -> tuple[str, str | None]:
    """The content type that the bytes under `key` show, whatever was declared: phones name HEIC and
    PNG .jpg; and the ETag. Raises `ApiError` UPLOAD_MISMATCH, `ObjectMissing`."""
    info, head = await state.store.peek(key, SNIFF_LENGTH)
    if info.size != photo["file_size"]:
        raise ApiError(
            Code.UPLOAD_MISMATCH,
            f"{photo['file_size']} bytes were declared and {info.size} uploaded; begin anew",
        )
    found = sniff(head)
    if found is None:
        raise ApiError(
            Code.UPLOAD_MISMATCH, f"The file is no image by its bytes; send {_ACCEPTED}, begin anew"
        )
    return found, info.etag


async def _digest(state: AppState, key: str) -> bytes:
    digest = hashlib.sha256()
    async for chunk in (await state.store.open(key)).chunks:
        digest.update(chunk)
    return digest.digest()


async def link_known(db: Any, owner_id: int, album_id: int | None, photo_id: int) -> bool:
    """Whether the photo is still there, and now in the album, if one is given. Raises `ApiError`
    NOT_FOUND for the album."""
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


def _declared_type(declared: str) -> str:
    """The type that is signed for: a parameter and the case of letters mean nothing. Raises
    `ApiError` UNSUPPORTED_TYPE."""
    content_type = declared.partition(";")[0].strip().lower()
    content_type = _ALIASES.get(content_type, content_type)
    if content_type not in ACCEPTED_TYPES and content_type != _UNKNOWN:
        raise ApiError(
            Code.UNSUPPORTED_TYPE,
            f"This type is not accepted; send {_ACCEPTED} (an unknown type may be left empty)",
        )
    return content_type


def check_album_id(album_id: int | None) -> None:
    """Raises `ApiError` NOT_FOUND for an id that no album can have."""
    if album_id is not None and not in_range(album_id):
        raise not_found("Album")


async def check_room(db: Any, new: queries.NewPhoto, quota: int) -> None:
    """Raises `ApiError` UNAUTHENTICATED, NOT_FOUND for the album, QUOTA_EXCEEDED."""
    owner, album, usage = await queries.room_for(db, new, quota)
    if not owner:
        raise ApiError(Code.UNAUTHENTICATED, "This account is gone")
    if not album:
        raise not_found("Album")
    usage.check(new.size)


def check_size(size: int, largest: int) -> None:
    """Raises `ApiError` TOO_LARGE."""
    if size > largest:
        raise ApiError(Code.TOO_LARGE, f"A photo may have at most {largest} bytes")


def object_key(owner_id: int, photo_id: int, content_type: str) -> str:
    """A fresh key, for which no URL was ever issued. Owner and photo stand in it so that
    `reconcile --adopt` can recreate a lost row."""
    return f"photos/{owner_id}/{photo_id}/{object_name(content_type)}"


def object_name(content_type: str) -> str:
    """What a fresh key ends in."""
    return f"{secrets.token_hex(16)}{EXTENSIONS[content_type]}"

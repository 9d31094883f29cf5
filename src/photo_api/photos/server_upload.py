"""Uploads through the server: one pass from the request's body into the store, hashed on the way.

Nothing is spooled, and at most three parts are in memory, within the budget. The bytes go to
a fresh key for which no URL was ever issued, so what is written is final; one statement then makes
it a photo.
"""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request

from photo_api.db.quotas import Usage
from photo_api.errors import ApiError, Code, not_found
from photo_api.http.fields import FormId, LongText, Name, Title, offset_of
from photo_api.http.idempotency import (
    Key,
    LongClaim,
    Replay,
    check_fingerprint,
    claim_long,
    fingerprint,
)
from photo_api.http.multipart import MultipartError, UploadForm
from photo_api.photos import upload_queries as queries
from photo_api.photos.direct_upload import (
    Outcome,
    check_album_id,
    check_room,
    check_size,
    discard,
    link_known,
    object_name,
    outcome,
)
from photo_api.photos.formats import SNIFF_LENGTH, sniff
from photo_api.photos.models import FileModified
from photo_api.state import AppState
from photo_api.storage.buffers import Chunk, GaveWay, NoRoom, Share

FORM_OVERHEAD = 256 * 1024
"""What the fields and boundaries of a form may add to the file's size."""

SOON = 5
"""Seconds after which to try again what found no room."""

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "album_id": {"type": "integer"},
                        "title": {"type": "string", "maxLength": 255},
                        "description": {"type": "string", "maxLength": 10_000},
                        "on_duplicate": {"type": "string", "enum": ["keep", "reuse"]},
                        "file_modified_at": {"type": "string", "format": "date-time"},
                    },
                },
                "example": {"file": "(bytes)", "album_id": 7, "title": "Sunrise"},
            }
        },
    }
}


class UploadFields(BaseModel):
    """The form's text fields, and the file's name."""

    album_id: FormId | None = None
    filename: Name
    title: Title | None = None
    description: LongText | None = None
    on_duplicate: str = Field("keep", pattern="^(keep|reuse)$")
    file_modified_at: FileModified = None


class Intake:
    """The file's bytes on their way: sniffed, counted, hashed and limited as they pass. It has at
    least `least` of them, by what the request says, and may have `largest`."""

    def __init__(self, chunks: AsyncIterator[Chunk], least: int, largest: int) -> None:
        self._chunks = chunks
        self._least = least
        self._largest = largest
        self._head = b""
        self._digest = hashlib.sha256()
        self.size = 0
        self._usage: Usage | None = None

    def keep_within(self, usage: Usage) -> None:
        """Take in nothing beyond this quota. Raises `ApiError` QUOTA_EXCEEDED."""
        usage.check(self.least)
        self._usage = usage

    @property
    def least(self) -> int:
        """Bytes that it has in any case, by what is known of it now."""
        return max(self.size, self._least)

    async def content_type(self) -> str:
        """By the first bytes. Raises `ApiError` NOT_AN_IMAGE."""
        while len(self._head) < SNIFF_LENGTH:
            chunk = await anext(self._chunks, b"")
            if not chunk:
                break
            self._head += self._count(chunk)
        found = sniff(self._head)
        if found is None:
            raise ApiError(
                Code.NOT_AN_IMAGE, "The file is not an image of an accepted type, by its bytes"
            )
        return found

    async def rest(self) -> AsyncIterator[Chunk]:
        """All bytes, those that `content_type` looked at first. Raises `ApiError` TOO_LARGE,
        QUOTA_EXCEEDED."""
        head, self._head = self._head, b""
        yield head
        async for chunk in self._chunks:
            yield self._count(chunk)

    def _count(self, chunk: Chunk) -> Chunk:
        self.size += len(chunk)
        check_size(self.size, self._largest)
        if self._usage is not None:
            self._usage.check(self.size)
        self._digest.update(chunk)
        return chunk

    @property
    def sha256(self) -> bytes:
        return self._digest.digest()


async def upload(request: Request, state: AppState, owner_id: int, key: Key | None) -> Outcome:
    """Take a form's file in. Raises `ApiError` NOT_AN_IMAGE, TOO_LARGE, QUOTA_EXCEEDED, NOT_FOUND
    for the album, and validation errors for fields."""
    largest = state.settings.uploads.max_size
    declared = request.headers.get("content-length", "")
    longest = int(declared) if declared.isdecimal() else largest
    check_size(longest, largest + FORM_OVERHEAD)
    address = request.scope["state"]["client_group"]
    share = Share(state.upload_memory, address, longest)
    try:
        form = UploadForm(request.stream(), request.headers.get("content-type", ""))
        file = await form.file()
        intake = Intake(file.chunks, longest - FORM_OVERHEAD if declared else 0, largest)
        async with claim_long(state.db, key) as claim:
            if isinstance(claim, Replay):
                return await _repeat(state, owner_id, form, intake, file.filename, claim)
            return await _take_in(state, owner_id, form, intake, file.filename, claim, share)
    except MultipartError as error:
        raise ApiError(Code.BAD_REQUEST, f"Not a usable multipart form: {error}") from None
    except NoRoom:
        text = "Too many uploads are on their way; try again"
        raise ApiError(Code.OVERLOADED, text, retry_after=SOON) from None
    except GaveWay:
        text = "Others waited, and this upload came slowly; try again"
        raise ApiError(Code.REQUEST_TIMEOUT, text) from None


async def _take_in(
    state: AppState,
    owner_id: int,
    form: UploadForm,
    intake: Intake,
    filename: str,
    claim: LongClaim | None,
    share: Share,
) -> Outcome:
    content_type = await intake.content_type()
    uploads = state.settings.uploads
    # Of `reuse` the bytes may be there already.
    least = None if form.fields.get("on_duplicate") == "reuse" else intake.least
    grace = queries.KEY_GRACE + uploads.longest_put
    photo_id, key, usage = await queries.begin_upload(
        state.db, owner_id, object_name(content_type), grace, least, uploads.quota
    )
    if least is not None:
        intake.keep_within(usage)
    try:
        await state.store.put(key, intake.rest(), content_type=content_type, share=share)
        fields = _fields(await form.finish(), filename)
    except Exception:
        await discard(state, key)
        raise
    mine = Outcome(photo_id, key, fields.filename, content_type, intake.size, duplicate=False)
    try:
        done = await _commit(state, owner_id, mine, fields, intake.sha256, claim)
    except ApiError:  # anything else may have come after the commit
        await discard(state, key)
        raise
    if done is not mine:
        await discard(state, key)
    return done


async def _commit(
    state: AppState,
    owner_id: int,
    mine: Outcome,
    fields: UploadFields,
    sha256: bytes,
    claim: LongClaim | None,
) -> Outcome:
    """`mine` as a new photo, or under `reuse` the one with its bytes. After an `ApiError` nothing
    points to the bytes; after any other error that is unknown, and left to the sweep."""
    check_album_id(fields.album_id)
    quota = state.settings.uploads.quota
    if claim is None and fields.on_duplicate != "reuse":  # one statement, and a transaction itself
        await _insert(state.db, _new_photo(owner_id, mine, fields, sha256), mine, quota)
        return mine
    async with state.db.transaction() as connection:
        done = None
        if fields.on_duplicate == "reuse":
            done = await _known_photo(connection, owner_id, fields.album_id, sha256)
        if done is None:
            await _insert(connection, _new_photo(owner_id, mine, fields, sha256), mine, quota)
            done = mine
        if claim is not None:
            status = 200 if done.duplicate else 201
            await claim.complete(connection, _fingerprint(fields, sha256), status, done.photo_id)
    return done


async def _known_photo(
    connection: Any, owner_id: int, album_id: int | None, sha256: bytes
) -> Outcome | None:
    """The photo with these bytes, which is in the album now."""
    known = await queries.lock_content(connection, owner_id, sha256, album_id)
    if known is None:
        return None
    await link_known(connection, owner_id, album_id, known["id"])
    return outcome(known, duplicate=True)


def _new_photo(
    owner_id: int, mine: Outcome, fields: UploadFields, sha256: bytes
) -> queries.NewPhoto:
    return queries.NewPhoto(
        owner_id,
        fields.album_id,
        fields.title or None,
        fields.description or None,
        mine.original_filename,
        mine.content_type,
        mine.file_size,
        sha256,
        fields.file_modified_at,
        offset_of(fields.file_modified_at),
    )


async def _insert(db: Any, new: queries.NewPhoto, mine: Outcome, quota: int) -> None:
    if await queries.insert_ready(db, new, mine.photo_id, mine.object_key, quota):
        return
    await check_room(db, new, quota)
    late = "This upload took longer than its bytes are kept; send it again"
    raise ApiError(Code.REQUEST_TIMEOUT, late)


async def _repeat(
    state: AppState, owner_id: int, form: UploadForm, intake: Intake, filename: str, before: Replay
) -> Outcome:
    """The same request once more: it is read to its end, since only then it is known to be the
    same."""
    await intake.content_type()
    async for _ in intake.rest():
        pass
    fields = _fields(await form.finish(), filename)
    check_fingerprint(before, _fingerprint(fields, intake.sha256))
    photo = await queries.staged(state.db, owner_id, before.resource_id)
    if photo is None or photo["status"] != "ready":
        raise not_found("Photo")
    return outcome(photo, duplicate=before.status == 200)


def _fingerprint(fields: UploadFields, sha256: bytes) -> bytes:
    return fingerprint([fields.model_dump(mode="json"), sha256.hex()])


def _fields(fields: dict[str, str], filename: str) -> UploadFields:
    try:
        return UploadFields.model_validate({**fields, "filename": filename})
    except ValidationError as error:
        items = [{**item, "loc": ("body", *item["loc"])} for item in error.errors()]
        raise RequestValidationError(items) from None

"""Uploads through the server: one pass from the request's body into the store, hashed on the way.

Nothing is spooled, and at most two parts are in memory, within the worker's budget. The bytes go to
a fresh key for which no URL was ever issued, so what is written is final; one statement then makes
it a photo.
"""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request

from photo_api.errors import ApiError, Code, not_found
from photo_api.http.client_address import throttle_group
from photo_api.http.fields import FormId, LongText, Name, Title, in_range, offset_of
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
    check_size,
    discard,
    link_known,
    object_key,
    outcome,
)
from photo_api.photos.formats import SNIFF_LENGTH, sniff
from photo_api.photos.models import FileModified
from photo_api.state import AppState
from photo_api.storage.buffers import SLOWEST, GaveWay, NoRoom, Share

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
                    "required": ["file", "album_id"],
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

    album_id: FormId
    filename: Name
    title: Title | None = None
    description: LongText | None = None
    on_duplicate: str = Field("keep", pattern="^(keep|reuse)$")
    file_modified_at: FileModified = None


class Intake:
    """The file's bytes on their way: sniffed, counted, hashed and limited as they pass."""

    def __init__(self, chunks: AsyncIterator[bytes], largest: int) -> None:
        self._chunks = chunks
        self._largest = largest
        self._head = b""
        self._digest = hashlib.sha256()
        self.size = 0

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

    async def rest(self) -> AsyncIterator[bytes]:
        """All bytes, those that `content_type` looked at first. Raises `ApiError` TOO_LARGE."""
        head, self._head = self._head, b""
        yield head
        async for chunk in self._chunks:
            yield self._count(chunk)

    def _count(self, chunk: bytes) -> bytes:
        self.size += len(chunk)
        check_size(self.size, self._largest)
        self._digest.update(chunk)
        return chunk

    @property
    def sha256(self) -> bytes:
        return self._digest.digest()


async def upload(request: Request, state: AppState, owner_id: int, key: Key | None) -> Outcome:
    """Take a form's file in. Raises `ApiError` NOT_AN_IMAGE, TOO_LARGE, NOT_FOUND for the album,
    and validation errors for fields."""
    largest = state.settings.uploads.max_size
    declared = request.headers.get("content-length", "")
    longest = int(declared) if declared.isdecimal() else largest
    check_size(longest, largest + FORM_OVERHEAD)
    address = throttle_group(request.scope["state"]["client"])
    share = Share(state.upload_memory, address, longest)
    try:
        form = UploadForm(request.stream(), request.headers.get("content-type", ""))
        file = await form.file()
        intake = Intake(file.chunks, largest)
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
        text = f"Others waited, and less than {SLOWEST} bytes a second came; try again"
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
    photo_id = await queries.new_photo_id(state.db)
    key = object_key(owner_id, photo_id, content_type)
    grace = queries.KEY_GRACE + state.settings.uploads.longest_put
    await queries.note_object(state.db, key, grace, in_parts=True)
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
    if not in_range(fields.album_id):
        raise not_found("Album")
    async with state.db.transaction() as connection:
        done = None
        if fields.on_duplicate == "reuse":
            done = await _known_photo(connection, owner_id, fields.album_id, sha256)
        if done is None:
            await _insert(connection, owner_id, mine, fields, sha256)
            done = mine
        if claim is not None:
            status = 200 if done.duplicate else 201
            await claim.complete(connection, _fingerprint(fields, sha256), status, done.photo_id)
    return done


async def _known_photo(
    connection: Any, owner_id: int, album_id: int, sha256: bytes
) -> Outcome | None:
    """The photo with these bytes, which is in the album now."""
    known = await queries.lock_content(connection, owner_id, sha256)
    if known is None:
        return None
    await link_known(connection, owner_id, album_id, known["id"])
    return outcome(known, duplicate=True)


async def _insert(
    connection: Any, owner_id: int, mine: Outcome, fields: UploadFields, sha256: bytes
) -> None:
    new = queries.NewPhoto(
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
    if not await queries.insert_ready(connection, new, mine.photo_id, mine.object_key):
        if not await queries.has_album(connection, owner_id, fields.album_id):
            raise not_found("Album")
        late = "This upload took longer than its bytes are kept; send it again"
        raise ApiError(Code.REQUEST_TIMEOUT, late)
    await queries.link(connection, owner_id, fields.album_id, mine.photo_id)


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

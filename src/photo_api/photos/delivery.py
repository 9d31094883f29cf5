"""How a photo's bytes reach a client: by a redirect to a signed URL, or streamed from the store."""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from photo_api.delivery.base import Method, ReadSigner
from photo_api.delivery.disposition import inline_disposition
from photo_api.errors import ApiError, Code, not_found
from photo_api.http.json import MadeResponse
from photo_api.photos.formats import HARDLY_SHOWN
from photo_api.photos.presentation import (
    AT_ONCE,
    WEBP,
    PhotoPresenter,
    Size,
    rendition_filename,
)
from photo_api.photos.streams import Streams
from photo_api.storage.base import ObjectMissing, ObjectStore, StoreUnavailable

log = logging.getLogger(__name__)

LONGEST_REDIRECT_CACHE = 300
"""Seconds a browser may keep a redirect, whatever its URL's validity: after that it asks again, and
learns of a photo that has been deleted or a share that has been revoked."""

OF_WHOM = {"Vary": "Authorization"}
"""What a browser keeps is of the user who asked: the next one who logs in there gets none of it."""

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


SOON = 5
"""Seconds after which to ask again for what is being made."""


@dataclass(frozen=True, slots=True)
class File:
    """An object to deliver. What only stands in for another may not be cached."""

    key: str
    filename: str
    content_type: str
    cacheable: bool = True


def file_of(photo: Any, size: Size, *, own: bool) -> File:
    """What of a photo its owner gets, or (not `own`) a visitor of a share link. Raises `ApiError`
    404 while there is nothing, or for good.

    For full size the preview stands in until the display rendition is made. Nothing does for a
    preview or a thumbnail: a page of tiles would be gigabytes of originals."""
    name, content_type = photo["original_filename"], photo["content_type"]
    original = File(photo["object_key"], name, content_type)
    if size == "original" and photo["original_key"] is not None:
        return original
    full = size not in ("preview", "thumbnail")
    shown = own and content_type not in HARDLY_SHOWN
    if shown and (size == "auto" or (full and photo["display_key"] is None)):
        return original
    for rendition in ("display", "preview") if full else (size,):
        key = photo[f"{rendition}_key"]
        if key is not None:
            made_as = photo["display_type"] if rendition == "display" else WEBP
            cacheable = rendition in ("display", size)
            return File(key, rendition_filename(name, made_as), made_as, cacheable)
    if own and full and photo["renditions"] == "failed":
        return replace(original, cacheable=False)
    raise _missing(photo)


def _missing(photo: Any) -> ApiError:
    if photo["renditions"] != "failed":
        text = "This photo is not ready to be shown yet; try again soon"
        return ApiError(Code.NOT_FOUND, text, retry_after=SOON)
    file = "size=original gives its file" if photo["original_key"] else "its owner can download it"
    return ApiError(Code.NOT_FOUND, f"This photo cannot be shown; {file}")


Way = Literal["cdn", "store", "streamed"]


class Delivery:
    """How photos reach one kind of `readers`: by the store's URLs, until `use` says otherwise.
    `cache` is for how many seconds their browsers may keep bytes that were streamed to them."""

    def __init__(
        self,
        readers: str,
        store: ObjectStore,
        signers: Mapping[Way, ReadSigner],
        streams: Streams,
        cache: int,
    ) -> None:
        self._readers = readers
        self._store = store
        self._signers = signers
        self._streams = streams
        self._cache = cache
        self.use("store")

    def use(self, way: Way) -> None:
        """Deliver in this way from now on; photos presented before are presented anew."""
        self.way = way
        self._signer = self._signers.get(way)
        self.presenter = PhotoPresenter(self._signer)

    @property
    def reader(self) -> ReadSigner | None:
        """What signs URLs now; None where images are streamed."""
        return self._signer

    @property
    def at_once(self) -> int:
        """How many addresses may be made in a row before others have their turn: a few ms."""
        return AT_ONCE if self._signer is None else self._signer.at_once

    def origins(self) -> set[str]:
        """`scheme://host:port` of those whom readers may be sent to, now or later."""
        urls = (urlsplit(signer.read("", filename="").url) for signer in self._signers.values())
        return {f"{url.scheme}://{url.netloc}" for url in urls}

    async def deliver(self, request: Request, file: File) -> Response:
        """The image, or where it is. Raises `ApiError`, OVERLOADED among them."""
        if self._signer is None:
            return await self._stream(request, file)
        method: Method = "HEAD" if _is_head(request) else "GET"
        signed = self._signer.read(file.key, filename=file.filename, method=method)
        max_age = min(signed.valid_for, LONGEST_REDIRECT_CACHE)
        caching = _cache_control(file, max_age)
        headers = [
            (b"vary", b"Authorization"),
            (b"location", signed.url.encode("latin-1")),
            (b"cache-control", caching.encode()),
            (b"content-length", b"0"),
        ]
        return MadeResponse(302, headers)

    async def _stream(self, request: Request, file: File) -> Response:
        try:
            if _is_head(request):
                size = (await self._store.head(file.key)).size
                return Response(headers=self._headers(file, size, None))
            async with AsyncExitStack() as turn:
                address = request.state.client_group
                await turn.enter_async_context(self._streams.turn(self._readers, address))
                size = (await self._store.head(file.key)).size
                part = _part(request, size)
                stream = await self._store.open(file.key, *(part or (0, size)))
                headers = self._headers(file, size, part)
                return _InTurn(stream.chunks, 206 if part else 200, headers, turn.pop_all())
        except ObjectMissing:
            raise not_found("Photo") from None

    def _headers(self, file: File, size: int, part: tuple[int, int] | None) -> dict[str, str]:
        start, end = part or (0, size)
        headers = {
            **OF_WHOM,
            "Content-Type": file.content_type,
            "Content-Length": str(end - start),
            "Content-Disposition": inline_disposition(file.filename),
            "Accept-Ranges": "bytes",
            "Cache-Control": _cache_control(file, self._cache),
        }
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        return headers


class _InTurn(StreamingResponse):
    """Gives its `turn` back at its end, whichever that is. Where the store fails within the image
    it leaves the answer short of its length, which the server then cuts."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        status: int,
        headers: dict[str, str],
        turn: AsyncExitStack,
    ) -> None:
        super().__init__(chunks, status, headers)
        self._turn = turn

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._turn:
            try:
                await super().__call__(scope, receive, send)
            except StoreUnavailable as error:
                log.warning("an image is cut: %s", error)


def _is_head(request: Request) -> bool:
    return request.method == "HEAD"


def _cache_control(file: File, max_age: int) -> str:
    return f"private, max-age={max_age}" if file.cacheable else "private, no-store"


def _part(request: Request, size: int) -> tuple[int, int] | None:
    """(start, end) of the one byte range that is asked for, end exclusive; None for the whole: for
    several ranges, another unit or method (RFC 9110, 14.2), and with If-Range, since we give no
    validator that could match. Raises `ApiError` RANGE_NOT_SATISFIABLE."""
    header = request.headers.get("range", "")
    match = RANGE.fullmatch(header.strip())
    if match is None or _is_head(request) or "if-range" in request.headers:
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= size:
        raise ApiError(
            Code.RANGE_NOT_SATISFIABLE,
            f"The image has {size} bytes",
            content_range=f"bytes */{size}",
        )
    return start, end

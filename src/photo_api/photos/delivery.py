"""How a photo's bytes reach a client: by a redirect to a signed URL, or streamed from the store."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from photo_api.delivery.disposition import inline_disposition
from photo_api.errors import ApiError, Code, not_found
from photo_api.http.state import AppState
from photo_api.photos.presentation import Size, rendition_filename
from photo_api.storage.base import ObjectMissing

LONGEST_REDIRECT_CACHE = 300
"""Seconds a browser may keep a redirect, whatever its URL's validity: after that it asks again, and
learns of a photo that has been deleted or a share that has been revoked."""

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


async def deliver(request: Request, state: AppState, photo: Any, size: Size) -> Response:
    """The image, or where it is. While a rendition is missing the original stands in for it, and
    the answer may not be cached."""
    key = {"thumbnail": photo["thumbnail_key"], "preview": photo["preview_key"]}.get(size)
    rendition = key is not None
    key = key or photo["object_key"]
    name = photo["original_filename"]
    name = rendition_filename(name) if rendition else name
    stand_in = size != "original" and not rendition
    if state.settings.delivery.mode == "stream":
        content_type = "image/webp" if rendition else photo["content_type"]
        return await _stream(request, state, key, name, content_type, cacheable=not stand_in)
    signed = state.signer.read(key, filename=name, method="HEAD" if _is_head(request) else "GET")
    max_age = min(signed.valid_for, LONGEST_REDIRECT_CACHE)
    cache = "private, no-store" if stand_in else f"private, max-age={max_age}"
    return Response(status_code=302, headers={"Location": signed.url, "Cache-Control": cache})


def _is_head(request: Request) -> bool:
    return request.method == "HEAD"


async def _stream(
    request: Request,
    state: AppState,
    key: str,
    filename: str,
    content_type: str,
    *,
    cacheable: bool,
) -> Response:
    try:
        info = await state.store.head(key)
        part = _part(request, info.size)
        start, end = part or (0, info.size)
        headers = {
            "Content-Type": content_type,
            "Content-Length": str(end - start),
            "Content-Disposition": inline_disposition(filename),
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, max-age=3600" if cacheable else "private, no-store",
        }
        if part is not None:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{info.size}"
        status = 200 if part is None else 206
        if _is_head(request):
            return Response(status_code=status, headers=headers)
        stream = await state.store.open(key, start, end)
    except ObjectMissing:
        raise not_found("Photo") from None
    return StreamingResponse(stream.chunks, status, headers)


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

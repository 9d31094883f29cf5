"""A photo's row as the contract's P, with signed URLs of its renditions."""

import asyncio
import time
from collections.abc import Callable, Sequence
from sys import getsizeof
from typing import Any, Literal

import orjson

from photo_api.byte_cache import OVERHEAD, ByteCache, Lately
from photo_api.delivery.base import ReadSigner
from photo_api.http.json import encode
from photo_api.http.pages import PAGE_BYTES
from photo_api.photos.formats import EXTENSIONS

COLUMNS = """p.id, p.owner_id, p.title, p.description, p.original_filename, p.content_type,
 p.file_size, p.created_at, p.updated_at, p.width, p.height, p.blurhash, p.taken_at,
 p.renditions, p.renditions_error, p.object_key, p.thumbnail_key, p.preview_key"""
"""What `PhotoPresenter` needs of a photo `p`, as a row's last columns."""

DETAIL = (
    "exif", "sort_at", "utc_offset", "date_source", "dates_passed_over", "file_modified_at",
    "favourite", "archived",
    "camera", "latitude", "longitude",
)  # fmt: skip
"""Columns of a photo of which lists tell nothing."""

WIDTH = COLUMNS.count(",") + 1
KEPT_SECONDS = 60.0
"""How long a presented page is given out again. Its URLs were signed to work for a whole window
and the signer's clock skew after that time."""

KEPT_BYTES = 8 * 1024 * 1024
"""Mostly about 3 kB a photo of a page, which is what its row and its JSON take."""

REMEMBERED = 4096
"""Photos of pages, none of which is kept before its page is asked for again: somewhat more than
can be kept."""

AT_ONCE = 400
"""Photos without signed URLs that are presented in a row: nobody else has a turn for about 1 ms."""

PageOf = tuple[int, int, str]
"""The ids of its first and last photo, and the `base` of its addresses."""

Presented = tuple[Sequence[Any], float, Sequence[orjson.Fragment]]
"""The rows of a page, when they are presented anew, and their JSON."""

Size = Literal["auto", "original", "display", "preview", "thumbnail"]

SHOWN: tuple[Size, Size] = ("thumbnail", "preview")

WEBP = "image/webp"
"""What thumbnails and previews are."""


def rendition_filename(original: str, content_type: str = WEBP) -> str:
    """What a saved rendition of this photo should be called."""
    return original.rsplit(".", 1)[0] + EXTENSIONS[content_type]


class PhotoPresenter:
    """Makes P of rows, one of these for a worker. `base` stands before `/photos/…` in addresses:
    empty for the owner, `/share/{token}` for visitors. With `reader` None (delivery by streaming)
    renditions have addresses of the API too."""

    def __init__(
        self, reader: ReadSigner | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader = reader
        self._at_once = reader.at_once // len(SHOWN) if reader else AT_ONCE
        self._clock = clock
        self._kept = ByteCache[PageOf, Presented](KEPT_BYTES)
        self._lately = Lately[PageOf](REMEMBERED)

    async def page(self, rows: Sequence[Any], base: str = "") -> Sequence[orjson.Fragment]:
        """The photos of a list, as JSON, until the page is full (see `http.pages`). What was made
        of the very same rows a moment ago is given again: people look at their newest photos over
        and over, and at most others once."""
        if not rows:
            return []
        now, key = self._clock(), (rows[0][-WIDTH], rows[-1][-WIDTH], base)
        known = self._kept.get(key)
        if known is not None and now <= known[1] and known[0] == rows:
            return known[2]
        again = self._lately.again(key, len(rows))
        page, size = await self._present(rows, base)
        if again:
            self._kept.put(key, (rows, now + KEPT_SECONDS, page), size + _size(rows))
        return page

    async def _present(self, rows: Sequence[Any], base: str) -> tuple[list[orjson.Fragment], int]:
        """And how many bytes that has. Other requests have their turn after as many photos as take
        a few milliseconds."""
        page = list[orjson.Fragment]()
        size = 0
        for number, row in enumerate(rows, 1):
            encoded = encode(self._p(row[-WIDTH:], base))
            if page and size + len(encoded) > PAGE_BYTES:
                break
            size += len(encoded)
            page.append(orjson.Fragment(encoded))
            if number % self._at_once == 0:
                await asyncio.sleep(0)
        return page, size

    def one(self, row: Any, base: str = "") -> dict[str, Any]:
        """A single photo."""
        return self._p(row[-WIDTH:], base)

    def _p(self, values: tuple[Any, ...], base: str) -> dict[str, Any]:
        (
            photo_id, owner_id, title, description, original, content_type, file_size, created_at,
            updated_at, width, height, blurhash, taken_at, renditions, renditions_error, key,
            thumbnail_key, preview_key,
        ) = values  # fmt: skip
        url = f"{base}/photos/{photo_id}/image"
        keys = thumbnail_key, preview_key
        if self._reader is None:
            shown = [key and f"{url}?size={size}" for key, size in zip(keys, SHOWN, strict=True)]
        else:
            shown = self._reader.urls(keys, rendition_filename(original))
        return {
            "id": photo_id,
            "owner_id": owner_id,
            "title": title,
            "description": description,
            "filename": key[key.rfind("/") + 1 :],
            "original_filename": original,
            "content_type": content_type,
            "file_size": file_size,
            "created_at": created_at,
            "updated_at": updated_at,
            "url": url,
            "width": width,
            "height": height,
            "blurhash": blurhash,
            "taken_at": taken_at,
            "renditions": renditions,
            "renditions_error": renditions_error,
            "thumbnail_url": shown[0],
            "preview_url": shown[1],
        }


def _size(rows: Sequence[Any]) -> int:
    """Bytes that a page's rows take, and what surrounds the JSON of each."""
    return sum(OVERHEAD + sum(map(getsizeof, row)) for row in rows)


def own_image(photo_id: int) -> str:
    """The image route for a photo's owner, relative to the API's base."""
    return f"/photos/{photo_id}/image"

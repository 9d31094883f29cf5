"""A photo's row as the contract's P, with signed URLs of its renditions."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import orjson

from photo_api.delivery.base import ReadSigner
from photo_api.photos.formats import EXTENSIONS
from photo_api.photos.kept_pages import KeptPages

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
AT_ONCE = 400
"""Photos without signed URLs that are presented in a row: nobody else has a turn for about 1 ms."""

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
        self._pages = KeptPages(clock=clock)

    async def page(self, rows: Sequence[Any], base: str = "") -> Sequence[orjson.Fragment]:
        """The photos of a list, as JSON, until the page is full."""
        if not rows:
            return []
        key = rows[0][-WIDTH], rows[-1][-WIDTH], base
        return await self._pages.page(key, rows, partial(self.one, base=base), self._at_once)

    def one(self, row: Any, base: str = "") -> dict[str, Any]:
        """A single photo."""
        (
            photo_id, owner_id, title, description, original, content_type, file_size, created_at,
            updated_at, width, height, blurhash, taken_at, renditions, renditions_error, key,
            thumbnail_key, preview_key,
        ) = row[-WIDTH:]  # fmt: skip
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


def own_image(photo_id: int) -> str:
    """The image route for a photo's owner, relative to the API's base."""
    return f"/photos/{photo_id}/image"

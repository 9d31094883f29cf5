"""A photo's row as the contract's P, with signed URLs of its renditions."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from photo_api.delivery.base import ReadSigner
from photo_api.photos.formats import EXTENSIONS
from photo_api.photos.kept_pages import KeptPages, Page

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
ORIGINAL = 4 - WIDTH
"""Where in a row the name of the uploaded file stands."""
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

    async def page(self, rows: Sequence[Any], base: str = "") -> Page:
        """The photos of a list, as JSON, until the page is full."""
        if not rows:
            return Page()
        key = rows[0][-WIDTH], rows[-1][-WIDTH], base
        return await self._pages.page(key, rows, partial(self._some, base=base), self._at_once)

    def one(self, row: Any, base: str = "") -> dict[str, Any]:
        """A single photo."""
        [photo] = self._some([row], base)
        return photo

    def _some(self, rows: Sequence[Any], base: str) -> Sequence[dict[str, Any]]:
        """As many as have their URLs signed in one go."""
        if self._reader is None:
            return [_photo(row[-WIDTH:], base, *_streamed(row[-WIDTH:], base)) for row in rows]
        files: list[tuple[str | None, str]] = []
        for row in rows:
            name = rendition_filename(row[ORIGINAL])
            files += (row[-2], name), (row[-1], name)
        urls = iter(self._reader.urls(files))
        return [
            _photo(row[-WIDTH:], base, thumbnail, preview)
            for row, thumbnail, preview in zip(rows, urls, urls, strict=True)
        ]


def _streamed(row: Any, base: str) -> list[str | None]:
    """Addresses of the API for a photo's thumbnail and preview."""
    return [
        key and f"{base}/photos/{row[0]}/image?size={size}"
        for key, size in zip(row[-2:], SHOWN, strict=True)
    ]


def _photo(
    row: Any, base: str, thumbnail_url: str | None, preview_url: str | None
) -> dict[str, Any]:
    """P of a row of `COLUMNS`."""
    (
        photo_id, owner_id, title, description, original, content_type, file_size, created_at,
        updated_at, width, height, blurhash, taken_at, renditions, renditions_error, key, _, _,
    ) = row  # fmt: skip
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
        "url": f"{base}/photos/{photo_id}/image",
        "width": width,
        "height": height,
        "blurhash": blurhash,
        "taken_at": taken_at,
        "renditions": renditions,
        "renditions_error": renditions_error,
        "thumbnail_url": thumbnail_url,
        "preview_url": preview_url,
    }


def own_image(photo_id: int) -> str:
    """The image route for a photo's owner, relative to the API's base."""
    return f"/photos/{photo_id}/image"

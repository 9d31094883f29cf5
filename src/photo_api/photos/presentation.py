"""A photo's row as the contract's P, with signed URLs of its renditions."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Literal

import orjson

from photo_api.delivery.base import UrlSigner
from photo_api.http.json import encode

COLUMNS = """p.id, p.owner_id, p.title, p.description, p.original_filename, p.content_type,
 p.file_size, p.created_at, p.updated_at, p.width, p.height, p.blurhash, p.taken_at,
 p.renditions, p.renditions_error, p.object_key, p.thumbnail_key, p.preview_key"""
"""What `PhotoPresenter` needs of a photo `p`, as a row's last columns."""

WIDTH = COLUMNS.count(",") + 1
KEPT_SECONDS = 60.0
"""How long a presented photo is given out again. Its URLs were signed to work for a whole window
and the signer's clock skew after that time."""

KEPT_PHOTOS = 4000
"""About 2 kB each."""

Size = Literal["thumbnail", "preview", "original"]


def rendition_filename(original: str) -> str:
    """What a saved rendition of this photo should be called."""
    return original.rsplit(".", 1)[0] + ".webp"


class PhotoPresenter:
    """Makes P of rows, one of these for a worker. `base` stands before `/photos/…` in addresses:
    empty for the owner, `/share/{token}` for visitors. With `signer` None (delivery by streaming)
    renditions have addresses of the API too."""

    def __init__(
        self, signer: UrlSigner | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._signer = signer
        self._clock = clock
        self._kept: dict[tuple[int, str], tuple[tuple[Any, ...], float, orjson.Fragment]] = {}

    def page(self, rows: Iterable[Any], base: str = "") -> list[orjson.Fragment]:
        """The photos of a list, as JSON. What was made of the very same row a moment ago is given
        again: people look at their newest photos over and over."""
        now = self._clock()
        kept = self._kept
        page = []
        for row in rows:
            values = tuple(row[-WIDTH:])
            known = kept.get((values[0], base))
            if known is None or known[0] != values or known[1] < now:
                known = values, now + KEPT_SECONDS, orjson.Fragment(encode(self._p(values, base)))
                self._keep((values[0], base), known)
            page.append(known[2])
        return page

    def one(self, row: Any, base: str = "") -> dict[str, Any]:
        """A single photo."""
        return self._p(tuple(row[-WIDTH:]), base)

    def _keep(self, key: tuple[int, str], entry: Any) -> None:
        if len(self._kept) >= KEPT_PHOTOS:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = entry

    def _p(self, values: tuple[Any, ...], base: str) -> dict[str, Any]:
        (
            photo_id, owner_id, title, description, original, content_type, file_size, created_at,
            updated_at, width, height, blurhash, taken_at, renditions, renditions_error, key,
            thumbnail_key, preview_key,
        ) = values  # fmt: skip
        url = f"{base}/photos/{photo_id}/image"
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
            "thumbnail_url": self._rendition(thumbnail_key, original, url, "thumbnail"),
            "preview_url": self._rendition(preview_key, original, url, "preview"),
        }

    def _rendition(self, key: str | None, original: str, url: str, size: Size) -> str | None:
        if key is None:
            return None
        if self._signer is None:
            return f"{url}?size={size}"
        return self._signer.read(key, filename=rendition_filename(original)).url


def own_image(photo_id: int) -> str:
    """The image route for a photo's owner, relative to the API's base."""
    return f"/photos/{photo_id}/image"

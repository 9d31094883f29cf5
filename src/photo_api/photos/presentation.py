"""A photo's row as the contract's P, with signed URLs of its renditions."""

from collections.abc import Callable
from typing import Any, Literal

from photo_api.delivery.base import UrlSigner

COLUMNS = """p.id, p.owner_id, p.title, p.description, p.original_filename, p.content_type,
 p.file_size, p.created_at, p.updated_at, p.width, p.height, p.blurhash, p.taken_at,
 p.renditions, p.renditions_error, p.object_key, p.thumbnail_key, p.preview_key"""
"""What `PhotoPresenter` needs of a photo `p`."""

Size = Literal["thumbnail", "preview", "original"]


def rendition_filename(original: str) -> str:
    """What a saved rendition of this photo should be called."""
    return original.rsplit(".", 1)[0] + ".webp"


class PhotoPresenter:
    """Makes P for one answer. `base` is the image route's path as a function of the photo's id;
    with `signer` None (delivery by streaming) renditions have that route's address too."""

    def __init__(self, signer: UrlSigner | None, base: Callable[[int], str]) -> None:
        self._signer = signer
        self._base = base

    def __call__(self, row: Any) -> dict[str, Any]:
        photo_id, key = row["id"], row["object_key"]
        url = self._base(photo_id)
        return {
            "id": photo_id,
            "owner_id": row["owner_id"],
            "title": row["title"],
            "description": row["description"],
            "filename": key[key.rfind("/") + 1 :],
            "original_filename": row["original_filename"],
            "content_type": row["content_type"],
            "file_size": row["file_size"],
            "created_at": row["created_at"],
            "updated_at": row["updated_at"],
            "url": url,
            "width": row["width"],
            "height": row["height"],
            "blurhash": row["blurhash"],
            "taken_at": row["taken_at"],
            "renditions": row["renditions"],
            "renditions_error": row["renditions_error"],
            "thumbnail_url": self._rendition(row, row["thumbnail_key"], url, "thumbnail"),
            "preview_url": self._rendition(row, row["preview_key"], url, "preview"),
        }

    def _rendition(self, row: Any, key: str | None, url: str, size: Size) -> str | None:
        if key is None:
            return None
        if self._signer is None:
            return f"{url}?size={size}"
        return self._signer.read(key, filename=rendition_filename(row["original_filename"])).url


def own_image(photo_id: int) -> str:
    """The image route for a photo's owner, relative to the API's base."""
    return f"/photos/{photo_id}/image"

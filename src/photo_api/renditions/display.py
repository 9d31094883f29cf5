"""A photo at full size without metadata, as browsers show it; runs only in the child.

A JPEG keeps its coded picture. Whatever else is decoded and becomes a WebP in sRGB, a JPEG where it
has more pixels than that is good for.
"""

from functools import partial
from typing import Any

from photo_api.renditions import images
from photo_api.renditions.colour import in_srgb, is_plain
from photo_api.renditions.jpeg import UnusualJpeg, without_metadata
from photo_api.renditions.limits import (
    WEBP_EDGE,
    WEBP_PIXELS,
    Header,
    Limit,
    animation,
    rewriting,
)

QUALITY = 85
ANIMATED_PIXELS = 40_000_000
"""Of all frames together; of what has more, or takes too much memory, the first frame is shown."""


def display(data: bytes, limit: Limit) -> images.Made:
    """The content type, image/jpeg or image/webp, and one file. Raises as `images.render` does."""
    return images.attempt(_display, data, limit._replace(full=True))


def _display(data: bytes, content_type: str, limit: Limit) -> images.Made:
    if content_type == "image/jpeg":
        image = images.load(data, content_type, fail_on="none")
        header = Header(data, content_type, image.width, image.height)
        limit.check_bytes(header, rewriting(header))
        orientation = images.field(image, "orientation") or 1
        try:
            return _made("image/jpeg", without_metadata(data, orientation))
        except UnusualJpeg:
            pass  # it is decoded then, like any other
    return _encode(_decode(data, content_type, limit))


def _decode(data: bytes, content_type: str, limit: Limit) -> Any:
    if images.is_hevc(data, content_type):
        opened = images.open_heic(data, limit)
        return images.shrink(opened.image, max(opened.width, opened.height), opened.coding)
    opened = images.open_image(data, content_type, limit)
    header = Header(data, content_type, opened.width, opened.height)
    moves = not opened.heif and 1 < opened.frames <= ANIMATED_PIXELS // header.pixels
    if moves and animation(header, opened.frames) <= limit.room:
        frames = images.load(data, content_type, n=-1)
        return frames if is_plain(frames, opened.coding) else in_srgb(frames, opened.coding)
    whole = partial(images.shrink, edge=max(opened.width, opened.height), coding=opened.coding)
    return images.decode(data, content_type, whole)[0]


def _made(content_type: str, data: bytes) -> images.Made:
    return {"content_type": content_type}, data, b""


def _encode(image: Any) -> images.Made:
    animated = (images.field(image, "n-pages") or 1) > 1
    edge = max(image.width, image.height)
    if animated or (image.width * image.height <= WEBP_PIXELS and edge <= WEBP_EDGE):
        return _made("image/webp", image.webpsave_buffer(Q=QUALITY, effort=2, keep="none"))
    flat = image.flatten(background=255) if image.hasalpha() else image
    return _made("image/jpeg", flat.jpegsave_buffer(Q=QUALITY, keep="none"))

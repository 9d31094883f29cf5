"""An original's bytes to a thumbnail and a preview, in one decode; runs only in the child.

vips is asked for one loader by name, the one that the magic bytes call for, so its own guess at
the format is never used. `thumbnail_buffer` is not used either: it ignores `fail_on`.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import pyvips
from blurhash_rs import blurhash_encode
from PIL import Image

from photo_api.photos.formats import SNIFF_LENGTH, sniff
from photo_api.renditions import colour, heic
from photo_api.renditions.colour_coding import Coding, coding_of
from photo_api.renditions.containers import find_blocks, webp_size
from photo_api.renditions.exif import read_exif
from photo_api.renditions.heif_picture import AV1, HEVC, Picture, read_picture
from photo_api.renditions.heif_track import count_frames, read_track
from photo_api.renditions.jpeg import frame_header, without_cut_segment
from photo_api.renditions.limits import (
    PREVIEW_SOURCE,
    Header,
    Limit,
    holds_next_to_nothing,
    jpeg_shrink,
    unlimited,
)
from photo_api.renditions.orientation import is_heeded
from photo_api.renditions.refusals import TRUNCATED, classify, refuse_unshown, refused
from photo_api.renditions.wire import Refused

PREVIEW_EDGE = 1440
THUMBNAIL_EDGE = 320
THINNEST = 8
"""Pixels of the shorter side of which none is left, maybe, when a decoder shrinks."""
WEBP_QUALITY = 80

_LOADERS: Mapping[str, str] = MappingProxyType(
    {
        "image/jpeg": "jpegload_source",
        "image/png": "pngload_source",
        "image/gif": "gifload_source",
        "image/webp": "webpload_source",
        "image/avif": "heifload_source",
        "image/heic": "heifload_source",
        "image/heif": "heifload_source",
    }
)
_HEIF_TYPES = frozenset({"image/avif", "image/heic", "image/heif"})
_LONGEST = 1 << 31
_JPEG_END = b"\xff\xd9"


Made = tuple[dict[str, object], bytes, bytes]
"""What is told, as JSON can, and two files, of which the second may be empty."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A header that was read. `width` and `height` are as displayed; `image` decodes lazily;
    `heif` is what HEIC and AVIF say of their picture; `coding` is what its numbers mean.

    Neither vips nor libheif's memoryview owns the pixels of a HEIC: `owner` keeps them alive.
    """

    image: Any
    width: int
    height: int
    frames: int
    coding: Coding
    heif: Picture | None = None
    owner: object = None


def render(data: bytes, limit: Limit) -> Made:
    """Everything about the original, thumbnail and preview, which are WebP in sRGB.
    Raises `Refused`, or MemoryError after which the process should end."""
    return attempt(_render, data, limit)


def describe(data: bytes, limit: Limit) -> Made:
    """What a file tells of itself without its picture: its type, EXIF, SHA-256, and width and
    height as displayed, null where no header tells them. Raises as `render` does."""
    return attempt(_describe, data, limit)


def attempt(work: Callable[[bytes, str, Limit], Made], data: bytes, limit: Limit) -> Made:
    """What `work` makes of the file, its type and the limit. Raises as `render` does."""
    content_type = sniff(data[:SNIFF_LENGTH])
    if content_type is None:
        raise refused("not_an_image")
    pyvips.vips_lib.vips_error_clear()  # or warnings of the file before would blame this one
    try:
        if work is not _describe:
            refuse_unshown(data, content_type)
        return work(data, content_type, limit)
    except (MemoryError, Refused):
        raise
    except Exception as error:  # whatever a decoder complains of, the file is its reason
        raise classify(data, content_type, str(error)) from error


def _render(data: bytes, content_type: str, limit: Limit) -> Made:
    if is_hevc(data, content_type):
        opened = open_heic(data, limit)
        preview, whole = shrink(opened.image, PREVIEW_EDGE, opened.coding), True
    else:
        opened = open_image(data, content_type, limit)
        preview, whole = _preview(data, content_type, opened)
    thumbnail = shrink(preview, THUMBNAIL_EDGE, Coding())
    head = _facts(data, content_type, (opened.width, opened.height)) | {
        "frames": opened.frames,
        "blurhash": _blurhash(thumbnail),
        "fault": None if whole else "truncated",
    }
    return head, _webp(thumbnail), _webp(preview)


def is_hevc(data: bytes, content_type: str) -> bool:
    """Whether it is `open_heic` that opens it. A file's brands say what it may be, its picture's
    coding what it is."""
    if content_type not in _HEIF_TYPES:
        return False
    picture = read_picture(data)
    coded_in = picture.codec if picture else b""
    return coded_in == HEVC or (coded_in != AV1 and content_type != "image/avif")


def _facts(
    data: bytes, content_type: str, size: tuple[int | None, int | None]
) -> dict[str, object]:
    return {
        "content_type": content_type,
        "width": size[0],
        "height": size[1],
        "exif": read_exif(*find_blocks(data, content_type)),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def _describe(data: bytes, content_type: str, _: Limit) -> Made:
    return _facts(data, content_type, _size(data, content_type)), b"", b""


def _size(data: bytes, content_type: str) -> tuple[int | None, int | None]:
    """As displayed, however many pixels that are."""
    size = _heif_size(data) if content_type in _HEIF_TYPES else None
    if size is None:
        with suppress(pyvips.Error, Refused):
            opened = open_image(data, content_type, unlimited())
            size = opened.width, opened.height
    if size is None and (told := _told_size(data, content_type)):
        size = told[::-1] if _is_turned(data, content_type) else told
    return size if size and min(size) > 0 and max(size) < _LONGEST else (None, None)


def _is_turned(data: bytes, content_type: str) -> bool:
    """Whether width and height change places (CIPA DC-008, 4.6.4)."""
    if not is_heeded(data, content_type):
        return False
    orientation = read_exif(find_blocks(data, content_type).exif).get("orientation")
    return isinstance(orientation, int) and orientation >= 5


def _heif_size(data: bytes) -> tuple[int, int] | None:
    picture = read_picture(data)
    if picture:
        return picture.displayed
    track = read_track(data)
    return track.size if track else None


def _told_size(data: bytes, content_type: str) -> tuple[int, int] | None:
    """What a header says that vips will not open, as coded."""
    if content_type == "image/png" and (at := data.find(b"IHDR", 12, 64)) > 0:
        return int.from_bytes(data[at + 4 : at + 8], "big"), int.from_bytes(
            data[at + 8 : at + 12], "big"
        )
    if content_type == "image/jpeg" and (frame := frame_header(data)):
        return frame.width, frame.height
    return webp_size(data) if content_type == "image/webp" else None


def load(data: bytes, content_type: str, **options: Any) -> Any:
    """A picture that decodes when it is asked for; `options` are the loader's. EXIF turns it where
    it turns it in browsers."""
    loader = getattr(pyvips.Image, _LOADERS[content_type])
    source = pyvips.Source.new_from_memory(data)  # of bytes themselves it would make a copy
    image = loader(source, **{"access": "sequential", "fail_on": "truncated"} | options)
    if content_type in _HEIF_TYPES:
        picture = read_picture(data) if image.hasalpha() else None
        return heic.straight(image) if picture and picture.premultiplied else image
    if (field(image, "orientation") or 1) > 1 and not is_heeded(data, content_type):
        image = image.copy()
        image.remove("orientation")
    return image


def field(image: Any, name: str) -> Any:
    """One of a picture's metadata, None if it has none of that name."""
    return image.get(name) if image.get_typeof(name) else None


def open_image(data: bytes, content_type: str, limit: Limit) -> Opened:
    """What the header says of a file that is not HEIC. Raises `Refused`."""
    if content_type == "image/png":
        # IHDR comes first. vips says nothing of why it will not open what is over its own bound.
        width, height = struct.unpack_from("!II", data.ljust(29, b"\0"), 16)
        limit.check(Header(data, content_type, width, height))
    if content_type == "image/jpeg" and holds_next_to_nothing(data):
        raise refused("truncated")
    # Opening reads the header only; whether the file is whole is found by decoding it.
    image = load(data, content_type, fail_on="none")
    orientation = field(image, "orientation") or 1
    limit.check(Header(data, content_type, image.width, image.height, orientation > 1))
    turned = orientation >= 5
    width, height = (image.height, image.width) if turned else (image.width, image.height)
    if content_type in _HEIF_TYPES:
        frames, heif = count_frames(data), read_picture(data)
    else:
        frames, heif = field(image, "n-pages") or 1, None
    return Opened(image, width, height, frames, coding_of(data, content_type, heif), heif)


def _preview(data: bytes, content_type: str, opened: Opened) -> tuple[Any, bool]:
    options = _shrink_on_load(content_type, opened.width, opened.height)
    shrunk = partial(shrink, edge=PREVIEW_EDGE, coding=opened.coding)
    return decode(data, content_type, shrunk, **options)


def decode(
    data: bytes, content_type: str, shrunk: Callable[[Any], Any], **options: Any
) -> tuple[Any, bool]:
    """The picture as `shrink` gives it, and whether it is whole: of a JPEG that is cut short comes
    what there is, on grey, as browsers show it."""
    try:
        return shrunk(load(data, content_type, **options)), True
    except pyvips.Error as error:
        if content_type != "image/jpeg" or not TRUNCATED.search(str(error)):
            raise
        # Some cameras leave out the end marker. With one, a complete image has no other fault.
        ended = without_cut_segment(data) + _JPEG_END
    try:
        return shrunk(load(ended, content_type, fail_on="warning", **options)), True
    except pyvips.Error as error:
        if not TRUNCATED.search(str(error)):
            raise
    pyvips.vips_lib.vips_error_clear()
    return shrunk(load(ended, content_type, fail_on="none", **options)), False


def _shrink_on_load(content_type: str, width: int, height: int) -> dict[str, object]:
    """Let the decoder drop what is not needed, down to twice the preview: the rest is resampled,
    as vips' own thumbnailer does. Of a strip a pixel's width is left."""
    if min(width, height) < THINNEST:
        return {}
    longest = max(width, height)
    if content_type == "image/jpeg":
        return {"shrink": jpeg_shrink(longest)}
    spare = longest / PREVIEW_SOURCE
    if content_type == "image/webp" and spare > 1:
        return {"scale": 1 / spare}
    return {}


def open_heic(data: bytes, limit: Limit) -> Opened:
    """A HEIC, decoded, in 16 bits per channel if it is HDR of more than 8. Raises `Refused`."""
    picture = read_picture(data)
    coding = coding_of(data, "image/heic", picture)
    deep = colour.is_hdr(coding, picture.profile if picture else b"")
    primary = heic.open_primary(data, deep, picture)
    limit.check(Header(data, "image/heic", *primary.size))
    image = heic.pixels(primary, picture)
    size = image.width, image.height
    return Opened(image, *size, count_frames(data), coding, picture, primary)


def shrink(image: Any, edge: int, coding: Coding) -> Any:
    """Upright, in 8-bit sRGB, at most `edge` pixels long, in memory."""
    if not colour.is_plain(image, coding):
        return colour.in_srgb(_upright(image, edge), coding).copy_memory()
    small = image.thumbnail_image(edge, height=edge, size="down")
    if small.interpretation != "srgb":
        small = small.colourspace("srgb")
    return small.cast("uchar").copy_memory()


def _upright(image: Any, edge: int) -> Any:
    """As vips' thumbnailer makes it, with the picture's own numbers: that one ends in 8 bits."""
    scale = edge / max(image.width, image.height)
    if scale < 1:
        form, transparent = image.format, image.hasalpha()
        if transparent:
            most = 65535 if form == "ushort" else 255
            image = image.premultiply(max_alpha=most)
        image = image.resize(max(scale, 1 / image.width), vscale=max(scale, 1 / image.height))
        if transparent:
            image = image.unpremultiply(max_alpha=most)
        image = image.cast(form)
    return image.copy_memory().autorot() if (field(image, "orientation") or 1) > 1 else image


def _webp(image: Any) -> bytes:
    encoded: bytes = image.webpsave_buffer(Q=WEBP_QUALITY, effort=2, keep="none")
    return encoded


def _blurhash(thumbnail: Any) -> str:
    flat = thumbnail.flatten(background=255) if thumbnail.hasalpha() else thumbnail
    pixels = flat.write_to_memory()
    return blurhash_encode(Image.frombytes("RGB", (flat.width, flat.height), pixels), 4, 3)

"""Whether a file ends before it should, by its own headers: what a decoder complains of is often
told in words that mean something else."""

import re
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType

from photo_api.renditions.boxes import Box, Reader, meta, version
from photo_api.renditions.jpeg import without_cut_segment
from photo_api.renditions.png import chunks

MAX_PARTS = 1_000_000
"""Of a file so many chunks or blocks are looked at."""
MAX_EXTENTS = 100_000
MAX_KINDS = 100
"""And boxes of so many kinds."""


def is_cut_short(data: bytes, content_type: str) -> bool:
    """True if more must follow. False also where that cannot be told, as within a JPEG's picture,
    which has no length."""
    return content_type in _WALKS and _WALKS[content_type](data)


def _jpeg(data: bytes) -> bool:
    """Segments, each with its length (ITU T.81, B.1.1.4)."""
    return len(without_cut_segment(data)) < len(data)


_CHUNK_NAME = re.compile(rb"[A-Za-z]{4}")


def _png(data: bytes) -> bool:
    """Chunks up to IEND (PNG, third edition, 5.3)."""
    for chunk in chunks(data, MAX_PARTS):
        if len(chunk.name) == 4 and (chunk.length >> 31 or not _CHUNK_NAME.fullmatch(chunk.name)):
            return False
        if chunk.end > len(data):
            return True
        if chunk.name == b"IEND":
            return False
    return False


def _webp(data: bytes) -> bool:
    """RFC 9649, 2.4: the size of all that follows."""
    return len(data) < 12 or len(data) < 8 + struct.unpack_from("<I", data, 4)[0]


_IMAGE, _EXTENSION, _TRAILER = 0x2C, 0x21, 0x3B


def _gif(data: bytes) -> bool:
    """Blocks up to the trailer (GIF89a, 18 to 27)."""
    at = 13 + _palette(data, 10)
    for _ in range(MAX_PARTS):
        if at >= len(data) or data[at] not in (_IMAGE, _EXTENSION):
            break
        # An extension has a label before its parts, an image a descriptor, colours and a width.
        at += 2 if data[at] == _EXTENSION else 11 + _palette(data, at + 9)
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return at >= len(data)


def _palette(data: bytes, at: int) -> int:
    """The size in bytes of the colours that these flags tell of."""
    flags = data[at] if at < len(data) else 0
    return 6 << (flags & 7) if flags & 0x80 else 0


def _heif(data: bytes) -> bool:
    """Every box of the file, and every item's extents (ISO 14496-12, 8.11.3)."""
    at, kinds = 0, set[bytes]()
    while at + 8 <= len(data) and len(kinds) < MAX_KINDS:
        size = int.from_bytes(data[at : at + 4], "big")
        kinds.add(data[at + 4 : at + 8])
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if 0 < size < 8:
            return False
        at = at + size if size else len(data)
    places = meta(data).get(b"iloc")
    if at > len(data) or (places is not None and _ends(data, places) > len(data)):
        return True
    return not kinds & {b"meta", b"moov"}


def _ends(data: bytes, places: Box) -> int:
    """Where in the file the last item ends."""
    reader, edition, last = Reader(data, places.start + 4), version(data, places), 0
    sizes = reader.number(2)
    offset, length, base, index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide = 4 if edition > 1 else 2
    extents = MAX_EXTENTS
    for _ in range(reader.number(wide)):
        reader.number(wide)
        in_file = not edition or reader.number(2) & 15 == 0
        within = reader.number(2) == 0
        start, count = reader.number(base), reader.number(2)
        for _ in range(min(count, extents)):
            reader.number(index if edition else 0)
            end = start + reader.number(offset) + reader.number(length)
            last = max(last, end if in_file and within else 0)
        extents -= count
        if reader.at >= places.end or extents <= 0:
            break
    return last


_WALKS: Mapping[str, Callable[[bytes], bool]] = MappingProxyType(
    {
        "image/jpeg": _jpeg,
        "image/png": _png,
        "image/webp": _webp,
        "image/gif": _gif,
        "image/heic": _heif,
        "image/heif": _heif,
        "image/avif": _heif,
    }
)

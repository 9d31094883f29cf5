"""The metadata items of a HEIF file, which HEIC and AVIF are (ISO 14496-12, 8.11; 23008-12, A)."""

from collections.abc import Iterator
from typing import NamedTuple

MAX_BOXES = 10_000
MAX_ITEMS = 20_000
MAX_EXTENTS = 1000
MAX_TRIED = 8
"""Of a file so many items of metadata are looked at."""


class _Box(NamedTuple):
    kind: bytes
    start: int
    end: int


class _Reader:
    """Numbers one after another; beyond the end they are zero."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def number(self, size: int) -> int:
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "big")


def exif_and_xmp(data: bytes, longest: int) -> tuple[bytes, bytes]:
    """The TIFF structure and the XMP packet, of the primary image if they say whose they are. Empty
    where there is none, or one of more than `longest` bytes."""
    parts = _meta(data)
    own = _described(data, parts)
    exif = xmp = b""
    kinds = sorted(_kinds(data, parts), key=lambda one: one[0] not in own)
    for item, kind in kinds[:MAX_TRIED]:
        if kind == b"Exif" and not exif:
            block = _content(data, parts, item, longest)
            # Before it stands how many bytes there are before TIFF's header.
            exif = block[4 + int.from_bytes(block[:4], "big") :]
        elif kind == b"xmp" and not xmp:
            xmp = _content(data, parts, item, longest)
    return exif, xmp


def displayed_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of the primary image, turned as it says, not cropped; None if not told."""
    parts = _meta(data)
    properties, main = parts.get(b"iprp"), _primary(data, parts)
    if properties is None or main is None:
        return None
    below = {box.kind: box for box in _boxes(data, properties.start, properties.end)}
    if b"ipco" not in below or b"ipma" not in below:
        return None
    known = [*_boxes(data, below[b"ipco"].start, below[b"ipco"].end)]
    size, turned = None, False
    for index in _associated(data, below[b"ipma"], main):
        box = known[index - 1] if 0 < index <= len(known) else None
        reader = _Reader(data, box.start) if box else None
        if reader and box and box.kind == b"ispe":
            reader.number(4)
            size = reader.number(4), reader.number(4)
        elif reader and box and box.kind == b"irot":
            turned = reader.number(1) % 2 == 1
    return (size[1], size[0]) if size and turned else size


def _associated(data: bytes, box: _Box, wanted: int) -> list[int]:
    """Which properties an item has, by their numbers from 1 (ipma)."""
    reader = _Reader(data, box.start)
    version, flags, items = reader.number(1), reader.number(3), reader.number(4)
    size = 2 if flags & 1 else 1
    for _ in range(min(items, MAX_ITEMS)):
        item, count = reader.number(4 if version else 2), reader.number(1)
        indices = [reader.number(size) & (0x7FFF if size == 2 else 0x7F) for _ in range(count)]
        if item == wanted:
            return indices
    return []


def _meta(data: bytes) -> dict[bytes, _Box]:
    """What the file's box of metadata has, by kind."""
    meta = next((box for box in _boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if meta is None:
        return {}
    return {box.kind: box for box in reversed([*_boxes(data, meta.start + 4, meta.end)])}


def _primary(data: bytes, parts: dict[bytes, _Box]) -> int | None:
    box = parts.get(b"pitm")
    return _Reader(data, box.start + 4).number(4 if _version(data, box) else 2) if box else None


def _boxes(data: bytes, at: int, end: int) -> Iterator[_Box]:
    end = min(end, len(data))
    for _ in range(MAX_BOXES):
        if at + 8 > end:
            return
        size, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
        stop = at + size if size else end
        if stop < start:
            return
        yield _Box(kind, start, min(stop, end))
        at = stop


def _version(data: bytes, box: _Box) -> int:
    return _Reader(data, box.start).number(1)


def _described(data: bytes, parts: dict[bytes, _Box]) -> set[int]:
    """The items that describe the primary one (references of type cdsc)."""
    main, references = _primary(data, parts), parts.get(b"iref")
    if main is None or references is None:
        return set()
    size = 4 if _version(data, references) else 2
    found = set()
    for box in _boxes(data, references.start + 4, references.end):
        reader = _Reader(data, box.start)
        item, count = reader.number(size), reader.number(2)
        count = min(count, (box.end - reader.at) // size)
        if box.kind == b"cdsc" and main in [reader.number(size) for _ in range(count)]:
            found.add(item)
    return found


def _kinds(data: bytes, parts: dict[bytes, _Box]) -> Iterator[tuple[int, bytes]]:
    """Items by their numbers, those that hold metadata: b"Exif" or b"xmp"."""
    info = parts.get(b"iinf")
    if info is None:
        return
    for box in _boxes(data, info.start + (8 if _version(data, info) else 6), info.end):
        version = _version(data, box)
        if box.kind != b"infe" or version < 2:
            continue
        reader = _Reader(data, box.start + 4)
        item, _ = reader.number(4 if version > 2 else 2), reader.number(2)
        kind, texts = data[reader.at : reader.at + 4], data[reader.at + 4 : box.end].split(b"\0")
        if kind == b"Exif":
            yield item, kind
        elif kind == b"mime" and texts[1:2] == [b"application/rdf+xml"] and not any(texts[2:3]):
            yield item, b"xmp"


def _content(data: bytes, parts: dict[bytes, _Box], wanted: int, longest: int) -> bytes:
    """An item's bytes, from the file or from the box idat, in as many extents as it has (iloc)."""
    places = parts.get(b"iloc")
    if places is None:
        return b""
    reader = _Reader(data, places.start)
    version, _, sizes = reader.number(1), reader.number(3), reader.number(2)
    lengths = [sizes >> shift & 15 for shift in (12, 8, 4, 0)]
    offset_size, length_size, base_size, index_size = lengths
    wide = 4 if version > 1 else 2
    for _ in range(min(reader.number(wide), MAX_ITEMS)):
        item = reader.number(wide)
        method = reader.number(2) & 15 if version else 0
        reader.number(2)
        base, count = reader.number(base_size), reader.number(2)
        if item != wanted:
            reader.at += count * (offset_size + length_size + (index_size if version else 0))
            continue
        idat = parts.get(b"idat")
        if method > 1 or (method == 1 and idat is None):
            return b""
        origin = idat.start if method == 1 and idat else 0
        found = b""
        for _ in range(min(count, MAX_EXTENTS)):
            reader.number(index_size if version else 0)
            start, length = origin + base + reader.number(offset_size), reader.number(length_size)
            found += data[start : start + length if length else len(data)][: longest + 1]
            if len(found) > longest:
                return b""
        return found
    return b""

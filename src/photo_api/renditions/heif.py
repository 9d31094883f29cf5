"""The metadata items of a HEIF file (ISO 14496-12, 8.11; 23008-12, A)."""

from collections.abc import Iterator

from photo_api.renditions.boxes import Box, Reader, items, meta, primary, references

MAX_ITEMS = 20_000
MAX_EXTENTS = 1000
MAX_TRIED = 8
"""Of a file so many items of metadata are looked at."""


def exif_and_xmp(data: bytes, longest: int) -> tuple[bytes, bytes]:
    """The TIFF structure and the XMP packet, of the primary image if they say whose they are. Empty
    where there is none, or one of more than `longest` bytes."""
    parts = meta(data)
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


def _described(data: bytes, parts: dict[bytes, Box]) -> set[int]:
    """The items that describe the primary one (references of type cdsc)."""
    main = primary(data, parts)
    found = references(data, parts)
    return {item for kind, item, to in found if kind == b"cdsc" and main in to}


def _kinds(data: bytes, parts: dict[bytes, Box]) -> Iterator[tuple[int, bytes]]:
    """Items by their numbers, those that hold metadata: b"Exif" or b"xmp"."""
    for item, kind, rest in items(data, parts):
        texts = rest.split(b"\0")
        if kind == b"Exif":
            yield item, kind
        elif kind == b"mime" and texts[1:2] == [b"application/rdf+xml"] and not any(texts[2:3]):
            yield item, b"xmp"


def _content(data: bytes, parts: dict[bytes, Box], wanted: int, longest: int) -> bytes:
    """An item's bytes, from the file or from the box idat, in as many extents as it has (iloc)."""
    places = parts.get(b"iloc")
    if places is None:
        return b""
    reader = Reader(data, places.start)
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
        found = bytearray()
        for _ in range(min(count, MAX_EXTENTS)):
            reader.number(index_size if version else 0)
            start, length = origin + base + reader.number(offset_size), reader.number(length_size)
            most = longest + 1 - len(found)
            found += data[start : start + (min(length, most) if length else most)]
            if len(found) > longest:
                return b""
        return bytes(found)
    return b""

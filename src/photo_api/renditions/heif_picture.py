"""What a HEIF file says of its picture before anything of it is decoded (ISO 23008-12, 6.5).

A picture in tiles has some of it from its first tile.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from photo_api.renditions.boxes import Box, Reader, boxes, items, meta, primary, references

MAX_ITEMS = 20_000
Size = tuple[int, int]
Property = tuple[bytes, Reader]
"""Its type and its content."""


class Nclx(NamedTuple):
    """How samples mean colours, in the code points of ITU-T H.273."""

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


class Picture(NamedTuple):
    """Of the primary image: the type of its item (`hvc1`, `av01`, `grid`); width and height as
    coded, and as displayed, which is cropped and turned; bits per channel. None: not told."""

    coding: bytes
    coded: Size | None
    displayed: Size | None
    bit_depth: int | None
    nclx: Nclx | None


def read_picture(data: bytes) -> Picture | None:
    """None where the file tells of no picture. Raises nothing."""
    parts = meta(data)
    main = primary(data, parts)
    if main is None:
        return None
    coding = next((kind for item, kind, _ in items(data, parts) if item == main), b"")
    known = _properties(data, parts)
    own = [*_of(data, parts, known, main)]
    tiles = (
        to for kind, item, to in references(data, parts) if (kind, item) == (b"dimg", main) and to
    )
    inherited = [*_of(data, parts, known, next(tiles, [main])[0])]
    coded, displayed = _sizes(own)
    return Picture(
        coding, coded, displayed, _bit_depth(own + inherited), _first_nclx(own + inherited)
    )


def _properties(data: bytes, parts: dict[bytes, Box]) -> Sequence[Box]:
    """All that there are, whichever item has them (ipco)."""
    within = parts.get(b"iprp")
    found = boxes(data, within.start, within.end) if within else iter(())
    return [one for box in found if box.kind == b"ipco" for one in boxes(data, box.start, box.end)]


def _of(
    data: bytes, parts: dict[bytes, Box], known: Sequence[Box], item: int
) -> Iterator[Property]:
    """An item's properties in its order."""
    within = parts.get(b"iprp")
    for box in boxes(data, within.start, within.end) if within else ():
        for index in _associated(data, box, item) if box.kind == b"ipma" else ():
            if 0 < index <= len(known):
                yield known[index - 1].kind, Reader(data, known[index - 1].start)


def _associated(data: bytes, box: Box, wanted: int) -> list[int]:
    """Which properties an item has, by their numbers from 1 (ipma)."""
    reader = Reader(data, box.start)
    version, flags, count = reader.number(1), reader.number(3), reader.number(4)
    size = 2 if flags & 1 else 1
    for _ in range(min(count, MAX_ITEMS)):
        item, own = reader.number(4 if version else 2), reader.number(1)
        indices = [reader.number(size) & (0x7FFF if size == 2 else 0x7F) for _ in range(own)]
        if item == wanted:
            return indices
        if reader.at >= box.end:
            break
    return []


def _sizes(properties: Sequence[Property]) -> tuple[Size | None, Size | None]:
    coded = displayed = None
    for kind, content in properties:
        at = content.at
        if kind == b"ispe":
            content.number(4)
            coded = displayed = content.number(4), content.number(4)
        elif kind == b"clap" and displayed:
            displayed = _cropped(content, displayed)
        elif kind == b"irot" and displayed and content.number(1) % 2:
            displayed = displayed[1], displayed[0]
        content.at = at
    return coded, displayed


def _cropped(content: Reader, size: Size) -> Size:
    """By the clean aperture (ISO 14496-12, 12.1.4), never more than there is."""
    numbers = [content.number(4) for _ in range(4)]
    if not (numbers[1] and numbers[3]):
        return size
    return min(numbers[0] // numbers[1], size[0]), min(numbers[2] // numbers[3], size[1])


def _bit_depth(properties: Sequence[Property]) -> int | None:
    """As the decoder is told (hvcC, ISO 14496-15, 8.3.3; av1C), or else the picture (pixi)."""
    found: dict[bytes, int] = {}
    for kind, content in properties:
        bits = content.data[content.at : content.at + 18]
        if kind == b"hvcC" and len(bits) == 18:
            found.setdefault(kind, 8 + (bits[17] & 7))
        elif kind == b"av1C" and len(bits) > 2:
            found.setdefault(kind, 12 if bits[2] & 0x20 else 10 if bits[2] & 0x40 else 8)
        elif kind == b"pixi" and len(bits) > 5 and bits[4]:
            found.setdefault(kind, bits[5])
    return next((found[kind] for kind in (b"hvcC", b"av1C", b"pixi") if kind in found), None)


def _first_nclx(properties: Sequence[Property]) -> Nclx | None:
    for kind, content in properties:
        at = content.at
        if kind == b"colr" and content.data[at : at + 4] == b"nclx":
            reader = Reader(content.data, at + 4)
            codes = reader.number(2), reader.number(2), reader.number(2)
            return Nclx(*codes, full_range=reader.number(1) >= 0x80)
    return None

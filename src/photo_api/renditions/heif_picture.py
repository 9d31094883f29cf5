"""What a HEIF file says of its picture before anything of it is decoded (ISO 23008-12, 6.5).

A picture in tiles has some of it from its first tile.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from photo_api.renditions.boxes import (
    Box,
    Reader,
    boxes,
    items,
    meta,
    primary,
    properties,
    references,
)
from photo_api.renditions.heif_view import Property, Size, View, read_view

MAX_ITEMS = 20_000
DERIVED = frozenset({b"grid", b"iovl", b"iden"})
"""Made of other items' pictures (ISO 23008-12, 6.6.2): in tiles, laid over each other, the same."""
KNOWN_CODES = ({1, 2, *range(4, 13), 22}, {1, 2, *range(4, 19)}, {0, 1, 2, *range(4, 15)})
"""Of H.273 for primaries, transfer and matrix."""
MAX_DERIVATIONS = 8
LAST_LAYER = b"\xff\xff"
HEVC, AV1 = b"hvc1", b"av01"
DECODED = frozenset({HEVC, AV1})


class Nclx(NamedTuple):
    """How samples mean colours, in the code points of ITU-T H.273."""

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


class Picture(NamedTuple):
    """Of the primary image: the type of its item (`hvc1`, `av01`, `grid`; empty if there is no such
    item), and of the one that holds its first tile; width and height as coded; what is displayed of
    it; bits per channel; whether it is coded without colour; the light of its brightest pixel in
    cd/m² (clli); its ICC profile, empty if it has none; whether one of several layers is chosen
    that is not the last, and whether its colours are multiplied by its alpha channel. None: not
    told."""

    coding: bytes
    codec: bytes
    coded: Size | None
    view: View | None
    bit_depth: int | None
    nclx: Nclx | None
    grey: bool = False
    brightest: int | None = None
    profile: bytes = b""
    chooses_layer: bool = False
    premultiplied: bool = False

    @property
    def displayed(self) -> Size | None:
        """Width and height, cropped and turned."""
        return (self.view.width, self.view.height) if self.view else None


def read_picture(data: bytes) -> Picture | None:
    """None where the file tells of no picture. Raises nothing."""
    parts = meta(data)
    main = primary(data, parts)
    if main is None:
        return None
    kinds = {item: kind for item, kind, _ in items(data, parts)}
    named = [*references(data, parts)]
    made_of = {item: to[0] for kind, item, to in named if kind == b"dimg" and to}
    known = properties(data, parts)
    first = made_of.get(main, main)
    own = [*_of(data, parts, known, main)]
    inherited = [*own, *_of(data, parts, known, first)]
    for _ in range(MAX_DERIVATIONS):
        if kinds.get(first) in DERIVED:
            first = made_of.get(first, first)
    coded, view = read_view(own)
    return Picture(
        kinds.get(main, b""), kinds.get(first, b""), coded, view,
        _bit_depth(inherited), _first_nclx(inherited), _is_grey(inherited),
        _brightest(inherited), _profile(inherited), _chooses_layer(inherited),
        any((kind, item) == (b"prem", main) for kind, item, _ in named),
    )  # fmt: skip


def with_known_codes(data: bytes) -> bytes:
    """The same file with 2, which is "not told", for code points that ITU-T H.273 does not have."""
    changed = bytearray(data)
    for box in properties(data, meta(data)):
        if box.kind == b"colr" and data[box.start : box.start + 4] == b"nclx":
            for at, known in zip(range(box.start + 4, box.end - 1, 2), KNOWN_CODES, strict=False):
                if int.from_bytes(data[at : at + 2], "big") not in known:
                    changed[at : at + 2] = b"\0\2"
    return bytes(changed)


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


def _is_grey(properties: Sequence[Property]) -> bool:
    """As the decoder is told (hvcC's chroma_format_idc, av1C's monochrome)."""
    for kind, content in properties:
        bits = content.data[content.at : content.at + 17]
        if kind == b"hvcC" and len(bits) == 17:
            return bits[16] & 3 == 0
        if kind == b"av1C" and len(bits) > 2:
            return bool(bits[2] & 0x10)
    return False


def _brightest(properties: Sequence[Property]) -> int | None:
    """MaxCLL (ISO 14496-12, 12.1.6)."""
    found = (content for kind, content in properties if kind == b"clli")
    content = next(found, None)
    return Reader(content.data, content.at).number(2) or None if content else None


def _profile(properties: Sequence[Property]) -> bytes:
    for kind, content in properties:
        if kind == b"colr" and content.data[content.at : content.at + 4] in (b"prof", b"rICC"):
            size = int.from_bytes(content.data[content.at + 4 : content.at + 8], "big")
            return content.data[content.at + 4 : content.at + 4 + size]
    return b""


def _chooses_layer(properties: Sequence[Property]) -> bool:
    """By lsel (ISO 23008-12, 6.5.11) or a1op (AV1 Image File Format, 2.3.2.1)."""
    found = {kind: content.data[content.at : content.at + 2] for kind, content in properties}
    return found.get(b"lsel", LAST_LAYER) != LAST_LAYER or found.get(b"a1op", b"\0")[:1] != b"\0"

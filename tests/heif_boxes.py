"""HEIF files put together box by box (ISO 14496-12; 23008-12), from items as coders make them."""

import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from photo_api.renditions.boxes import Box, boxes, meta

Reference = tuple[bytes, int, Sequence[int]]
"""Its kind, from which item, to which."""


class Item(NamedTuple):
    """`properties` are whole boxes, in order; a codec's configuration and what turns and crops is
    essential."""

    kind: bytes
    content: bytes
    properties: Sequence[bytes] = ()
    hidden: bool = False


def box(kind: bytes, *content: bytes) -> bytes:
    """One whole box."""
    whole = b"".join(content)
    return struct.pack(">I", len(whole) + 8) + kind + whole


def full(kind: bytes, *content: bytes, version: int = 0, flags: int = 0) -> bytes:
    """One whole full box."""
    return box(kind, struct.pack(">I", version << 24 | flags), *content)


def ispe(width: int, height: int) -> bytes:
    return full(b"ispe", struct.pack(">II", width, height))


def pixi(*bits: int) -> bytes:
    return full(b"pixi", bytes([len(bits), *bits]))


def clap(width: int, height: int, right: tuple[int, int], down: tuple[int, int]) -> bytes:
    """A clean aperture whose middle lies so far from the picture's, in fractions."""
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, *right, *down))


def irot(quarters: int) -> bytes:
    """Turned by so many quarters, against the clock."""
    return box(b"irot", bytes([quarters]))


def imir(axis: int) -> bytes:
    """0: top and bottom change places, 1: left and right."""
    return box(b"imir", bytes([axis]))


ESSENTIAL = {
    b"lsel",
    b"a1op",
    b"zzzz",
    b"hvcC",
    b"av1C",
    b"avcC",
    b"uncC",
    b"clap",
    b"irot",
    b"imir",
}


def heif(
    items: Mapping[int, Item],
    references: Sequence[Reference] = (),
    brands: Sequence[bytes] = (b"heic", b"mif1"),
    primary: int = 1,
    after: bytes = b"",
) -> bytes:
    """The file: its boxes of metadata, `after` (such as a movie), and its items' content."""
    head = box(b"ftyp", brands[0], bytes(4), *brands)
    length = len(_meta(items, references, primary, 0))
    start = len(head) + length + len(after) + 8
    contents = [item.content for item in items.values()]
    return b"".join(
        [head, _meta(items, references, primary, start), after, box(b"mdat", *contents)]
    )


def _meta(
    items: Mapping[int, Item], references: Sequence[Reference], primary: int, start: int
) -> bytes:
    infos, places, properties, associations = [], [], [], []
    for number, item in items.items():
        entry = struct.pack(">HH", number, 0) + item.kind + b"\0"
        infos.append(full(b"infe", entry, version=2, flags=int(item.hidden)))
        places.append(struct.pack(">HHHII", number, 0, 1, start, len(item.content)))
        start += len(item.content)
        own = []
        for one in item.properties:
            properties.append(one)
            own.append(len(properties) | (0x80 if one[4:8] in ESSENTIAL else 0))
        associations.append(struct.pack(">HB", number, len(own)) + bytes(own))
    named = [
        box(kind, struct.pack(f">HH{len(to)}H", item, len(to), *to))
        for kind, item, to in references
    ]
    return full(
        b"meta",
        full(b"hdlr", bytes(4), b"pict", bytes(13)),
        full(b"pitm", struct.pack(">H", primary)),
        full(b"iinf", struct.pack(">H", len(items)), *infos),
        *([full(b"iref", *named)] if named else []),
        box(
            b"iprp",
            box(b"ipco", *properties),
            full(b"ipma", struct.pack(">I", len(associations)), *associations),
        ),
        full(b"iloc", b"\x44\0", struct.pack(">H", len(items)), *places),
    )


def coded(data: bytes) -> Item:
    """The one picture of a file as an encoder wrote it."""
    parts = meta(data)
    within = parts[b"iprp"]
    ipco = next(one for one in boxes(data, within.start, within.end) if one.kind == b"ipco")
    properties = [_whole(data, one) for one in boxes(data, ipco.start, ipco.end)]
    at = parts[b"iinf"].start
    kind = next(kind for kind in (b"hvc1", b"av01") if kind in data[at : parts[b"iinf"].end])
    mdat = next(one for one in boxes(data, 0, len(data)) if one.kind == b"mdat")
    return Item(kind, data[mdat.start : mdat.end], properties)


def _whole(data: bytes, one: Box) -> bytes:
    return data[one.start - 8 : one.end]

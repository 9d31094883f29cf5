"""The boxes of a HEIF file, which HEIC and AVIF are (ISO 14496-12, 4.2 and 8.11)."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

MAX_BOXES = 10_000
MAX_REFERENCES = 100_000
MAX_REFERENCES = 100_000
"""Of a file so many items that others refer to are told."""
MAX_NAMES = 1000
"""Of an item's names so many bytes."""


class Box(NamedTuple):
    """`start` and `end` are those of its content."""

    kind: bytes
    start: int
    end: int


class Reader:
    """Numbers one after another; beyond the end they are zero."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def number(self, size: int) -> int:
        """The next `size` bytes, as a number without a sign."""
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "big")


def boxes(data: bytes, at: int, end: int) -> Iterator[Box]:
    """One after another, at most `MAX_BOXES`; a box that is cut short ends where the data does."""
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
        yield Box(kind, start, min(stop, end))
        at = stop


def version(data: bytes, box: Box) -> int:
    """That of a full box."""
    return Reader(data, box.start).number(1)


def meta(data: bytes) -> dict[bytes, Box]:
    """What the file's box of metadata has, the first of each kind."""
    found = next((box for box in boxes(data, 0, len(data)) if box.kind == b"meta"), None)
    if found is None:
        return {}
    return {box.kind: box for box in reversed([*boxes(data, found.start + 4, found.end)])}


def primary(data: bytes, parts: dict[bytes, Box]) -> int | None:
    """The number of the item that is shown."""
    box = parts.get(b"pitm")
    return Reader(data, box.start + 4).number(4 if version(data, box) else 2) if box else None


def references(data: bytes, parts: dict[bytes, Box]) -> Iterator[tuple[bytes, int, list[int]]]:
    """What items say of others: the kind of reference, from which item, to which."""
    found = parts.get(b"iref")
    if found is None:
        return
    size, left = 4 if version(data, found) else 2, MAX_REFERENCES
    for box in boxes(data, found.start + 4, found.end):
        reader = Reader(data, box.start)
        item, count = reader.number(size), reader.number(2)
        count = min(count, (box.end - reader.at) // size, left)
        left -= count
        yield box.kind, item, [reader.number(size) for _ in range(count)]


def items(data: bytes, parts: dict[bytes, Box]) -> Iterator[tuple[int, bytes, bytes]]:
    """Each item's number, its type and what follows: names, each ended by a zero."""
    info = parts.get(b"iinf")
    if info is None:
        return
    for box in boxes(data, info.start + (8 if version(data, info) else 6), info.end):
        edition = version(data, box)
        if box.kind != b"infe" or edition < 2:
            continue
        reader = Reader(data, box.start + 4)
        item, _ = reader.number(4 if edition > 2 else 2), reader.number(2)
        yield item, data[reader.at : reader.at + 4], data[reader.at + 4 : box.end][:MAX_NAMES]


def properties(data: bytes, parts: dict[bytes, Box]) -> Sequence[Box]:
    """All that there are, whichever item has them (ipco)."""
    within = parts.get(b"iprp")
    found = boxes(data, within.start, within.end) if within else iter(())
    return [one for box in found if box.kind == b"ipco" for one in boxes(data, box.start, box.end)]

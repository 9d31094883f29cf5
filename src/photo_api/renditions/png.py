"""The chunks of a PNG (PNG, third edition, 5.3). Pure."""

import struct
from collections.abc import Container, Iterator
from typing import NamedTuple

_HEAD = struct.Struct("!I4s")


class Chunk(NamedTuple):
    """Its content, as long as it says, follows `start`; the file may end before that. A `name` of
    less than four bytes is where the file ends."""

    name: bytes
    start: int
    length: int

    @property
    def end(self) -> int:
        """Behind its checksum."""
        return self.start + self.length + 4


def chunks(data: bytes, most: int, passing: Container[bytes] = ()) -> Iterator[Chunk]:
    """So many at `most`, up to the file's end, but for those of these names: a picture has
    thousands."""
    at, last, head = 8, len(data) - _HEAD.size, _HEAD.unpack_from
    for _ in range(most):
        if at > last:
            yield Chunk(data[at + 4 : at + 8], at + 8, int.from_bytes(data[at : at + 4], "big"))
            return
        length, name = head(data, at)
        if name not in passing:
            yield Chunk(name, at + 8, length)
        at += length + 12

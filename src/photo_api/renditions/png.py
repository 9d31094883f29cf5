"""The chunks of a PNG (PNG, third edition, 5.3). Pure."""

from collections.abc import Iterator
from typing import NamedTuple


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


def chunks(data: bytes, most: int) -> Iterator[Chunk]:
    """So many at `most`, up to the file's end."""
    at = 8
    for _ in range(most):
        chunk = Chunk(data[at + 4 : at + 8], at + 8, int.from_bytes(data[at : at + 4], "big"))
        yield chunk
        if len(chunk.name) < 4:
            return
        at = chunk.end

"""Which part of a HEIF's picture is shown, and how it is turned (ISO 23008-12, 6.5.9 to 6.5.12)."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from photo_api.renditions.boxes import Reader

Size = tuple[int, int]
Property = tuple[bytes, Reader]
"""Its type and its content."""


@dataclass(slots=True)
class View:
    """A part of the whole picture after that has been turned; in pixels. `whole` is its size;
    `apertures` are the places in the file of what crops it, with the size before that."""

    whole: Size
    left: int
    top: int
    width: int
    height: int
    apertures: tuple[tuple[int, Size], ...] = ()
    faulty: bool = False

    def turn(self) -> None:
        """By a quarter against the clock."""
        self.left, self.top = self.top, self.whole[0] - self.left - self.width
        self.width, self.height = self.height, self.width
        self.whole = self.whole[1], self.whole[0]

    def mirror(self, sideways: bool) -> None:
        if sideways:
            self.left = self.whole[0] - self.left - self.width
        else:
            self.top = self.whole[1] - self.top - self.height

    def crop(self, at: int, numbers: Sequence[int]) -> None:
        """To the clean aperture (ISO 14496-12, 12.1.4), four fractions; never beyond the picture.
        One that shows nothing of it, or is no fraction, crops nothing and is told as `faulty`."""
        across = _part(self.width, numbers[0:2], numbers[4:6]) if all(numbers[1::2]) else None
        down = _part(self.height, numbers[2:4], numbers[6:8]) if across else None
        self.faulty = not (across and down)
        if across and down:
            self.left, self.width = self.left + across[0], across[1]
            self.top, self.height = self.top + down[0], down[1]
            self.apertures += ((at, self.whole),)


def _part(length: int, size: Sequence[int], offset: Sequence[int]) -> Size | None:
    """Where it begins and how long it is; its middle lies `offset` behind that of the whole."""
    wanted = max(round(size[0] / size[1]), 1)
    first = 2 * _signed(offset[0]) + (length - wanted) * offset[1]
    begin = first // (2 * offset[1])
    end = min(begin + wanted, length)
    return (max(begin, 0), end - max(begin, 0)) if end > max(begin, 0) else None


def _signed(number: int) -> int:
    return number - (1 << 32) if number >> 31 else number


def read_view(properties: Sequence[Property]) -> tuple[Size | None, View | None]:
    """Width and height as coded, and what of it is shown; None if not told."""
    coded = view = None
    for kind, content in properties:
        reader = Reader(content.data, content.at)
        if kind == b"ispe":
            reader.number(4)
            coded = reader.number(4), reader.number(4)
            view = View(coded, 0, 0, *coded)
        elif view and kind == b"clap":
            view.crop(content.at, [reader.number(4) for _ in range(8)])
        elif view and kind == b"irot":
            for _ in range(reader.number(1) & 3):
                view.turn()
        elif view and kind == b"imir":
            view.mirror(sideways=bool(reader.number(1) & 1))
    return coded, view


def uncropped(data: bytes, view: View) -> bytes:
    """The same file without what crops its picture."""
    changed = bytearray(data)
    for at, (width, height) in view.apertures:
        struct.pack_into(">8I", changed, at, width, 1, height, 1, 0, 1, 0, 1)
    return bytes(changed)

"""The tags of an EXIF block, which is a TIFF structure (TIFF 6.0, section 2; CIPA DC-008, 4.6).

Three directories are read, each once, with bounds on entries and bytes: a block that was made to
cost time costs none.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from photo_api.renditions.texts import decode

MAX_ENTRIES = 1000
MAX_VALUE = 1024
"""Of a value so many bytes are read."""

EXIF_POINTER, GPS_POINTER = 0x8769, 0x8825

_HEADER = re.compile(rb"II\*\0|MM\0\*")
_NUMBERS = {3: "H", 4: "I", 5: "II", 6: "b", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I"}
_BYTE, _ASCII, _UNDEFINED, _UTF8 = 1, 2, 7, 129

Value = str | bytes | tuple[float, ...]
"""ASCII and UTF-8 as text, BYTE and UNDEFINED as bytes, the rest as numbers; x/0 is NaN."""


class Tags(NamedTuple):
    """By their numbers: those of the image and its Exif directory, and those of the GPS one."""

    image: Mapping[int, Value]
    gps: Mapping[int, Value]


def read_tags(block: bytes) -> Tags:
    """What can be read of a block, with or without "Exif\\0\\0" before it. Raises nothing."""
    header = _HEADER.search(block, 0, 32)
    if header is None:
        return Tags({}, {})
    tiff = block[header.start() :]
    order = "<" if tiff[:1] == b"I" else ">"
    image = dict(_directory(tiff, order, _offset(tiff[4:8], order)))
    # Some writers put tags of the Exif directory into the first one; where both have one, its own
    # directory is believed.
    exif = dict(_directory(tiff, order, _pointer(image, EXIF_POINTER)))
    gps = dict(_directory(tiff, order, _pointer(image, GPS_POINTER)))
    return Tags(image | exif, gps)


def _offset(data: bytes, order: str) -> int:
    return int.from_bytes(data, "little" if order == "<" else "big")


def _pointer(tags: Mapping[int, Value], tag: int) -> int:
    value = tags.get(tag)
    return int(value[0]) if isinstance(value, tuple) and value and 8 <= value[0] < 1 << 32 else 0


def _directory(tiff: bytes, order: str, at: int) -> Iterator[tuple[int, Value]]:
    if at < 8:
        return
    count = min(_offset(tiff[at : at + 2], order), MAX_ENTRIES)
    for start in range(at + 2, at + 2 + 12 * count, 12):
        entry = tiff[start : start + 12]
        if len(entry) < 12:
            return
        tag, kind, length = struct.unpack(order + "HHI", entry[:8])
        value = _value(tiff, order, kind, length, entry[8:])
        if value:
            yield tag, value


def _value(tiff: bytes, order: str, kind: int, count: int, inline: bytes) -> Value | None:
    code = _NUMBERS.get(kind, "B" if kind in (_BYTE, _ASCII, _UNDEFINED, _UTF8) else "")
    unit = struct.calcsize("=" + code)
    if not unit:
        return None
    size = unit * min(count, MAX_VALUE // unit)
    start = _offset(inline, order)
    data = inline[:size] if unit * count <= 4 else tiff[start : start + size]
    if kind in (_ASCII, _UTF8):
        return decode(data)
    if kind in (_BYTE, _UNDEFINED):
        return data
    whole = len(data) // unit
    found = struct.unpack(order + code * whole, data[: whole * unit])
    if len(code) == 2:
        return tuple(map(_quotient, found[::2], found[1::2]))
    return tuple(map(float, found))


_NUMBER = re.compile(r"([+-]?\d+(?:\.\d*)?)(?:/(\d+(?:\.\d*)?))?")


def plain_text(value: Value) -> str:
    """A text tag, of whichever of the types that hold text, up to its end; nothing for numbers."""
    if isinstance(value, tuple):
        return ""
    return decode(value) if isinstance(value, bytes) else value.partition("\0")[0]


def numbers(value: Value) -> tuple[float, ...]:
    """A tag's numbers, also of a text ("37/1 33/1 432/100", "37,33.07N", "2.8") or of bytes, which
    are such a text or, up to three, numbers themselves."""
    if isinstance(value, tuple):
        return value
    text = plain_text(value)
    if isinstance(value, bytes) and len(value) <= 3 and not _NUMBER.fullmatch(text.strip()):
        return tuple(map(float, value))
    found = _NUMBER.findall(text)
    return tuple(_quotient(float(a), float(b or 1)) for a, b in found[:8])


def _quotient(dividend: float, divisor: float) -> float:
    return dividend / divisor if divisor else float("nan")

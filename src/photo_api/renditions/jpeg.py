"""A JPEG without the metadata beside its picture; the picture's own bytes stay as they are.

What is kept of ITU T.81's segments is what a decoder needs, each of exactly the length that its
content calls for, so that nothing rides along in it. Of the application segments these stay: JFIF
without its thumbnail, Adobe's APP14 (how colours are coded), the ICC profile, and an EXIF block
that holds the orientation and nothing else. The file ends with its first image: what follows, such
as other pictures of an MPO or a camera's own notes, is left out.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

SOI, EOI, SOS, DHT, DQT, DRI, DNL, DAC = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xDC, 0xCC
TEM = 0x01
APP0, APP1, APP2, APP14, COM = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE
FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, DAC, 0xC8}
SHOWN = (0xC0, 0xC1, 0xC2)
"""Frames with Huffman codes, which browsers show in 8 bits."""
MAX_PARTS = 1_000_000
"""Of a file so many segments are looked at."""
IGNORED = frozenset({*range(0xE0, 0xF0), COM})
ICC = b"ICC_PROFILE\0"
MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""The end of a scan's coded data, in which 0xFF is followed by zero or a restart marker."""


class UnusualJpeg(Exception):
    """Not a JPEG of which we can tell what is in it."""


class Frame(NamedTuple):
    """What a frame's header says (ITU T.81, B.2.2); a height of 0 is told later, if at all."""

    bits: int
    height: int
    width: int
    channels: int


def frame_header(data: bytes) -> Frame | None:
    """The first frame's, None if there is none before the first scan."""
    at = 2
    while data[at : at + 1] == b"\xff" and at + 1 < len(data):
        code = data[at + 1]
        if code in (EOI, SOS):
            return None
        if code in FRAMES:
            header = data[at + 4 : at + 10]
            return Frame(*struct.unpack(">BHHB", header)) if len(header) == 6 else None
        at += 1 if code == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def without_cut_segment(data: bytes) -> bytes:
    """A file that is cut short, up to the segment that it ends within, which decoders take for
    damage; the same for any other."""
    at = 2
    for _ in range(MAX_PARTS):
        found = MARKER.search(data, at)
        if found is None or data[found.end() - 1] == EOI:
            break
        at = found.end()
        if data[at - 1] not in (TEM, SOI):
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
        if at > len(data):
            return data[: found.start()]
    return data


def without_metadata(data: bytes, orientation: int) -> bytes:
    """The same picture; `orientation` (1 to 8) is the one to tell of. Raises `UnusualJpeg`."""
    first: list[bytes] = []  # JFIF says of itself that it comes first
    profile: list[bytes] = []
    parts: list[bytes] = []
    for code, content in _segments(data):
        if code == APP2 and content.startswith(ICC):
            profile.append(content)
            continue
        kept = _kept(code, content)
        (first if code == APP0 and kept else parts).append(kept)
    del first[1:]
    if orientation != 1:
        first.append(_segment(APP1, _orientation(orientation)))
    if _is_whole(profile):
        first += [_segment(APP2, chunk) for chunk in profile]
    return b"".join([b"\xff\xd8", *first, *parts, b"\xff\xd9"])


def _is_whole(chunks: Sequence[bytes]) -> bool:
    """Whether these are one ICC profile (ICC.1, annex B.4 and 7.2) and nothing besides."""
    start = len(ICC) + 2
    numbers = [tuple(chunk[len(ICC) : start]) for chunk in chunks]
    whole = b"".join(chunk[start:] for chunk in chunks)
    in_order = numbers == [(number, len(chunks)) for number in range(1, len(chunks) + 1)]
    return in_order and int.from_bytes(whole[:4]) == len(whole) and whole[36:40] == b"acsp"


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, content) up to the first end of image; a scan's content is its header and its coded
    data."""
    if data[:2] != b"\xff\xd8":
        raise UnusualJpeg("it does not begin as a JPEG")
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":
            at += 1
        if data[at : at + 1] != b"\xff" or at + 1 == len(data):
            raise UnusualJpeg("a marker is missing")
        code = data[at + 1]
        if code == EOI:
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(data):
            raise UnusualJpeg("a segment is cut off")
        start, at = at + 4, end
        if code == SOS:
            _check(code, data[start:end])
            found = MARKER.search(data, end)
            if found is None:
                raise UnusualJpeg("the image has no end")
            at = found.start()
        yield code, data[start:at]


def _kept(code: int, content: bytes) -> bytes:
    """What is left of a segment; nothing of one with metadata."""
    if code == APP0 and content[:5] == b"JFIF\0" and len(content) >= 14:
        return _segment(code, content[:12] + b"\0\0")
    if code == APP14 and content[:5] == b"Adobe" and len(content) >= 12:
        return _segment(code, content[:12])
    if code in IGNORED:
        return b""
    if code == SOS:
        length = _scan_header(content)
        return _segment(code, content[:length]) + content[length:]
    _check(code, content)
    return _segment(code, content)


def _check(code: int, content: bytes) -> None:
    """Raises `UnusualJpeg` for a segment that is none of the coding's, or too long, and for a
    coding that browsers do not show."""
    wanted = -1
    if code in FRAMES and (code not in SHOWN or content[:1] != b"\x08"):
        raise UnusualJpeg("no browser shows its coding")
    if code in FRAMES and len(content) >= 6:
        wanted = 6 + 3 * content[5]
    elif code in (DRI, DNL):
        wanted = 2
    elif code == SOS:
        wanted = _scan_header(content)
    elif code == DQT:
        wanted = _sum(content, lambda at: 1 + 64 * (1 + (content[at] >> 4)))
    elif code == DHT:
        wanted = _sum(content, lambda at: 17 + sum(content[at + 1 : at + 17]))
    elif code == DAC:
        wanted = len(content) // 2 * 2
    if wanted != len(content):
        raise UnusualJpeg(f"segment {code:#x} is not what it should be")


def _scan_header(content: bytes) -> int:
    return 4 + 2 * content[0] if content else -1


def _sum(content: bytes, size: Callable[[int], int]) -> int:
    at = 0
    while at < len(content):
        at += size(at)
    return at


def _segment(code: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(content) + 2) + content


def _orientation(value: int) -> bytes:
    """EXIF with the one field (TIFF 6.0: header, a directory of one SHORT, no next directory)."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, value, 0)
    return b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)

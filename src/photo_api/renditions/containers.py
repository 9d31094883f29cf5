"""Where files keep their metadata: the EXIF, XMP and IPTC blocks of an image, wherever they stand.

Nothing of the picture is decoded, so that a picture which cannot be decoded has its metadata too.
A file that is cut short or damaged gives what stands before that.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from photo_api.renditions.heif import exif_and_xmp
from photo_api.renditions.png import chunks

MAX_BLOCK = 4 << 20
MAX_PARTS = 100_000
"""Of a file so many chunks or segments are looked at."""
MAX_RESOURCES = 10_000
"""Of what Photoshop keeps in a file so many resources."""
LONGEST_TEXT = 3 * MAX_BLOCK
"""Of a PNG's chunk so many bytes."""
MAX_TEXTS = 16
"""Of a PNG so many text chunks are inflated."""


class Blocks(NamedTuple):
    """Empty where there is none."""

    exif: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    created: bytes = b""
    """The text "Creation Time" of a PNG."""


Part = tuple[str, bytes]
"""A field of `Blocks` and what stands in the file for it."""


def find_blocks(data: bytes, content_type: str) -> Blocks:
    """Of each kind the first block in a file of this type. Raises nothing."""
    found: dict[str, bytes] = {}
    for name, block in _FINDERS[content_type](data):
        if block and len(block) <= MAX_BLOCK:
            found.setdefault(name, block)
    return Blocks(**found)


_EXIF, _XMP, _PHOTOSHOP = b"Exif\0", b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0"


def _jpeg(data: bytes) -> Iterator[Part]:
    """Segments up to the picture's scan (ITU T.81, B.1.1)."""
    at, photoshop = 2, []
    for _ in range(MAX_PARTS):
        at = data.find(b"\xff", at)
        code = data[at + 1 : at + 2]
        if at < 0 or not code or code in b"\xd9\xda":
            break
        if code in b"\xff\x00\x01\xd8":  # a fill byte, or no segment
            at += 1
            continue
        end = at + 2 + max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
        if code in b"\xe1\xed":
            content = data[at + 4 : end]
            if content.startswith(_EXIF):
                yield "exif", content[6:]
            elif content.startswith(_XMP):
                yield "xmp", content[len(_XMP) :]
            elif code == b"\xed" and content.startswith(_PHOTOSHOP):
                photoshop.append(content[len(_PHOTOSHOP) :])
        at = end
    yield "iptc", _iptc(b"".join(photoshop))


_RESOURCE = re.compile(rb"8BIM(..)(.)", re.DOTALL)


def _iptc(photoshop: bytes) -> bytes:
    """The image resource 0x0404 (Adobe Photoshop File Formats Specification, Image Resources)."""
    at = 0
    for _ in range(MAX_RESOURCES):
        found = _RESOURCE.match(photoshop, at)
        if found is None:
            break
        at += 6 + (found[2][0] + 2) // 2 * 2
        size = int.from_bytes(photoshop[at : at + 4], "big")
        at += 4
        if found[1] == b"\x04\x04":
            return photoshop[at : at + size]
        at += size + size % 2
    return b""


_PICTURE = frozenset({b"IDAT"})


def _png(data: bytes) -> Iterator[Part]:
    """Chunks, also those after the picture's (PNG, third edition, 11.3)."""
    texts = 0
    for name, start, length in chunks(data, MAX_PARTS, passing=_PICTURE):
        if name == b"IEND":
            return
        if name not in _PNG_CHUNKS:
            continue
        content = data[start : start + min(length, LONGEST_TEXT)]
        keyword, _, rest = content.partition(b"\0")
        if name == b"eXIf":
            yield "exif", content
        elif _PROFILE.fullmatch(keyword) and texts < MAX_TEXTS:
            texts += 1
            yield from _png_text(keyword, _PNG_CHUNKS[name](rest))


def _png_text(keyword: bytes, text: bytes) -> Iterator[Part]:
    if keyword == b"XML:com.adobe.xmp":
        yield "xmp", text
        return
    if keyword == b"Creation Time":
        yield "created", text
        return
    profile = _raw_profile(text)
    if keyword.endswith(b"iptc"):
        yield "iptc", _iptc(profile) or profile
    elif keyword.endswith(b"xmp") or profile.startswith(_XMP):
        yield "xmp", profile.removeprefix(_XMP)
    else:
        yield "exif", profile


def _raw_profile(text: bytes) -> bytes:
    """As ImageMagick writes it: a name, a length, then hexadecimal digits in lines."""
    head = _RAW_HEAD.match(text[:100])
    try:
        return bytes.fromhex(text[head.end() :].decode("latin-1")) if head else b""
    except ValueError:
        return b""


_PROFILE = re.compile(rb"XML:com\.adobe\.xmp|Creation Time|Raw profile type (?:exif|APP1|xmp|iptc)")
_RAW_HEAD = re.compile(rb"\s*\S{1,20}\s+\d{1,20}\s")


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MAX_BLOCK)
    except zlib.error:
        return b""


def _international(rest: bytes) -> bytes:
    """An iTXt's text after its keyword: flag, method, language, translated keyword, text."""
    text = rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    return _inflated(text) if rest[:1] == b"\1" else text


_PNG_CHUNKS: Mapping[bytes, Callable[[bytes], bytes]] = MappingProxyType(
    {
        b"eXIf": bytes,
        b"tEXt": bytes,
        b"zTXt": lambda rest: _inflated(rest[1:]),
        b"iTXt": _international,
    }
)


def _webp(data: bytes) -> Iterator[Part]:
    """RIFF's chunks (RFC 9649, 2.7)."""
    at = 12
    for _ in range(MAX_PARTS):
        header = data[at : at + 8]
        if len(header) < 8:
            return
        name, length = struct.unpack("<4sI", header)
        if name in (b"EXIF", b"XMP "):
            yield name.decode().strip().lower(), data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the first chunk (RFC 9649, 2.5 to 2.7); None if it tells none."""
    name, head = data[12:16], data[20:30].ljust(10, b"\0")
    if name == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if name == b"VP8 " and head[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", head[6:])
        return width & 0x3FFF, height & 0x3FFF
    if name == b"VP8L" and head[:1] == b"\x2f":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


_GIF_XMP, _GIF_END = b"\x21\xff\x0bXMP DataXMP", b"\x01\xff\xfe\xfd"


def _gif(data: bytes) -> Iterator[Part]:
    """XMP's application extension (XMP specification, part 3, 1.1.2), as it stands there."""
    start = data.find(_GIF_XMP)
    end = data.find(_GIF_END, start)
    if 0 <= start < end:
        yield "xmp", data[start + len(_GIF_XMP) : end]


def _heif(data: bytes) -> Iterator[Part]:
    yield from zip(("exif", "xmp"), exif_and_xmp(data, MAX_BLOCK), strict=True)


_FINDERS: Mapping[str, Callable[[bytes], Iterator[Part]]] = MappingProxyType(
    {
        "image/jpeg": _jpeg,
        "image/png": _png,
        "image/webp": _webp,
        "image/gif": _gif,
        "image/heic": _heif,
        "image/heif": _heif,
        "image/avif": _heif,
    }
)

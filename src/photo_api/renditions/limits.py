"""What decoding a file takes in memory, told by its header before anything is decoded.

The figures are those of docs/pictures.md, measured by `python -m bench.decoding`: address space
beyond that of an idle child, never less than what it came to. F is the file's size, P the number of
its pixels as coded.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from photo_api.renditions.boxes import Reader, meta, properties
from photo_api.renditions.heif_picture import read_picture
from photo_api.renditions.jpeg import FRAMES
from photo_api.renditions.wire import Refused

MIB = 1 << 20
STEP = 32 * MIB
BASE = 24 * MIB
RESERVE = 64 * MIB
"""Of what a child may use, what earlier files may have left behind."""
PREVIEW_SOURCE = 2880
"""A decoder that can shrink does not go below this, in pixels of the longer side."""
WEBP_PIXELS, WEBP_EDGE, JPEG_EDGE = 24_000_000, 16_383, 65_500
"""What becomes a WebP at full size; what has more becomes a JPEG, which has its own bound."""
VIPS_EDGE = 1_000_000
FULLNESS = 64
"""A JPEG's file must hold a part of one in so many of the bits that its picture takes at least."""


class Header(NamedTuple):
    """What is known of one before it is decoded. `turned`: its EXIF turns or mirrors it."""

    data: bytes
    content_type: str
    width: int
    height: int
    turned: bool = False

    @property
    def pixels(self) -> int:
        return self.width * self.height


class Limit(NamedTuple):
    """How many bytes a file may take, and whether it is wanted at full size. `setting` is what the
    operator has set, of which `room` is left."""

    room: int
    setting: int
    full: bool = False

    def check(self, header: Header) -> None:
        """Raises `Refused` if decoding the picture takes more, or no format can hold it."""
        bound = JPEG_EDGE if self.full else VIPS_EDGE
        if max(header.width, header.height) > bound:
            raise _too_large(header, f"are more than {bound:,} on one side.")
        self.check_bytes(header, needed(header, self.full))

    def check_bytes(self, header: Header, taken: int) -> None:
        """Raises `Refused` if `taken` are more."""
        if taken > self.room:
            # Rounded up, for idle children differ by a thread's stack or two.
            would_do = (self.setting + taken - self.room + 2 * STEP) // STEP * STEP
            raise _too_large(
                header,
                f"take {taken // MIB:,} MiB to decode, {self.room // MIB:,} MiB are there for it;"
                f" PHOTO_API_DECODE_MEMORY={would_do} would do.",
            )


def unlimited() -> Limit:
    """For what is only looked at."""
    return Limit(1 << 62, 1 << 62)


def _too_large(header: Header, why: str) -> Refused:
    kind = header.content_type.removeprefix("image/")
    return Refused("too_many_pixels", f"{header.width} × {header.height} pixels ({kind}) {why}")


def needed(header: Header, full: bool) -> int:
    """Bytes beyond an idle child's: for thumbnail and preview, or at full size."""
    return BASE + int(_NEEDS[header.content_type](header, full))


def animation(header: Header, frames: int) -> int:
    """The same, for all frames of an animation at full size."""
    pixels = header.pixels
    return BASE + 3 * len(header.data) + 48 * pixels + 4 * frames * pixels


def rewriting(header: Header) -> int:
    """The same, for a JPEG that keeps its coded header."""
    return BASE + 5 * len(header.data)


def _full_size(header: Header, bands: int) -> int:
    """8 bits of each band in memory, and what the encoder takes: most for transparency."""
    encoder = (30 if bands > 3 else 12) if _becomes_webp(header) else 2
    return header.pixels * (bands * (2 if header.turned else 1) + encoder)


def _becomes_webp(header: Header) -> bool:
    return header.pixels <= WEBP_PIXELS and max(header.width, header.height) <= WEBP_EDGE


def _jpeg(header: Header, full: bool) -> float:
    """libjpeg shrinks while it decodes. Of a progressive JPEG, and of one with a scan for each
    colour, it holds all coefficients at full size, two bytes each."""
    frame = frame_blocks(header.data)
    held = 2 * 64 * frame.blocks if frame.held else 0
    taken = 4 * len(header.data) + held
    if full:
        return taken + _full_size(header, frame.bands)
    longest = max(header.width, header.height)
    shrink = 1 if frame.lossless else jpeg_shrink(longest)
    return taken + 4 * header.pixels / shrink**2


def jpeg_shrink(longest: int) -> int:
    """By how much libjpeg shrinks a picture of so many pixels on the longer side."""
    return next(
        shrink for shrink in (8, 4, 2, 1) if shrink * PREVIEW_SOURCE <= longest or shrink == 1
    )


class FrameBlocks(NamedTuple):
    """A JPEG's frame header (ITU T.81, B.2.2). `held`: its coefficients are kept until all scans
    are read; `blocks` of 64 coefficients, over all components."""

    bands: int = 3
    blocks: int = 0
    held: bool = False
    lossless: bool = False


PROGRESSIVE, LOSSLESS = frozenset({0xC2, 0xC6, 0xCA, 0xCE}), frozenset({0xC3, 0xC7, 0xCB, 0xCF})


def frame_blocks(data: bytes) -> FrameBlocks:
    """Of the first frame; nothing is held of what has none."""
    at, frame = 2, FrameBlocks()
    for _ in range(100_000):
        at = data.find(b"\xff", at)
        code = data[at + 1] if 0 <= at < len(data) - 1 else 0xD9
        if code == 0xD9:
            break
        if code in (0x00, 0x01, 0xD8, 0xFF) or 0xD0 <= code <= 0xD7:
            at += 1
            continue
        content = data[at + 4 : at + 4 + 1024]
        if code in FRAMES and len(content) > 6 and not frame.blocks:
            frame = _frame(code, content)
        elif code == 0xDA:
            return frame._replace(held=frame.held or content[:1] < bytes([frame.bands]))
        at += 2 + max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
    return frame


def _frame(code: int, content: bytes) -> FrameBlocks:
    height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
    factors = [content[at] for at in range(7, 7 + 3 * content[5], 3) if at < len(content)]
    across = max((one >> 4 for one in factors), default=1) or 1
    down = max((one & 15 for one in factors), default=1) or 1
    units = -(-width // (8 * across)) * -(-height // (8 * down))
    blocks = units * sum((one >> 4) * (one & 15) for one in factors)
    return FrameBlocks(content[5], blocks, code in PROGRESSIVE, code in LOSSLESS)


def holds_next_to_nothing(data: bytes) -> bool:
    """Whether a JPEG has only a trace of the picture that its header tells of, which would take
    seconds to fill with grey. A block takes two bits at least, in one scan or in several."""
    frame = frame_blocks(data)
    return 8 * len(data) * FULLNESS < 2 * frame.blocks


def _png(header: Header, full: bool) -> float:
    """Rows come one after another, but an interlaced PNG is whole only at its end. Vips shrinks by
    whole rows first and keeps what comes of it."""
    depth, kind, *_, interlaced = header.data[24:29].ljust(5, b"\0")
    end = header.data.find(b"IDAT")
    transparent = kind & 4 or header.data.find(b"tRNS", 0, end) > 0
    bands = (3 if kind & 2 else 1) + bool(transparent)
    decoded = header.pixels * bands * (2 if depth == 16 else 1)
    taken = 3 * len(header.data) + (decoded if interlaced else 0)
    if full:
        turned = decoded if header.turned else 0
        return taken + turned + _full_size(header, 3 + bool(transparent))
    return taken + max(decoded, _faded(header) if transparent else 0)


def _faded(header: Header) -> int:
    """With colours multiplied by their opacity, in floating point, as it is resampled."""
    return header.pixels * (16 if max(header.width, header.height) <= 2 * PREVIEW_SOURCE else 8)


def _gif(header: Header, full: bool) -> float:
    """A frame in four bands, the one before it, and what comes of it."""
    taken = 3 * len(header.data) + 10 * header.pixels
    return taken + (_full_size(header, 4) if full else 0)


def _webp(header: Header, full: bool) -> float:
    """libwebp asks for whole pictures, twice, of which it then uses a part; a lossy one without
    transparency is shrunk while it is decoded."""
    coding = webp_coding(header.data)
    taken = 3 * len(header.data) + (header.pixels * 4 if header.turned and full else 0)
    if full:
        plain = coding == b"VP8 "
        encoder = 0 if plain or not _becomes_webp(header) else 30
        return taken + header.pixels * ((26 if plain else 30) + encoder)
    scale = min(1, PREVIEW_SOURCE / max(header.width, header.height))
    each = {b"VP8 ": 4.5, b"ALPH": 7.5}.get(coding, 9)
    return taken + header.pixels * (each + 20 * scale**2)


def webp_coding(data: bytes) -> bytes:
    """The first chunk that holds something of the picture (RFC 9649, 2.7): `VP8 ` (lossy), `VP8L`,
    `ALPH` (the transparency of a lossy one) or `ANMF` (a frame of an animation)."""
    at = 12
    for _ in range(1000):
        name = data[at : at + 4]
        if name in (b"VP8 ", b"VP8L", b"ALPH", b"ANMF") or not name:
            return name
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return b""


def _avif(header: Header, full: bool) -> float:
    """Planes as coded, as converted, and as vips takes them."""
    coded = _coded(header)
    each = (28 if coded.deep else 20) + (4 if full else 0)
    if full and coded.transparent and _becomes_webp(header):
        each += 26
    return 3 * len(header.data) + coded.pixels * each + 40 * MIB


def _heic(header: Header, full: bool) -> float:
    """As `_avif`, in another program's hands."""
    coded = _coded(header)
    each = 20 + 8 * coded.transparent if coded.deep else 12 + 4 * coded.transparent
    shown = _full_size(header, 3 + coded.transparent) if full else 0
    return 3 * len(header.data) + coded.pixels * each + shown


_NEEDS: Mapping[str, Callable[[Header, bool], float]] = MappingProxyType(
    {
        "image/jpeg": _jpeg,
        "image/png": _png,
        "image/gif": _gif,
        "image/webp": _webp,
        "image/avif": _avif,
        "image/heic": _heic,
        "image/heif": _heic,
    }
)


class _Coded(NamedTuple):
    """`pixels` of the picture and of its largest tile. `deep`: more than 8 bits per channel."""

    pixels: int
    deep: bool
    transparent: bool


def _coded(header: Header) -> _Coded:
    """The whole picture that is decoded, of which the file may show a part."""
    told = read_picture(header.data)
    pixels, largest, transparent = header.pixels, 0, False
    for box in properties(header.data, meta(header.data)):
        reader = Reader(header.data, box.start + 4)
        if box.kind == b"ispe":
            largest = max(largest, reader.number(4) * reader.number(4))
        elif box.kind == b"auxC":
            name = header.data[reader.at : box.end]
            transparent |= b"alpha" in name or b"auxid:1" in name
    if told and told.coded:
        pixels = max(pixels, told.coded[0] * told.coded[1])
    if not (told and told.coding in (b"hvc1", b"av01")):
        pixels += largest  # a tile, or whatever it is made of
    return _Coded(pixels, bool(told and (told.bit_depth or 8) > 8), transparent)

"""The same colours in files that say in many ways what their numbers mean.

Each file is a row of `COLOURS`, in squares, without loss or nearly so.
"""

import array
import io
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import pillow_heif
import pyvips
from PIL import Image

from tests.heif_boxes import box, coded, heif

SIDE = 16
COLOURS: Sequence[tuple[float, float, float]] = (
    (0, 0, 0), (0.1, 0.1, 0.1), (0.3, 0.3, 0.3), (0.5, 0.5, 0.5), (0.6, 0.6, 0.6),
    (0.75, 0.75, 0.75), (1, 1, 1), (1, 0, 0), (0, 0, 0.6), (1, 0.5, 0.25), (0.25, 0.5, 1),
    (0.5, 1, 0.25), (0.9, 0.7, 0.6), (0.55, 0.4, 0.35), (0.2, 0.4, 0.3), (0.4, 0.45, 0.6),
)  # fmt: skip
File = tuple[str, bytes]
"""Its type and its bytes."""


def _pixels(bits: int, channels: str = "RGB") -> bytes:
    """The row in numbers of 8 or 16 bits; "L" is its green, "A" half."""
    row = array.array("H" if bits == 16 else "B")
    most = 2**bits - 1
    for red, green, blue in COLOURS:
        values = {"R": red, "G": green, "B": blue, "L": green, "A": 0.5}
        row.extend([round(values[name] * most) for name in channels] * SIDE)
    return row.tobytes() * SIDE


def _vips(bits: int) -> Any:
    size = len(COLOURS) * SIDE, SIDE, 3
    image = pyvips.Image.new_from_memory(_pixels(bits), *size, "ushort" if bits == 16 else "uchar")
    return image.copy(interpretation="rgb16" if bits == 16 else "srgb")


def row(mode: str = "RGB") -> Image.Image:
    """The colours as a picture of 8 bits."""
    return Image.frombytes(mode, (len(COLOURS) * SIDE, SIDE), _pixels(8, mode))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# HEIF


def retold(data: bytes, *properties: bytes) -> bytes:
    """The one picture of a HEIF file, which says other colours of itself."""
    item = coded(data)
    kept = [one for one in item.properties if one[4:8] != b"colr"]
    brand = b"heic" if item.kind == b"hvc1" else b"avif"
    item = item._replace(properties=[*kept, *properties])
    return heif({1: item}, brands=(brand, b"mif1"))


def nclx(primaries: int, transfer: int, matrix: int = 0, full_range: int = 1) -> bytes:
    return box(
        b"colr", b"nclx" + struct.pack(">HHHB", primaries, transfer, matrix, full_range << 7)
    )


def embedded(profile: bytes) -> bytes:
    return box(b"colr", b"prof" + profile)


def clli(brightest: int) -> bytes:
    return box(b"clli", struct.pack(">HH", brightest, 100))


@cache
def _av1(bits: int) -> bytes:
    """RGB as it is, in 12 bits, or 8."""
    image = _vips(16 if bits > 8 else 8)
    data: bytes = image.heifsave_buffer(
        compression="av1", lossless=True, bitdepth=bits, effort=0, keep="none"
    )
    return data


def avif(*properties: bytes, bits: int = 12) -> File:
    return "image/avif", retold(_av1(bits), *properties)


@cache
def _hevc(bits: int) -> bytes:
    mode = "RGB;16" if bits > 8 else "RGB"
    size = len(COLOURS) * SIDE, SIDE
    picture = pillow_heif.from_bytes(mode, size, _pixels(16 if bits > 8 else 8))
    out = io.BytesIO()
    picture.save(out, quality=100, chroma=444)
    return out.getvalue()


def heic(primaries: int, transfer: int, *properties: bytes, bits: int = 10) -> File:
    """YCbCr by BT.601, full range, as pillow-heif writes it."""
    said = nclx(primaries, transfer, 6)
    return "image/heic", retold(_hevc(bits), said, *properties)


def grey_heif(kind: str, full_range: int) -> File:
    """Black to white in one channel; `kind` is AVIF or HEIC."""
    image = row("L")
    if kind == "AVIF":
        data = encoded(image, "AVIF", quality=100, speed=9)
    else:
        out = io.BytesIO()
        pillow_heif.from_pillow(image).save(out, quality=-1)
        data = out.getvalue()
    return f"image/{kind.lower()}", retold(data, nclx(1, 13, 6, full_range))


def limited_avif(matrix: int, red: float, blue: float) -> File:
    """YCbCr of limited range by the weights of a matrix (H.273, table 4)."""
    image = _vips(16).cast("float") / 65535
    y = image[0] * red + image[1] * (1 - red - blue) + image[2] * blue
    luma = (y * 219 + 16) / 255
    differences = [(image[2] - y) / (2 - 2 * blue), (image[0] - y) / (2 - 2 * red)]
    cb, cr = ((each * 224 + 128) / 255 for each in differences)
    planes = (cr.bandjoin([luma, cb]) * 65535 + 0.5).cast("ushort").copy(interpretation="rgb16")
    data = planes.heifsave_buffer(
        compression="av1", lossless=True, bitdepth=12, effort=0, keep="none"
    )
    return "image/avif", retold(data, nclx(1, 13, matrix, 0))


# PNG


def chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def png(*chunks: bytes, bits: int = 8, channels: str = "RGB") -> File:
    kind = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}[channels]
    header = struct.pack(">IIBBBBB", len(COLOURS) * SIDE, SIDE, bits, kind, 0, 0, 0)
    numbers = _pixels(bits, channels)
    if bits == 16:
        wide = array.array("H", numbers)
        wide.byteswap()
        numbers = wide.tobytes()
    length = len(numbers) // SIDE
    lines = b"".join(b"\0" + numbers[at : at + length] for at in range(0, len(numbers), length))
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(lines))]
    return "image/png", b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def cicp(primaries: int, transfer: int, matrix: int = 0, full_range: int = 1) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full_range]))


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def chrm(*xy: float) -> bytes:
    """White, red, green, blue."""
    return chunk(b"cHRM", struct.pack(">8I", *(round(each * 100_000) for each in xy)))


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))


def light(cll: float) -> bytes:
    return chunk(b"cLLI", struct.pack(">II", round(cll * 10_000), 1_000_000))


def mastering(brightest: float) -> bytes:
    return chunk(b"mDCV", bytes(16) + struct.pack(">II", round(brightest * 10_000), 50))


# With a profile


def profiled(kind: str, profile: bytes, mode: str = "RGB", exif: bytes = b"") -> File:
    """`kind` is Pillow's, `mode` "RGB" or "L"."""
    options: dict[str, Any] = {"lossless": True} if kind == "WEBP" else {"quality": 100}
    if kind == "JPEG" and mode != "L":
        options["subsampling"] = 0
    data = encoded(row(mode), kind, icc_profile=profile, exif=exif, **options)
    return f"image/{kind.lower()}", data


@cache
def of_vips(name: str) -> bytes:
    """The profile "p3" or "cmyk" that comes with vips."""
    return bytes(pyvips.Operation.call("profile_load", name))


def cmyk(profile: bytes = b"", transform: int | None = 2) -> File:
    """Black taken out by half. `transform` is what Adobe's marker says, 2 for YCCK; None: no such
    marker."""
    inks = []
    for colour in COLOURS:
        black = (1 - max(colour)) / 2
        inks += [*(max(0.0, 1 - value - black) for value in colour), black]
    numbers = bytes(round(255 * ink) for ink in inks)
    image = Image.frombytes("CMYK", (len(COLOURS), 1), numbers)
    image = image.resize((len(COLOURS) * SIDE, SIDE), Image.Resampling.NEAREST)
    data = encoded(image, "JPEG", quality=100, subsampling=0, icc_profile=profile)
    at = data.index(b"\xff\xee")
    length = 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    marker = data[at : at + length]
    changed = b"" if transform is None else marker[:-1] + bytes([transform])
    return "image/jpeg", data[:at] + changed + data[at + length :]

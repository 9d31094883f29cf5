"""Pictures for tests: the demo's good ones, and hostile ones made on the fly."""

import struct
import zlib
from functools import cache

import pyvips
from PIL import Image

from photo_api_client.exif import Shot, exif_block
from photo_api_client.photographs import animation, encode, heic, jpeg, picture

__all__ = ["Shot", "animation", "cat", "encode", "exif_block", "heic", "jpeg", "picture"]


@cache
def cat() -> Image.Image:
    """Chelsea, 451 × 300."""
    return picture("chelsea.png")


@cache
def good() -> dict[str, tuple[str, bytes]]:
    """One good file of each kind, by a name: its content type and bytes."""
    translucent = cat().copy()
    translucent.putalpha(128)
    return {
        "jpeg": ("image/jpeg", jpeg(cat())),
        "progressive jpeg": ("image/jpeg", encode(cat(), "JPEG", progressive=True)),
        "grey jpeg": ("image/jpeg", encode(cat().convert("L"), "JPEG")),
        "cmyk jpeg": ("image/jpeg", encode(cat().convert("CMYK"), "JPEG")),
        "png": ("image/png", encode(cat(), "PNG")),
        "palette png": ("image/png", encode(cat().convert("P"), "PNG")),
        "one bit png": ("image/png", encode(cat().convert("1"), "PNG")),
        "16 bit png": ("image/png", deep_png("rgb16")),
        "16 bit grey png": ("image/png", deep_png("grey16")),
        "transparent png": ("image/png", encode(translucent, "PNG")),
        "gif": ("image/gif", encode(cat(), "GIF")),
        "webp": ("image/webp", encode(cat(), "WEBP")),
        "transparent webp": ("image/webp", encode(translucent, "WEBP")),
        "avif": ("image/avif", encode(cat(), "AVIF", speed=9)),
        "transparent avif": ("image/avif", encode(translucent, "AVIF", speed=9)),
        "heic": ("image/heic", heic()),
    }


def deep_png(interpretation: str) -> bytes:
    """The cat with 16 bits per channel, "rgb16" or "grey16"."""
    space = "srgb" if interpretation == "rgb16" else "b-w"
    image = pyvips.Image.new_from_buffer(encode(cat(), "PNG"), "").colourspace(space)
    wide = (image.cast("ushort") * 257).cast("ushort").copy(interpretation=interpretation)
    data: bytes = wide.pngsave_buffer(bitdepth=16)
    return data


def plain(colour: tuple[int, int, int], profile: str = "") -> bytes:
    """A PNG of one sRGB colour; with a profile ("p3") it says the same in that space."""
    image = (pyvips.Image.black(64, 64, bands=3) + list(colour)).cast("uchar")
    image = image.copy(interpretation="srgb")
    if profile:
        image = image.icc_transform(profile, input_profile="srgb")
    data: bytes = image.pngsave_buffer(keep="icc")
    return data


def png(width: int, height: int, pixels: bytes, kind: tuple[int, int] = (8, 2)) -> bytes:
    """A PNG whose header says this size, whatever its deflated pixels are; `kind` is bits per
    channel and colour type, RGB unless told."""
    header = struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


@cache
def zeros(count: int) -> bytes:
    """So many zero bytes, deflated."""
    packer = zlib.compressobj(1)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(count >> 20)]
    return b"".join([*parts, packer.compress(bytes(count & ((1 << 20) - 1))), packer.flush()])


@cache
def slow() -> bytes:
    """A good file that takes seconds: 100 million transparent pixels of 16 bits per channel."""
    edge = 9_999
    return png(edge, edge, zeros(edge * (edge * 8 + 1)), (16, 6))

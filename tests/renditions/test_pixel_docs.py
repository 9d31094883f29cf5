"""docs/pictures.md tells how many pixels of each format are decoded with the default settings."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from photo_api.renditions.limits import MIB, RESERVE, Header, needed
from tests import photographs
from tests.photographs import cat, encode

DOCS = Path(__file__).parent.parent.parent / "docs"
DOCUMENT = DOCS / "pictures.md"
ROW = re.compile(r"^\| ([^|]+) \| ([\d,]+) \| ([\d,]+) \|", re.M)
MEMORY = 2 << 30
IDLE = 110 * MIB
UPLOAD = 50 * MIB


def jpeg(width: int, height: int, **options: object) -> bytes:
    data = encode(cat(), "JPEG", **options)
    found = re.search(rb"\xff[\xc0\xc2]", data)
    assert found
    at = found.start() + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def webp(chunk: bytes) -> bytes:
    return b"RIFF\0\0\0\0WEBP" + chunk + bytes(8)


def png(width: int, height: int, kind: tuple[int, int], interlaced: bool = False) -> bytes:
    data = photographs.png(width, height, b"", kind)
    return data[:28] + bytes([interlaced]) + data[29:]


def heif(depth: int, transparent: bool) -> bytes:
    """As much of one as tells of its picture."""

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", 8 + len(content)) + kind + content

    hvcc = bytes([1]) + bytes(16) + bytes([depth - 8]) + bytes(5)
    alpha = box(b"auxC", b"\0\0\0\0urn:mpeg:hevc:2015:auxid:1\0") if transparent else b""
    properties = box(b"ipco", box(b"hvcC", hvcc) + alpha)
    properties += box(b"ipma", struct.pack(">IIHBB", 0, 1, 1, 1, 1))
    entry = box(b"infe", b"\2\0\0\0" + struct.pack(">HH4s", 1, 0, b"hvc1") + b"\0")
    items = box(b"iinf", struct.pack(">IH", 0, 1) + entry)
    main = box(b"pitm", struct.pack(">IH", 0, 1))
    return box(b"ftyp", b"heic" + bytes(4)) + box(
        b"meta", bytes(4) + main + items + box(b"iprp", properties)
    )


ROWS: dict[str, tuple[str, Callable[[int, int], bytes]]] = {
    "JPEG": ("jpeg", jpeg),
    "JPEG, progressive, 4:2:0": ("jpeg", lambda w, h: jpeg(w, h, progressive=True)),
    "JPEG, progressive, 4:4:4": (
        "jpeg", lambda w, h: jpeg(w, h, progressive=True, subsampling=0)
    ),
    "PNG, 8 bits": ("png", lambda w, h: png(w, h, (8, 2))),
    "PNG, 8 bits, transparent": ("png", lambda w, h: png(w, h, (8, 6))),
    "PNG, 16 bits, transparent": ("png", lambda w, h: png(w, h, (16, 6))),
    "PNG, 8 bits, interlaced": ("png", lambda w, h: png(w, h, (8, 2), True)),
    "PNG, 16 bits, transparent, interlaced": ("png", lambda w, h: png(w, h, (16, 6), True)),
    "GIF": ("gif", lambda w, h: b"GIF89a"),
    "WebP, lossy": ("webp", lambda w, h: webp(b"VP8 ")),
    "WebP, lossy, transparent": ("webp", lambda w, h: webp(b"ALPH")),
    "WebP, lossless or animated": ("webp", lambda w, h: webp(b"VP8L")),
    "HEIC, 8 bits": ("heic", lambda w, h: heif(8, False)),
    "HEIC, 8 bits, transparent": ("heic", lambda w, h: heif(8, True)),
    "HEIC, 10 bits": ("heic", lambda w, h: heif(10, False)),
    "HEIC, 10 bits, transparent": ("heic", lambda w, h: heif(10, True)),
    "AVIF, 8 bits": ("avif", lambda w, h: heif(8, False)),
    "AVIF, 10 or 12 bits": ("avif", lambda w, h: heif(10, False)),
}  # fmt: skip


def fits(name: str, megapixels: int, full: bool) -> bool:
    """Of a picture of 4 to 3 in a file as large as may be uploaded."""
    kind, make = ROWS[name]
    width = int((megapixels * 1e6 * 4 / 3) ** 0.5)
    height = width * 3 // 4
    data = make(width, height).ljust(UPLOAD, b"\0")
    edge = 16_383 if kind == "webp" else 65_500
    taken = needed(Header(data, f"image/{kind}", width, height), full)
    return width <= edge and taken <= MEMORY - RESERVE - IDLE


def told() -> dict[str, tuple[int, int]]:
    found = ROW.findall(DOCUMENT.read_text())
    return {
        name: (int(one.replace(",", "")), int(two.replace(",", ""))) for name, one, two in found
    }


def test_every_format_has_its_row() -> None:
    assert f"`PHOTO_API_DECODE_MEMORY` | {MEMORY} |" in (DOCS / "settings.md").read_text()
    assert list(told()) == list(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_the_pixels_are_the_most_tens_of_the_formula(name: str) -> None:
    preview, full = told()[name]
    kept = name.startswith("JPEG")
    for megapixels, at_full_size in ((preview, False), (full, not kept)):
        assert fits(name, megapixels, at_full_size)
        assert not fits(name, megapixels + 10, at_full_size)

"""Metadata is found wherever a file keeps it; asked of the real child where there is a picture."""

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from photo_api.renditions.containers import MAX_BLOCK, Blocks, find_blocks
from photo_api.renditions.decoder import Decoder
from tests.fuzzing import fuzzed
from tests.metadata_blocks import (
    chunk,
    heic_with,
    heif_of_items,
    iptc,
    jpeg_with,
    photoshop,
    png_with,
    raw_profile,
    segment,
    text,
    tiff,
    xmp,
)
from tests.photographs import cat

EXIF = tiff({0x010F: text("Canon"), 0x0110: text("EOS R6")}, {0x9003: text("2024:05:17 14:03:22")})
XMP = xmp('xmp:Rating="4" aux:Lens="RF 50mm"')
IPTC = iptc(_5="a title", _55="20230102", _60="030405+0900")
IN_JPEG, XMP_IN_JPEG = b"Exif\0\0" + EXIF, b"http://ns.adobe.com/xap/1.0/\0" + XMP
XMP_TEXT = b"XML:com.adobe.xmp\0"


def saved(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    cat().save(out, kind, **options)
    return out.getvalue()


def gif() -> bytes:
    plain = saved("GIF")
    extension = b"\x21\xff\x0bXMP DataXMP" + XMP + b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    at = plain.index(b"\x2c", 13 + 768)
    return plain[:at] + extension + plain[at:]


FROM_EXIF: dict[str, object] = {
    "taken_at": "2024-05-17T14:03:22",
    "taken_at_source": "EXIF DateTimeOriginal",
    "camera": "Canon EOS R6",
}
FROM_XMP: dict[str, object] = {"rating": 4, "lens": "RF 50mm"}
FROM_IPTC: dict[str, object] = {
    "taken_at": "2023-01-02T03:04:05+09:00",
    "taken_at_source": "IPTC DateCreated",
}

FILES: dict[str, tuple[Callable[[], bytes], dict[str, object]]] = {
    "jpeg": (
        lambda: jpeg_with(segment(0xE1, XMP_IN_JPEG), segment(0xE1, IN_JPEG)),
        FROM_EXIF | FROM_XMP,
    ),
    "jpeg with fill bytes": (
        lambda: jpeg_with(b"\xff" * 5 + segment(0xE1, IN_JPEG)),
        FROM_EXIF,
    ),
    "jpeg with iptc": (
        lambda: jpeg_with(segment(0xED, b"Photoshop 3.0\0" + photoshop(IPTC))),
        FROM_IPTC,
    ),
    "png": (lambda: png_with(chunk(b"eXIf", EXIF)), FROM_EXIF),
    "png, after the picture": (
        lambda: png_with(
            chunk(b"eXIf", EXIF), chunk(b"iTXt", XMP_TEXT + bytes(4) + XMP), last=True
        ),
        FROM_EXIF | FROM_XMP,
    ),
    "png, deflated": (
        lambda: png_with(chunk(b"iTXt", XMP_TEXT + b"\1\0en\0\0" + zlib.compress(XMP))),
        FROM_XMP,
    ),
    "png of ImageMagick": (
        lambda: png_with(
            raw_profile(b"exif", IN_JPEG), raw_profile(b"xmp", XMP), raw_profile(b"iptc", IPTC)
        ),
        FROM_EXIF | FROM_XMP,
    ),
    "png with iptc": (lambda: png_with(raw_profile(b"iptc", photoshop(IPTC))), FROM_IPTC),
    "png of a program": (
        lambda: png_with(
            chunk(b"tEXt", b"date:create\x002024-05-17T05:03:22+00:00"),
            chunk(b"tEXt", b"Creation Time\0Fri, 17 May 2024 14:03:22 +0900"),
            chunk(b"tEXt", b"date:modify\x002024-05-17T05:03:22+00:00"),
            chunk(b"tIME", bytes([7, 0xE8, 5, 17, 5, 3, 22])),
        ),
        {"taken_at": "2024-05-17T14:03:22+09:00", "taken_at_source": "PNG Creation Time"},
    ),
    "png of ImageMagick without a date": (
        lambda: png_with(
            chunk(b"tEXt", b"date:create\x002024-05-17T05:03:22+00:00"),
            chunk(b"tIME", bytes([7, 0xE8, 5, 17, 5, 3, 22])),
        ),
        {},
    ),
    "webp": (lambda: saved("WEBP", exif=IN_JPEG, xmp=XMP), FROM_EXIF | FROM_XMP),
    "avif": (lambda: saved("AVIF", exif=EXIF, xmp=XMP, speed=9), FROM_EXIF | FROM_XMP),
    "heic": (lambda: heic_with(EXIF), FROM_EXIF),
    "gif": (gif, FROM_XMP),
}


@pytest.mark.parametrize("name", FILES)
async def test_a_file_s_metadata_is_told(decoder: Decoder, name: str) -> None:
    make, wanted = FILES[name]
    assert (await decoder.render(make())).exif == wanted


@pytest.mark.parametrize("name", FILES)
async def test_of_what_is_cut_short_nothing_is_raised(name: str) -> None:
    data = FILES[name][0]()
    kind = "image/heic" if name == "heic" else f"image/{name.split()[0].strip(',')}"
    whole = find_blocks(data, kind)
    assert any(whole) or not FILES[name][1]
    for end in {*range(0, min(len(data), 3000), 7), *range(0, len(data), 997)}:
        cut = find_blocks(data[:end], kind)
        assert all(a == b or len(a) < len(b) for a, b in zip(cut, whole, strict=True))


def item(block: bytes, before: bytes = b"Exif\0\0") -> tuple[bytes, bytes]:
    return b"Exif", struct.pack(">I", len(before)) + before + block


def test_items_in_the_meta_box_itself() -> None:
    data = heif_of_items({5: item(EXIF), 6: (b"mime", XMP)}, own=5)
    assert find_blocks(data, "image/heic") == Blocks(EXIF, XMP)
    assert find_blocks(heif_of_items({5: item(EXIF, b"")}), "image/avif").exif == EXIF


def test_the_primary_image_s_own_item_comes_first() -> None:
    others = {number: item(b"another's") for number in range(2, 7)}
    data = heif_of_items(others | {7: item(EXIF)}, own=7)
    assert find_blocks(data, "image/heic").exif == EXIF


def test_what_inflates_to_too_much_costs_little() -> None:
    bomb = XMP_TEXT + b"\1\0\0\0" + zlib.compress(bytes(20 * MAX_BLOCK))
    found = find_blocks(png_with(*[chunk(b"iTXt", bomb)] * 2000), "image/png")
    assert len(found.xmp) <= MAX_BLOCK


@pytest.mark.parametrize("kind", ["image/jpeg", "image/png", "image/webp", "image/heic"])
def test_a_file_of_nothing_but_parts_ends(kind: str) -> None:
    heads = {
        "image/jpeg": b"\xff\xd8" + b"\xff\xe1\0\2" * 1_000_000,
        "image/png": b"\x89PNG\r\n\x1a\n" + chunk(b"abcd", b"") * 1_000_000,
        "image/webp": b"RIFF\0\0\0\0WEBP" + b"abcd\0\0\0\0" * 1_000_000,
        "image/heic": heif_of_items({number: item(b"") for number in range(1, 20_000)}),
    }
    assert find_blocks(heads[kind], kind) == Blocks()


@fuzzed(60)
@given(st.data())
def test_a_damaged_file_raises_nothing(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["jpeg", "png", "webp", "heic"]))
    base = {
        "jpeg": lambda: b"\xff\xd8" + segment(0xE1, IN_JPEG) + segment(0xED, photoshop(IPTC)),
        "png": lambda: png_with(chunk(b"eXIf", EXIF), raw_profile(b"xmp", XMP))[:4000],
        "webp": lambda: b"RIFF\0\0\0\0WEBPEXIF" + struct.pack("<I", len(EXIF)) + EXIF,
        "heic": lambda: heif_of_items({5: item(EXIF), 6: (b"mime", XMP)}, own=5),
    }
    damaged = bytearray(base[kind]())
    for _ in range(data.draw(st.integers(1, 20))):
        at = data.draw(st.integers(2, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    assert isinstance(find_blocks(bytes(damaged), f"image/{kind}"), Blocks)


def test_pillow_finds_what_the_tests_write() -> None:
    """Or they would prove that one mistake fits another."""
    found = Image.open(io.BytesIO(jpeg_with(segment(0xE1, IN_JPEG)))).getexif()
    assert (found[0x010F], found.get_ifd(0x8769)[0x9003]) == ("Canon", "2024:05:17 14:03:22")

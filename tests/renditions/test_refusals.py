"""JPEG, PNG, GIF and WebP in their variants: what is shown, what is refused, and why. Asked of the
real child. HEIC and AVIF have tests/renditions/test_heif_variants.py."""

import struct
from typing import Any

import pytest

from photo_api.renditions.decoder import Decoder
from photo_api_client.photographs import encode
from tests.metadata_blocks import chunk, short, tiff
from tests.quadrants import quadrants
from tests.renditions.test_heif_variants import PLAIN, outcomes

TURNED = b"Exif\0\0" + tiff({0x0112: short(6)})
SOF, SOS = b"\xff\xc0", b"\xff\xda"
IEND = chunk(b"IEND", b"")
UNKNOWN = "unsupported"
FLAGS = 20
"""Where a WebP's extended header has them: 2 animated, 4 XMP, 8 EXIF, 16 alpha, 32 profile."""

Change = tuple[int, bytes]
"""Bytes to be put at this place."""


def made(kind: str, **options: Any) -> bytes:
    mode = options.pop("mode", "RGB")
    return encode(quadrants().convert(mode), kind, **options)


def changed(data: bytes, *changes: Change) -> bytes:
    found = bytearray(data)
    for at, new in changes:
        found[at : at + len(new)] = new
    return bytes(found)


def of_frame(marker: int, bits: int = 8) -> bytes:
    """A JPEG that says it is coded in another way, or in more bits."""
    data = made("JPEG")
    at = data.index(SOF)
    return changed(data, (at + 1, bytes([marker])), (at + 4, bytes([bits])))


def of_channels(count: int) -> bytes:
    """A JPEG of so many channels, each as the one of a grey picture."""
    data = made("JPEG", mode="L")
    at = data.index(SOF)
    tables = b"".join(bytes([number + 1, 0x11, 0]) for number in range(count))
    frame = SOF + struct.pack(">H", 8 + 3 * count) + data[at + 4 : at + 9] + bytes([count]) + tables
    scan = data.index(SOS)
    chosen = b"".join(bytes([number + 1, 0]) for number in range(count))
    header = SOS + struct.pack(">HB", 6 + 2 * count, count) + chosen + b"\0\x3f\0"
    return data[:at] + frame + data[at + 13 : scan] + header + data[scan + 10 :]


def jpeg_with_exif(block: bytes) -> bytes:
    return made("JPEG", exif=b"Exif\0\0" + block)


async def test_jpegs(decoder: Decoder) -> None:
    whole = made("JPEG")
    frame, tables = whole.index(SOF), whole.index(b"\xff\xdb")
    files = {
        "progressive": made("JPEG", progressive=True),
        "extended": of_frame(0xC1),
        "turned by EXIF": made("JPEG", exif=TURNED),
        "turned by a number of another type": jpeg_with_exif(tiff({0x0112: (4, b"\0\0\0\6")})),
        "turned by a text": jpeg_with_exif(tiff({0x0112: (2, b"6\0")})),
        **{f"of process {marker:X}": of_frame(marker) for marker in (0xC3, 0xC5, 0xC7, 0xCD, 0xF7)},
        **{f"{bits} bits": of_frame(0xC1, bits) for bits in (7, 12, 16)},
        **{f"{count} channels": of_channels(count) for count in (2, 5)},
        "a height told later": changed(whole, (frame + 5, bytes(2))),
        "no width": changed(whole, (frame + 7, bytes(2))),
        "65,501 high": changed(whole, (frame + 5, b"\xff\xdd")),
        "65,535 wide": changed(whole, (frame + 7, b"\xff\xff")),
        "no tables": whole[:tables] + whole[frame:],
        **{f"cut at {at}": whole[:at] for at in (3, 100, frame + 4, frame + 12)},
    }
    assert await outcomes(decoder, files) == {
        "progressive": PLAIN,
        "extended": PLAIN,
        "turned by EXIF": (64, 128, "BRYG", 1),
        "turned by a number of another type": PLAIN,
        "turned by a text": PLAIN,
        **dict.fromkeys(
            [f"of process {marker}" for marker in ["C3", "C5", "C7", "CD", "F7"]], UNKNOWN
        ),
        **dict.fromkeys(["7 bits", "12 bits", "16 bits", "2 channels", "5 channels"], UNKNOWN),
        "a height told later": UNKNOWN,
        "no width": "corrupt",
        "65,501 high": "too_many_pixels",
        "65,535 wide": "too_many_pixels",
        "no tables": "corrupt",
        **{name: "truncated" for name in files if name.startswith("cut")},
    }


def with_header(at: int, value: int) -> bytes:
    """A PNG with another byte in its IHDR, and its checksum right."""
    data = made("PNG")
    return data[:8] + chunk(b"IHDR", changed(data[16:29], (at, bytes([value])))) + data[33:]


async def test_pngs(decoder: Decoder) -> None:
    whole, palette = made("PNG"), made("PNG", mode="P")
    at = palette.index(b"PLTE") - 4
    without = palette[:at] + palette[at + 12 + int.from_bytes(palette[at : at + 4], "big") :]
    picture = whole.index(b"IDAT")
    files = {
        "palette": palette,
        "transparent palette": made("PNG", mode="P", transparency=255),
        "a transparent colour": made("PNG", transparency=(1, 2, 3)),
        "animated": made("PNG", save_all=True, append_images=[quadrants().rotate(180)]),
        "an unknown chunk": whole[:33] + chunk(b"abCd", b"1") + whole[33:],
        "without its end": whole[:-12],
        "turned by EXIF at its end": whole[:-12] + chunk(b"eXIf", TURNED[6:]) + IEND,
        "turned by EXIF": made("PNG", exif=TURNED),
        "an unknown chunk to obey": whole[:33] + chunk(b"ABCD", b"1") + whole[33:],
        "Apple's own": whole[:8] + chunk(b"CgBI", b"\x50\0\x20\2") + whole[8:],
        **{f"header byte {at} wrong": with_header(at, 7) for at in (8, 9, 10, 11, 12)},
        "a checksum wrong": changed(whole, (40, b"\0\0\0\0")),
        "no picture": whole[:33] + whole[-12:],
        "no palette": without,
        "half a picture": whole[: picture - 4] + chunk(b"IDAT", whole[picture + 4 : -40]) + IEND,
        **{f"cut at {at}": whole[:at] for at in (8, 20, 33, 50, -13, -20)},
    }
    assert await outcomes(decoder, files) == {
        **dict.fromkeys([*files][:7], PLAIN),
        "turned by EXIF": (64, 128, "BRYG", 1),
        **dict.fromkeys(["an unknown chunk to obey", "Apple's own"], UNKNOWN),
        **dict.fromkeys([*files][10:19], "corrupt"),
        **{name: "truncated" for name in files if name.startswith("cut")},
    }


async def test_gifs(decoder: Decoder) -> None:
    whole = made("GIF")
    colours = 13 + 3 * 2 ** ((whole[10] & 7) + 1)
    frame = whole.index(b",", colours)
    moving = made("GIF", save_all=True, append_images=[quadrants().rotate(180)])
    files = {
        "of 1987": changed(whole, (4, b"7")),
        "no screen": changed(whole, (6, bytes(4))),
        "a small screen": changed(whole, (6, struct.pack("<HH", 10, 10))),
        "without its end": whole[:-1],
        "a large screen": changed(whole, (6, struct.pack("<HH", 256, 128))),
        "two frames": moving,
        "no frame": whole[:colours] + b";",
        "neither a frame nor an end": whole[:colours] + b"?" + whole[colours:],
        **{f"cut at {at}": whole[:at] for at in (6, 10, 13, colours, frame + 9)},
    }
    assert await outcomes(decoder, files) == {
        **dict.fromkeys([*files][:4], PLAIN),
        "a large screen": (256, 128, "R???", 1),
        "two frames": (128, 64, "RGBY", 2),
        "no frame": "corrupt",
        "neither a frame nor an end": "corrupt",
        **{name: "truncated" for name in files if name.startswith("cut")},
    }


def flagged(flags: int) -> bytes:
    """A WebP with an extended header that says this of the chunks to come."""
    data = made("WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    return changed(data, (FLAGS, bytes([flags])))


async def test_webps(decoder: Decoder) -> None:
    whole = made("WEBP")
    moving = made("WEBP", save_all=True, append_images=[quadrants().rotate(180)])
    files = {
        "lossless": made("WEBP", lossless=True),
        "turned by EXIF, as browsers do not": made("WEBP", exif=TURNED),
        "with alpha": made("WEBP", mode="RGBA"),
        "lossless with alpha": made("WEBP", mode="RGBA", lossless=True),
        **{f"flags {flags}": flagged(flags) for flags in (0, 4, 8, 16, 32, 60)},
        "animated": moving,
        "says that it is animated": flagged(2),
        "does not say that it is animated": changed(moving, (FLAGS, b"\0")),
        "says another size": changed(flagged(8), (24, b"\xff\xff\0")),
        "no start code": changed(whole, (23, b"\0")),
        "not a key frame": changed(whole, (20, bytes([whole[20] | 1]))),
        "no picture": b"RIFF\x14\0\0\0WEBPABCD\x08\0\0\0" + bytes(8),
        "a small container": changed(whole, (4, struct.pack("<I", 40))),
        "a large container": changed(whole, (4, struct.pack("<I", len(whole)))),
        **{f"cut at {at}": whole[:at] for at in (15, 25, 60, -20, -1)},
        "cut in its second frame": moving[:-20],
    }
    damaged = [*files][11:18]
    assert await outcomes(decoder, files) == {
        **dict.fromkeys([*files][:10], PLAIN),
        "animated": (128, 64, "RGBY", 2),
        **dict.fromkeys(damaged, "corrupt"),
        "a large container": "truncated",
        **{name: "truncated" for name in files if name.startswith("cut")},
    }


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
async def test_what_is_refused_tells_its_size_as_it_would_be_shown(
    decoder: Decoder, kind: str
) -> None:
    facts = await decoder.describe(made(kind, exif=TURNED)[:-1][:600])
    assert (facts.width, facts.height) == (64, 128) if kind != "WEBP" else (128, 64)

"""The colours of renditions, against what Chromium showed of the same files.

`chromium_colours.txt` has that, recorded by `test_colour_browser.py`, which tells how.
"""

import io
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photo_api.renditions.decoder import Decoder
from photo_api_client.exif import as_stored
from tests import colour_files, icc_profiles
from tests.colour_cases import files
from tests.colour_files import COLOURS, SIDE
from tests.heif_files import ramp
from tests.photographs import Shot, cat, encode, exif_block

Shown = Sequence[tuple[int, ...]]
RECORD = Path(__file__).parent / "chromium_colours.txt"


def recorded() -> Mapping[str, Shown]:
    """Each colour of each file as red, green and blue."""
    found = {}
    for line in RECORD.read_text().splitlines():
        name, _, colours = line.rpartition(": ")
        if name:
            found[name] = [tuple(bytes.fromhex(colour)) for colour in colours.split()]
    return found


def shown(picture: bytes) -> Shown:
    """The colours in the middle of a rendition's squares."""
    image = Image.open(io.BytesIO(picture)).convert("RGBA").convert("RGB")
    assert image.size == (len(COLOURS) * SIDE, SIDE)
    pixels: list[Any] = [
        image.getpixel((place * SIDE + SIDE // 2, SIDE // 2)) for place in range(len(COLOURS))
    ]
    return pixels


def difference(first: Shown, second: Shown) -> float:
    """Mean of a channel."""
    pairs = [pair for one in zip(first, second, strict=True) for pair in zip(*one, strict=True)]
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


COARSE = {"CMYK with a profile": 8.0}
"""Between the few points of a table of four inks browsers interpolate in another way."""


async def test_previews_have_the_colours_that_chromium_shows(decoder: Decoder) -> None:
    off = {}
    for name, (content_type, data) in files().items():
        rendered = await decoder.render(data)
        assert rendered.content_type == content_type, name
        most = COARSE.get(name, 2.0)
        apart = difference(shown(rendered.preview), recorded()[name])
        if apart > most:
            off[name] = round(apart, 1)
    assert off == {}


@pytest.mark.parametrize("name", ["AVIF PQ", "PNG HLG", "AVIF grey, limited", "WEBP P3"])
async def test_the_display_rendition_has_them_too(decoder: Decoder, name: str) -> None:
    display = await decoder.display(files()[name][1])
    assert display.content_type == "image/webp"
    assert difference(shown(display.data), recorded()[name]) < 2


HEIC = {
    "sRGB": (1, 13), "P3": (12, 13), "PQ": (9, 16), "PQ in P3": (12, 16), "HLG": (9, 18),
    "gamma 2.2": (1, 4),
}  # fmt: skip


@pytest.mark.parametrize("name", HEIC)
async def test_a_heic_looks_as_the_avif_that_says_the_same(decoder: Decoder, name: str) -> None:
    """Chromium shows no HEIC."""
    _, data = colour_files.heic(*HEIC[name])
    rendered = await decoder.render(data)
    assert rendered.content_type == "image/heic"
    assert difference(shown(rendered.preview), recorded()[f"AVIF {name}"]) < 2


async def test_what_else_a_heic_says_of_its_colours_counts_too(decoder: Decoder) -> None:
    bright = colour_files.heic(9, 16, colour_files.clli(4000))
    limited = colour_files.grey_heif("HEIC", 0)
    flat = colour_files.heic(12, 13, bits=8)
    names = ("AVIF PQ, 4000", "AVIF grey, limited", "AVIF P3")
    for (_, data), name in zip((bright, limited, flat), names, strict=True):
        assert difference(shown((await decoder.render(data)).preview), recorded()[name]) < 2, name


@pytest.mark.parametrize("bits", [10, 12])
async def test_a_deep_grey_heic_of_limited_range_goes_from_black_to_white(
    decoder: Decoder, bits: int
) -> None:
    data = colour_files.retold(ramp("I;16", bits), colour_files.nclx(1, 13, 6, 0))
    image = Image.open(io.BytesIO((await decoder.render(data)).preview)).convert("L")
    seen: list[Any] = [image.getpixel((x, 8)) for x in (0, 24, 48, 72, 95)]
    for got, wanted in zip(seen, (0, 56, 131, 206, 255), strict=True):
        assert abs(got - wanted) < 5


async def test_frames_of_an_animation_are_in_srgb(decoder: Decoder) -> None:
    first, profile = colour_files.row(), colour_files.of_vips("p3")
    options = {"save_all": True, "lossless": True, "icc_profile": profile}
    data = colour_files.encoded(first, "WEBP", append_images=[first.rotate(180)], **options)
    image = Image.open(io.BytesIO((await decoder.display(data)).data))
    assert getattr(image, "n_frames", 1) == 2
    frame = colour_files.encoded(image, "PNG")
    assert difference(shown(frame), recorded()["WEBP P3"]) < 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
async def test_a_picture_with_a_profile_stands_upright(decoder: Decoder, kind: str) -> None:
    upright = cat().resize((300, 200))
    profile = colour_files.of_vips("p3")
    seen = []
    for orientation in range(1, 9):
        exif = exif_block(Shot(orientation=orientation))
        data = encode(as_stored(upright, orientation), kind, exif=exif, icc_profile=profile)
        rendered = await decoder.render(data)
        seen.append(Image.open(io.BytesIO(rendered.preview)).convert("RGB"))
    assert {one.size for one in seen} == {upright.size}
    small: list[Any] = [[*one.resize((6, 4)).get_flattened_data()] for one in seen]
    assert max(difference(small[0], other) for other in small) < 3


async def test_a_damaged_profile_refuses_no_picture(decoder: Decoder) -> None:
    chance = random.Random(11)
    table = icc_profiles.table(icc_profiles.ADOBE, 2.2)
    profiles = {
        "RGB": colour_files.of_vips("p3"),
        "L": icc_profiles.profile({b"kTRC": icc_profiles.gamma(2.2)}, space=b"GRAY"),
        "CMYK": icc_profiles.profile({b"A2B0": table}, space=b"CMYK", pcs=b"Lab "),
    }
    for mode, profile in profiles.items():
        picture = cat().resize((16, 16)).convert(mode)
        for _ in range(20):
            damaged = bytearray(profile)
            for _ in range(chance.choice((1, 4, 16))):
                damaged[chance.randrange(min(len(damaged), 400))] = chance.choice((0, 7, 128, 255))
            rendered = await decoder.render(encode(picture, "JPEG", icc_profile=bytes(damaged)))
            assert rendered.fault is None

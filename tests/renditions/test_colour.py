"""The colours of renditions, against what Chromium showed of the same files.

`chromium_colours.txt` has that, recorded by `test_colour_browser.py`, which tells how.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from photo_api.renditions.decoder import Decoder
from tests import colour_files
from tests.colour_cases import files
from tests.colour_files import COLOURS, SIDE

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


async def test_frames_of_an_animation_are_in_srgb(decoder: Decoder) -> None:
    first, profile = colour_files.row(), colour_files.of_vips("p3")
    options = {"save_all": True, "lossless": True, "icc_profile": profile}
    data = colour_files.encoded(first, "WEBP", append_images=[first.rotate(180)], **options)
    image = Image.open(io.BytesIO((await decoder.display(data)).data))
    assert getattr(image, "n_frames", 1) == 2
    frame = colour_files.encoded(image, "PNG")
    assert difference(shown(frame), recorded()["WEBP P3"]) < 2

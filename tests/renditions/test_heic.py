"""HEIC in its variants, asked of the real child."""

import io
import struct
from typing import Any

import pytest
import pyvips
from PIL import Image

from photo_api.renditions.decoder import Decoder
from photo_api.renditions.heif_picture import Nclx, read_picture
from tests.heif_boxes import Item, box, coded, heif
from tests.heif_files import HEIGHT, WIDTH, ramp

DEPTHS = [
    ("L", 8), ("RGB", 8), ("LA", 8), ("RGBA", 8), ("I;16", 10), ("I;16", 12),
    ("RGB;16", 10), ("RGB;16", 12), ("LA;16", 10), ("RGBA;16", 10), ("RGBA;16", 12),
]  # fmt: skip


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGBA")


@pytest.mark.parametrize(("mode", "bits"), DEPTHS)
async def test_every_depth_and_every_set_of_channels_is_shown(
    decoder: Decoder, mode: str, bits: int
) -> None:
    data = ramp(mode, bits)
    rendered = await decoder.render(data)
    assert (rendered.width, rendered.height, rendered.content_type) == (WIDTH, HEIGHT, "image/heic")
    for webp in (rendered.preview, rendered.thumbnail, (await decoder.display(data)).data):
        shown = opened(webp)
        for x in range(0, WIDTH, 8):
            grey = 255 * x // (WIDTH - 1)
            pixel: Any = shown.getpixel((x, HEIGHT // 2))
            wanted = (grey, grey, grey, 255 - grey if "A" in mode else 255)
            assert max(abs(a - b) for a, b in zip(pixel, wanted, strict=True)) < 8, x


@pytest.mark.parametrize(("mode", "bits"), DEPTHS)
def test_the_depth_and_the_colours_are_read_undecoded(mode: str, bits: int) -> None:
    picture = read_picture(ramp(mode, bits))
    assert picture is not None
    assert picture.bit_depth == bits
    assert picture.nclx == Nclx(1, 13, 6, True)
    assert (picture.coding, picture.coded, picture.displayed) == (b"hvc1", *[(WIDTH, HEIGHT)] * 2)


@pytest.mark.parametrize("bits", [8, 10, 12])
@pytest.mark.parametrize("bands", [1, 3, 4])
async def test_avif_of_every_depth_is_shown(decoder: Decoder, bits: int, bands: int) -> None:
    # vips' own ramp, 0 to 1 from the left, with an opaque alpha channel if there are four bands.
    row = pyvips.Image.grey(WIDTH, HEIGHT) * 65535
    image = row.bandjoin([row] * (min(bands, 3) - 1)) if bands > 1 else row
    image = image.bandjoin(65535) if bands == 4 else image
    image = image.cast("ushort").copy(interpretation="rgb16" if bands > 1 else "grey16")
    data: bytes = image.heifsave_buffer(compression="av1", bitdepth=bits, Q=95, effort=0)
    picture = read_picture(data)
    assert picture is not None
    assert (picture.coding, picture.bit_depth) == (b"av01", bits)
    rendered = await decoder.render(data)
    for webp in (rendered.preview, (await decoder.display(data)).data):
        shown = opened(webp)
        for x in range(0, WIDTH, 8):
            pixel: Any = shown.getpixel((x, HEIGHT // 2))
            assert max(abs(value - 255 * x // (WIDTH - 1)) for value in pixel[:3]) < 10, x


@pytest.mark.parametrize("codes", [(255, 255, 255), (0, 0, 3), (3, 3, 15), (65535, 19, 65535)])
async def test_code_points_that_nobody_knows_are_not_told(
    decoder: Decoder, codes: tuple[int, int, int]
) -> None:
    kind, content, properties, _ = coded(ramp("RGB"))
    plain = await decoder.render(heif({1: Item(kind, content, properties)}))
    nclx = box(b"colr", b"nclx" + struct.pack(">HHHB", *codes, 0))
    others = [one for one in properties if one[4:8] != b"colr"]
    odd = await decoder.render(heif({1: Item(kind, content, [*others, nclx])}))
    assert (odd.width, odd.height) == (plain.width, plain.height)

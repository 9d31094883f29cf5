"""A picture whose corners tell how it stands: red, green, blue and yellow."""

import io
from collections.abc import Sequence
from functools import cache
from typing import Any

import pillow_heif
from PIL import Image, ImageOps

from photo_api_client.photographs import encode
from tests.heif_boxes import Item, coded, heif

WIDTH, HEIGHT = 128, 64
COLOURS = {"R": (255, 0, 0), "G": (0, 255, 0), "B": (0, 0, 255), "Y": (255, 255, 0)}
BRANDS = {b"hvc1": (b"heic", b"mif1"), b"av01": (b"avif", b"mif1", b"miaf")}


def quadrants(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """From the left, red and green above, blue and yellow below."""
    small = Image.new("RGB", (2, 2))
    small.putdata([*COLOURS.values()])
    return small.resize((width, height), Image.Resampling.NEAREST)


def corners(data: bytes) -> str:
    """The colours of a file's corners from the upper left, by their first letters, or `?`; a JPEG
    is turned as its EXIF says."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    right, below = image.width - 1, image.height - 1
    near, down = right // 8, below // 8
    places = [
        (near, down),
        (right - near, down),
        (near, below - down),
        (right - near, below - down),
    ]
    return "".join(letter(image.getpixel(place)) for place in places)


def letter(pixel: Any) -> str:
    found = (
        name
        for name, colour in COLOURS.items()
        if max(abs(a - b) for a, b in zip(pixel, colour, strict=True)) < 90
    )
    return next(found, "?")


@cache
def item(kind: bytes) -> Item:
    """`quadrants` as an item, `hvc1` or `av01`."""
    return coded_as(kind, quadrants())


def coded_as(kind: bytes, image: Image.Image) -> Item:
    """A picture as an item, neither turned nor cropped."""
    if kind == b"av01":
        data = encode(image, "AVIF", quality=90, speed=9)
    else:
        out = io.BytesIO()
        pillow_heif.from_pillow(image).save(out, quality=90)
        data = out.getvalue()
    found = coded(data)
    plain = [one for one in found.properties if one[4:8] not in (b"irot", b"imir", b"clap")]
    return found._replace(properties=plain)


def with_properties(kind: bytes, *properties: bytes) -> Item:
    """`item` with these behind its own."""
    return item(kind)._replace(properties=[*item(kind).properties, *properties])


def file_of(kind: bytes, *properties: bytes, brands: Sequence[bytes] = ()) -> bytes:
    """`quadrants` as a whole file, `hvc1` or `av01`, with these properties."""
    return heif({1: with_properties(kind, *properties)}, brands=brands or BRANDS[kind])

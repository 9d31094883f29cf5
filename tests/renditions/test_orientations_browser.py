"""The eight orientations in five formats: our renditions beside what a real Chromium draws of the
originals."""

import asyncio
import base64
import struct
from collections.abc import Sequence
from typing import Any

import pytest

from photo_api.renditions.decoder import Decoder, Rendered
from photo_api_client.photographs import encode
from tests.chromium import running_chromium
from tests.heif_boxes import Item, heif, imir, irot
from tests.metadata_blocks import chunk, short, tiff
from tests.quadrants import BRANDS, letter, quadrants, with_properties

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

Drawn = tuple[int, int, str]
"""Natural width and height, and the corners' colours."""

EXIF = range(1, 9)
SHOWN: dict[int, Drawn] = {
    1: (128, 64, "RGBY"), 2: (128, 64, "GRYB"), 3: (128, 64, "YBGR"), 4: (128, 64, "BYRG"),
    5: (64, 128, "RBGY"), 6: (64, 128, "BRYG"), 7: (64, 128, "YGBR"), 8: (64, 128, "GYRB"),
}  # fmt: skip
"""Of the upright quadrants, by orientation (CIPA DC-008, 4.6.4)."""

TURNS = {
    1: [], 2: [imir(1)], 3: [irot(2)], 4: [imir(0)], 5: [irot(1), imir(0)], 6: [irot(3)],
    7: [irot(1), imir(1)], 8: [irot(1)],
}  # fmt: skip
"""The same, as HEIF says it."""

DRAW = """async originals => await Promise.all(originals.map(async url => {
    const image = new Image();
    image.src = url;
    document.body.append(image);
    try { await image.decode(); } catch (error) { return null; }
    const {naturalWidth: width, naturalHeight: height} = image;
    const canvas = Object.assign(document.createElement('canvas'), {width, height});
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(image, 0, 0);
    const [x, y] = [width >> 3, height >> 3], [right, below] = [width - 1 - x, height - 1 - y];
    const corners = [[x, y], [right, y], [x, below], [right, below]];
    return [width, height, corners.map(place => [...context.getImageData(...place, 1, 1).data])];
}))"""


def original(kind: str, orientation: int) -> bytes:
    """Quadrants that are to be shown in this orientation: HEIC and AVIF say it by their own
    properties, and by EXIF the opposite."""
    exif = tiff({0x0112: short(orientation)})
    if kind == "PNG":
        plain = encode(quadrants(), "PNG")
        return plain[:33] + chunk(b"eXIf", exif) + plain[33:]
    if kind in ("JPEG", "WEBP"):
        return encode(quadrants(), kind, exif=b"Exif\0\0" + exif, quality=95)
    codec = b"av01" if kind == "AVIF" else b"hvc1"
    other = b"Exif\0\0" + tiff({0x0112: short(9 - orientation)})
    items = {
        1: with_properties(codec, *TURNS[orientation]),
        2: Item(b"Exif", struct.pack(">I", 6) + other, hidden=True),
    }
    return heif(items, [(b"cdsc", 2, [1])], BRANDS[codec])


def in_chromium(files: Sequence[tuple[str, bytes]]) -> list[Drawn | None]:
    """What it draws of each file, given with its type, all on one page; None of what it refuses."""
    urls = [f"data:{kind};base64,{base64.b64encode(data).decode()}" for kind, data in files]
    with running_chromium() as browser:
        found = browser.new_page().evaluate(DRAW, urls)
    return [_drawn(one) for one in found]


def _drawn(found: list[Any] | None) -> Drawn | None:
    return (found[0], found[1], "".join(letter(pixel[:3]) for pixel in found[2])) if found else None


async def test_all_renditions_stand_as_the_original_does_in_chromium(decoder: Decoder) -> None:
    cases = [(k, o) for k in ("JPEG", "PNG", "WEBP", "AVIF", "HEIC") for o in EXIF]
    files: list[tuple[str, bytes]] = []
    told: list[Rendered] = []
    for kind, orientation in cases:
        data = original(kind, orientation)
        rendered, shown = await decoder.render(data), await decoder.display(data)
        told.append(rendered)
        files += [
            (f"image/{kind.lower()}", data), ("image/webp", rendered.preview),
            ("image/webp", rendered.thumbnail), (shown.content_type, shown.data),
        ]  # fmt: skip
    drawn = await asyncio.to_thread(in_chromium, files)
    for number, (kind, orientation) in enumerate(cases):
        first, *renditions = drawn[4 * number : 4 * number + 4]
        if kind == "HEIC":
            assert first is None, "Chromium shows HEIC now: have our renditions compared with it"
            first = SHOWN[orientation]
        assert renditions == [first] * 3, (kind, orientation)
        assert first == SHOWN[1 if kind == "WEBP" else orientation], (kind, orientation)
        assert (told[number].width, told[number].height) == first[:2]

"""Our previews beside what a real Chromium shows of the originals.

`PHOTO_API_RECORD_COLOURS=1 pytest tests/renditions/test_colour_browser.py` writes what it shows to
`chromium_colours.txt`.
"""

import asyncio
import base64
import os
from collections.abc import Mapping

import pytest

from photo_api.renditions.decoder import Decoder
from tests.chromium import running_chromium
from tests.colour_cases import files
from tests.colour_files import COLOURS, SIDE, File
from tests.renditions.test_colour import RECORD, Shown, difference, shown

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.slow]

DRAW = """async ([urls, side, count]) => {
    const shown = []
    for (const url of urls) {
        const image = new Image()
        image.src = url
        await image.decode()
        const canvas = document.createElement('canvas')
        canvas.width = image.naturalWidth
        canvas.height = image.naturalHeight
        const context = canvas.getContext('2d', {willReadFrequently: true})
        context.drawImage(image, 0, 0)
        const pixels = context.getImageData(0, side / 2, canvas.width, 1).data
        shown.push([...Array(count).keys()].map(place => {
            const at = 4 * (place * side + side / 2)
            return [...pixels.slice(at, at + 3)]
        }))
    }
    return shown
}"""


def in_chromium(originals: Mapping[str, File]) -> tuple[str, Mapping[str, Shown]]:
    """Its version, and the middle of each square of each file."""
    urls = [
        f"data:{content_type};base64,{base64.b64encode(data).decode()}"
        for content_type, data in originals.values()
    ]
    with running_chromium() as browser:
        found = browser.new_page().evaluate(DRAW, [urls, SIDE, len(COLOURS)])
        version = browser.version
    drawn = [[tuple(colour) for colour in colours] for colours in found]
    return version, dict(zip(originals, drawn, strict=True))


async def test_previews_look_as_the_originals_do_in_chromium(decoder: Decoder) -> None:
    version, drawn = await asyncio.to_thread(in_chromium, files())
    if os.environ.get("PHOTO_API_RECORD_COLOURS"):
        lines = [f"Chromium {version}, canvas in sRGB", ""]
        for name, colours in drawn.items():
            lines.append(f"{name}: {' '.join(bytes(colour).hex() for colour in colours)}")
        RECORD.write_text("\n".join(lines) + "\n")
    for name, (_, data) in files().items():
        apart = difference(shown((await decoder.render(data)).preview), drawn[name])
        print(f"{name:40} {apart:.2f}")
        assert apart <= 8, name

"""The limit of renditions: libvips (and libheif for HEIC) as its manual would have it, in one
decode, with nothing else looked at, in a process of its own.

Reads paths from standard input, one a line, and answers each with the seconds of a processor that
it took, the reading of the file among them, and the bytes that were made.
"""

import sys
from pathlib import Path
from time import process_time

import pi_heif
import pyvips

from photo_api.renditions.images import PREVIEW_EDGE, THUMBNAIL_EDGE, WEBP_QUALITY


def main() -> None:
    """Until standard input ends."""
    pyvips.cache_set_max(0)  # as in the decoder's child: no picture comes again
    for line in sys.stdin:
        began = process_time()
        made = sum(map(len, render(Path(line.strip()).read_bytes())))
        print(process_time() - began, made, flush=True)


def render(data: bytes) -> tuple[bytes, bytes]:
    """The thumbnail and the preview, as WebP."""
    edge = {"height": PREVIEW_EDGE, "size": "down"}
    if data[4:8] == b"ftyp":
        picture = pi_heif.open_heif(data, convert_hdr_to_8bit=True)
        whole = pyvips.Image.new_from_memory(
            picture.data, picture.stride // len(picture.mode), picture.size[1], 3, "uchar"
        )
        whole = whole.crop(0, 0, *picture.size).copy(interpretation="srgb")
        preview = whole.thumbnail_image(PREVIEW_EDGE, **edge)
    else:
        preview = pyvips.Image.thumbnail_buffer(data, PREVIEW_EDGE, **edge)
    preview = preview.copy_memory()
    thumbnail = preview.thumbnail_image(THUMBNAIL_EDGE, height=THUMBNAIL_EDGE, size="down")
    return _webp(thumbnail), _webp(preview)


def _webp(image: pyvips.Image) -> bytes:
    data: bytes = image.webpsave_buffer(Q=WEBP_QUALITY, effort=2, keep="none")
    return data


if __name__ == "__main__":
    main()

"""What decoding takes, by format and size, asked of the decoder's child: the figures of
docs/pictures.md. Run as `python -m bench.decoding [MEGAPIXELS ...]`; 48 if none is told.

Files are one colour: what is to be seen hardly changes what is needed. Address space is beyond an
idle child's, in MiB, beside what is foreseen; seconds are of a processor.
"""

import asyncio
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyvips
from PIL import Image

from photo_api.renditions.decoder import DecodeLimits, Decoder, Refused
from photo_api.renditions.limits import MIB, Header, needed, rewriting

ENOUGH = DecodeLimits(memory_bytes=64 << 30, cpu_seconds=600, wall_seconds=900)


def _files(width: int, height: int) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    opaque, clear = _flat(width, height, 3), _flat(width, height, 4)
    whole = {"subsample_mode": "off"}
    yield "JPEG", "jpeg", lambda: opaque.jpegsave_buffer()
    yield "progressive 4:2:0", "jpeg", lambda: opaque.jpegsave_buffer(interlace=True)
    yield "progressive 4:4:4", "jpeg", lambda: opaque.jpegsave_buffer(interlace=True, **whole)
    yield "PNG", "png", lambda: opaque.pngsave_buffer(compression=1)
    yield "PNG interlaced", "png", lambda: opaque.pngsave_buffer(compression=1, interlace=True)
    yield "PNG transparent", "png", lambda: clear.pngsave_buffer(compression=1)
    yield "WebP", "webp", lambda: opaque.webpsave_buffer(effort=0)
    yield "WebP lossless", "webp", lambda: clear.webpsave_buffer(effort=0, lossless=True)
    yield "GIF", "gif", lambda: opaque.gifsave_buffer(effort=1)
    yield "AVIF", "avif", lambda: opaque.heifsave_buffer(compression="av1", effort=0)


def _flat(width: int, height: int, bands: int) -> Any:
    picture = (pyvips.Image.black(width, height, bands=bands) + 90).cast("uchar")
    return picture.copy(interpretation="srgb")


async def _measure(data: bytes, full: bool) -> tuple[int, float]:
    """The peak in bytes, the seconds. Raises `Refused`."""
    decoder = Decoder(ENOUGH)
    try:
        out = io.BytesIO()
        Image.new("RGB", (8, 8)).save(out, "JPEG")
        await decoder.render(out.getvalue())
        before, begun = _status(decoder, "VmSize"), _seconds(decoder)
        await (decoder.display(data) if full else decoder.render(data))
        return _status(decoder, "VmPeak") - before, _seconds(decoder) - begun
    finally:
        await decoder.aclose()


def _status(decoder: Decoder, field: str) -> int:
    lines = Path(f"/proc/{decoder.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) * 1024


def _seconds(decoder: Decoder) -> float:
    """proc(5): utime and stime, in hundredths."""
    fields = Path(f"/proc/{decoder.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def main() -> None:
    print("| format | megapixels | for | MiB | foreseen | s |\n|---|---|---|---|---|---|")
    for megapixels in [int(one) for one in sys.argv[1:]] or [48]:
        width = int((megapixels * 1e6 * 4 / 3) ** 0.5)
        height = width * 3 // 4
        for name, kind, make in _files(width, height):
            try:
                data = make()
            except pyvips.Error:
                continue  # more than the format, or its encoder, takes
            for full in (False, True):
                header = Header(data, f"image/{kind}", width, height)
                kept = full and kind == "jpeg"
                foreseen = (rewriting(header) if kept else needed(header, full)) // MIB
                purpose = "full size" if full else "preview"
                try:
                    peak, seconds = await _measure(data, full)
                except Refused as refused:
                    print(f"| {name} | {megapixels} | {purpose} | {refused} | {foreseen} | |")
                    continue
                told = f"{peak // MIB} | {foreseen} | {seconds:.1f}"
                print(f"| {name} | {megapixels} | {purpose} | {told} |", flush=True)


if __name__ == "__main__":
    asyncio.run(main())

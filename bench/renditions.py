"""What the two renditions of a photo take, by format and size, against libvips alone."""

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median

import pyvips

from bench.compare import progress
from bench.context import Effort, Ground
from bench.processes import processor_seconds
from bench.report import Goal, Row
from photo_api.renditions.decoder import Decoder
from photo_api_client.photographs import heic

Take = Callable[[], Awaitable[float]]
"""Seconds of a processor for one file."""

RENDITIONS = Goal(0.95)
AS_OUR_CHILD = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "VIPS_CONCURRENCY": "1",
}


async def rendition_rows(_: Ground, effort: Effort) -> list[Row]:
    """Thumbnail and preview, with type, EXIF, checksum and placeholder, made by the decoder's
    child, against the same two by libvips in one decode. Either gets the file's bytes first, by its
    pipe or from the disk's cache. Rates are those of a processor that does nothing else."""
    rows = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        async with _raw() as raw:
            decoder = Decoder()
            try:
                for name, data in _files().items():
                    path = Path(folder) / name
                    path.write_bytes(data)
                    sides = partial(_ours, decoder, data), partial(_limit, raw, path)
                    rows.append(await _row(f"renditions-{name}", *sides, effort))
            finally:
                await decoder.aclose()
    return rows


async def _row(name: str, ours: Take, limit: Take, effort: Effort) -> Row:
    pairs = []
    for number in range(effort.rounds + 1):
        progress(f"{name}: round {number} of {effort.rounds}" if number else f"{name}: warming up")
        pairs.append((await ours(), await limit()))
    del pairs[0]
    ratios = [theirs / mine for mine, theirs in pairs]
    return Row(
        name,
        "per CPU s",
        1 / median(mine for mine, _ in pairs),
        1 / median(theirs for _, theirs in pairs),
        median(ratios),
        (min(ratios), max(ratios)),
        goal=RENDITIONS,
    )


async def _ours(decoder: Decoder, data: bytes) -> float:
    if decoder.pid is None:
        await decoder.render(data)
    assert decoder.pid is not None
    before = processor_seconds(decoder.pid)
    await decoder.render(data)
    return processor_seconds(decoder.pid) - before


async def _limit(raw: asyncio.subprocess.Process, path: Path) -> float:
    assert raw.stdin is not None
    assert raw.stdout is not None
    raw.stdin.write(f"{path}\n".encode())
    return float((await raw.stdout.readline()).split()[0])


@asynccontextmanager
async def _raw() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.raw_renditions"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | AS_OUR_CHILD,
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()  # with it, it ends
        await process.wait()


def _files() -> Mapping[str, bytes]:
    return {
        "jpeg-12mp": _picture(12).jpegsave_buffer(Q=90),
        "jpeg-24mp": _picture(24).jpegsave_buffer(Q=90),
        "png-12mp": _picture(12).pngsave_buffer(compression=6),
        "heic": heic(),
    }


def _picture(megapixels: int) -> pyvips.Image:
    """Soft shapes and grain, so that it compresses somewhat as a photo does."""
    width = int((megapixels * 1e6 * 4 / 3) ** 0.5)
    size = width, width * 3 // 4
    bands = [pyvips.Image.perlin(*size, cell_size=256) * 60 + 128 for _ in range(3)]
    grain = pyvips.Image.gaussnoise(*size, sigma=4, mean=0)
    picture = bands[0].bandjoin(bands[1:]) + grain
    return picture.cast("uchar").copy(interpretation="srgb").copy_memory()

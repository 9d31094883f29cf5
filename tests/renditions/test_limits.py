"""Decoding never takes more than is foreseen; what would take too much is refused in words."""

import io
import re
import resource
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pyvips
from PIL import Image

from photo_api.photos.formats import sniff
from photo_api.renditions import images, limits
from photo_api.renditions.decoder import DecodeLimits, Decoder, DecoderDied, Refused
from photo_api.renditions.heif_picture import read_picture
from photo_api.renditions.limits import Header
from tests import photographs
from tests.heif_boxes import Item, clap, coded, heif, ispe
from tests.photographs import cat, encode
from tests.quadrants import BRANDS

pillow_heif = pytest.importorskip("pillow_heif")

MIB, ENOUGH = 1 << 20, 16 << 30
WIDE, HIGH = 3000, 2000


@cache
def flat(width: int, height: int, bands: int = 3, depth: int = 8) -> Any:
    """One colour: what memory it takes to decode does not depend on what is to be seen."""
    picture = (pyvips.Image.black(width, height, bands=bands) + [200, 90, 40, 128][-bands:]).cast(
        "uchar" if depth == 8 else "ushort"
    )
    spaces = ("b-w", "srgb") if depth == 8 else ("grey16", "rgb16")
    return picture.copy(interpretation=spaces[bands > 2]).copy_memory()


def as_jpeg(bands: int = 3, **options: Any) -> bytes:
    data: bytes = flat(WIDE, HIGH, bands).jpegsave_buffer(**options)
    return data


def as_png(bands: int, depth: int, **options: Any) -> bytes:
    picture = flat(WIDE, HIGH, bands, depth)
    data: bytes = picture.pngsave_buffer(compression=1, bitdepth=depth, **options)
    return data


def as_webp(bands: int, **options: Any) -> bytes:
    data: bytes = flat(WIDE, HIGH, bands).webpsave_buffer(effort=0, **options)
    return data


def as_avif(bands: int, depth: int, subsampling: str) -> bytes:
    data: bytes = flat(WIDE, HIGH, bands, depth).heifsave_buffer(
        compression="av1", effort=0, bitdepth=depth, subsample_mode=subsampling, Q=40
    )
    return data


def as_heic(bands: int, depth: int, chroma: int, **options: Any) -> bytes:
    size = options.pop("size", (WIDE, HIGH))
    pixels = flat(*size, bands, depth).write_to_memory()
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[bands] + (";16" if depth > 8 else "")
    file = pillow_heif.from_bytes(mode=mode, size=size, data=pixels)
    out = io.BytesIO()
    file.save(out, quality=30, chroma=chroma, enc_params={"preset": "ultrafast"}, **options)
    return out.getvalue()


def in_tiles(kind: bytes, size: tuple[int, int], tile: bytes, each: tuple[int, int]) -> bytes:
    """A picture of this size, made of 2 by 2 tiles or of as few as it takes."""
    across, down = -(-size[0] // each[0]), -(-size[1] // each[1])
    layout = bytes([0, 0, down - 1, across - 1]) + struct.pack(">HH", *size)
    tiles = range(2, 2 + across * down)
    items = {1: Item(b"grid", layout, [ispe(*size)])} | dict.fromkeys(
        tiles, coded(tile)._replace(hidden=True)
    )
    return heif(items, [(b"dimg", 1, list(tiles))], BRANDS[kind])


def cropped(data: bytes) -> bytes:
    """To a hundredth of it and less."""
    item = coded(data)
    return heif({1: item._replace(properties=[*item.properties, clap(64, 64, (0, 1), (0, 1))])})


def moving(kind: str, count: int) -> bytes:
    size = WIDE // 2, HIGH // 2
    frames = [
        Image.frombytes("RGB", size, flat(*size).write_to_memory()).rotate(30 * turn)
        for turn in range(count)
    ]
    options = {"method": 0} if kind == "WEBP" else {}
    return encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)


FILES: dict[str, Callable[[], bytes]] = {
    "progressive jpeg": lambda: as_jpeg(interlace=True, subsample_mode="off"),
    "deep transparent interlaced png": lambda: as_png(4, 16, interlace=True),
    "webp": lambda: as_webp(3),
    "transparent lossless webp": lambda: as_webp(4, lossless=True),
    "gif": lambda: encode(Image.new("RGB", (WIDE, HIGH)), "GIF"),
    "moving webp": lambda: moving("WEBP", 4),
    "deep avif": lambda: as_avif(3, 10, "off"),
    "deep heic": lambda: as_heic(3, 10, 444),
}
PQ = {"color_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9}
MORE: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: as_jpeg(subsample_mode="off"),
    "half a jpeg": lambda: half(as_jpeg()),
    "half a progressive jpeg": lambda: half(as_jpeg(interlace=True)),
    "grey progressive jpeg": lambda: as_jpeg(1, interlace=True),
    "png": lambda: as_png(3, 8),
    "deep grey png": lambda: as_png(1, 16),
    "transparent png": lambda: as_png(4, 8),
    "transparent interlaced png": lambda: as_png(4, 8, interlace=True),
    "palette png": lambda: as_png(3, 8, palette=True, effort=1),
    "one bit png": lambda: photographs.png(9000, 9000, photographs.zeros(9000 * 1126), (1, 0)),
    "progressive jpeg with a profile": lambda: as_jpeg(interlace=True, profile="p3"),
    "deep transparent png with a profile": lambda: as_png(4, 16, profile="p3"),
    "transparent png with a profile": lambda: as_png(4, 8, profile="p3"),
    "transparent webp with a profile": lambda: as_webp(4, profile="p3"),
    "heic in tiles": lambda: in_tiles(
        b"hvc1", (WIDE, HIGH), as_heic(3, 8, 444, size=(1500, 1000)), (1500, 1000)
    ),
    "a little of a heic's only tile": lambda: in_tiles(
        b"hvc1", (64, 64), as_heic(3, 10, 444), (WIDE, HIGH)
    ),
    "a little of an avif's only tile": lambda: in_tiles(
        b"av01", (64, 64), encode(Image.new("RGB", (WIDE, HIGH)), "AVIF", speed=10), (WIDE, HIGH)
    ),
    "cropped heic": lambda: cropped(as_heic(3, 8, 444)),
    "bright heic": lambda: as_heic(4, 10, 444, **PQ),
    "lossless webp": lambda: as_webp(3, lossless=True),
    "transparent webp": lambda: as_webp(4),
    "moving gif": lambda: moving("GIF", 6),
    "avif": lambda: as_avif(3, 8, "on"),
    "transparent avif": lambda: as_avif(4, 8, "off"),
    "deep transparent avif": lambda: as_avif(4, 12, "off"),
    "heic": lambda: as_heic(3, 8, 420),
    "transparent heic": lambda: as_heic(4, 8, 444),
    "deep transparent heic": lambda: as_heic(4, 10, 444),
}


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def foreseen(data: bytes, full: bool) -> int:
    content_type = sniff(data[:64])
    assert content_type
    if content_type in ("image/heic", "image/heif"):
        picture = read_picture(data)
        assert picture
        assert picture.coded
        return limits.needed(Header(data, content_type, *picture.coded), full)
    image = images.load(data, content_type, fail_on="none")
    header = Header(data, content_type, image.width, image.height)
    frames = images.field(image, "n-pages") or 1
    if full and frames > 1:
        return limits.animation(header, frames)
    return limits.needed(header, full)


def memory(decoder: Decoder, field: str) -> int:
    status = Path(f"/proc/{decoder.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith(f"{field}:"))


@asynccontextmanager
async def allowed(count: int) -> AsyncIterator[Decoder]:
    decoder = Decoder(DecodeLimits(memory_bytes=count, cpu_seconds=120, keep_bytes=4 << 30))
    try:
        await decoder.render(encode(cat(), "JPEG"))
        yield decoder
    finally:
        await decoder.aclose()


async def exceeded(files: dict[str, Callable[[], bytes]]) -> list[str]:
    """What could not be decoded in just as much memory as is foreseen for it."""
    found = []
    async with allowed(ENOUGH) as decoder:
        for name, make in files.items():
            data = make()
            for full in (False, True):
                bound = foreseen(data, full)
                try:
                    confine(decoder, bound)
                    await (decoder.display(data) if full else decoder.render(data))
                except (DecoderDied, Refused) as error:
                    found.append(f"{name}, {full=}, {bound // MIB} MiB: {error}")
                    await decoder.render(encode(cat(), "JPEG"))
    return found


def confine(decoder: Decoder, room: int) -> None:
    """Leave the child so many bytes above what it has."""
    assert decoder.pid
    limit = memory(decoder, "VmSize") + room
    resource.prlimit(decoder.pid, resource.RLIMIT_AS, (limit, ENOUGH))


async def test_no_picture_takes_more_than_is_foreseen() -> None:
    assert await exceeded(FILES) == []


@pytest.mark.slow
async def test_no_picture_of_any_kind_takes_more_than_is_foreseen() -> None:
    assert await exceeded(MORE) == []


@pytest.mark.parametrize("full", [False, True])
async def test_what_takes_too_much_is_told_what_it_takes_and_what_would_do(full: bool) -> None:
    data = photographs.png(20_000, 9_000, b"x")
    async with allowed(512 * MIB) as decoder:
        with pytest.raises(Refused) as refused:
            await (decoder.display(data) if full else decoder.render(data))
        assert refused.value.reason == "too_many_pixels"
        told = re.fullmatch(
            r"20000 × 9000 pixels \(png\) take (\d+) MiB to decode, (\d+) MiB are there for it;"
            r" PHOTO_API_DECODE_MEMORY=(\d+) would do\.",
            str(refused.value),
        )
        assert told
        assert int(told[1]) > int(told[2]) > 512 - 64 - 130
    # It does: now the file itself is at fault.
    async with allowed(int(told[3])) as decoder:
        with pytest.raises(Refused) as refused:
            await (decoder.display(data) if full else decoder.render(data))
        assert refused.value.reason == "corrupt"


async def test_no_format_of_ours_holds_more_than_65500_pixels_on_a_side() -> None:
    data = photographs.png(65_501, 10, photographs.zeros(10 * (3 * 65_501 + 1)))
    async with allowed(1 << 30) as decoder:
        assert (await decoder.render(data)).width == 65_501
        with pytest.raises(Refused, match="more than 65,500 on one side") as refused:
            await decoder.display(data)
    assert refused.value.reason == "too_many_pixels"


async def test_a_large_jpeg_takes_little_unless_it_is_progressive() -> None:
    """A header that tells of 200 million pixels is believed; the rest of the picture is grey."""

    def inflated(marker: bytes, data: bytes) -> bytes:
        at = data.index(marker) + 5
        return data[:at] + struct.pack(">HH", 12_240, 16_320) + data[at + 4 :]

    async with allowed(512 * MIB) as decoder:
        assert (await decoder.render(inflated(b"\xff\xc0", as_jpeg()))).width == 16_320
        with pytest.raises(Refused) as refused:
            await decoder.render(inflated(b"\xff\xc2", as_jpeg(interlace=True)))
        assert refused.value.reason == "too_many_pixels"


def test_scans_of_one_colour_each_are_held_like_a_progressive_jpeg() -> None:
    data = encode(cat(), "JPEG", subsampling=0)
    at = data.index(b"\xff\xda")
    assert not limits.frame_blocks(data).held
    one = data[:at] + b"\xff\xda\0\x08\x01\x01\0\0\x3f\0" + data[at + 14 :]
    assert limits.frame_blocks(one).held
    assert limits.frame_blocks(one).blocks == 57 * 38 * 3


@pytest.mark.slow
@pytest.mark.parametrize("size", [(12_000, 9_000), (16_320, 12_240)])
@pytest.mark.parametrize("options", [{}, {"subsample_mode": "off"}, {"interlace": True}])
async def test_the_largest_phones_pictures_are_shown(
    size: tuple[int, int], options: dict[str, Any]
) -> None:
    """With the default settings, at all sizes."""
    data = flat(*size).jpegsave_buffer(Q=60, **options)
    async with allowed(2 << 30) as decoder:
        rendered = await decoder.render(data)
        assert (rendered.width, rendered.height) == size
        assert Image.open(io.BytesIO(rendered.preview)).size == (1440, 1080)
        shown = await decoder.display(data)
        assert shown.content_type == "image/jpeg"
        assert len(shown.data) == pytest.approx(len(data), rel=0.01)


@pytest.mark.slow
async def test_a_heic_of_50_megapixels_is_shown_in_full() -> None:
    """With the default settings, and with all that such a file may have."""
    data = as_heic(3, 8, 420, size=(8192, 6144))
    async with allowed(2 << 30) as decoder:
        assert (await decoder.render(data)).width == 8192
        assert Image.open(io.BytesIO((await decoder.display(data)).data)).size == (8192, 6144)
    deep = Header(as_heic(4, 10, 444), "image/heic", 8192, 6144)
    assert limits.needed(deep, full=True) < (2 << 30) - 200 * MIB

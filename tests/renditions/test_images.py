"""What comes out of a decode, for good files and for bad ones, asked of the real child."""

import hashlib
import io
import re
from typing import Any

import pytest
from PIL import Image, ImageChops

from photo_api.renditions.decoder import Decoder, Refused
from tests import photographs
from tests.photographs import Shot, animation, cat, encode, exif_block, good, heic, jpeg


def decoded(webp: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(webp))
    image.load()
    assert image.format == "WEBP"
    return image


def difference(first: Image.Image, second: Image.Image) -> float:
    """Mean difference of a channel, 0 to 255."""
    pixels = ImageChops.difference(first.convert("RGB"), second.convert("RGB"))
    histogram = pixels.convert("L").histogram()
    return sum(value * count for value, count in enumerate(histogram)) / sum(histogram)


@pytest.mark.parametrize("name", good())
async def test_every_kind_gives_both_sizes(decoder: Decoder, name: str) -> None:
    content_type, data = good()[name]
    rendered = await decoder.render(data)
    assert rendered.content_type == content_type
    assert (rendered.width, rendered.height, rendered.frames) == (451, 300, 1)
    assert rendered.sha256 == hashlib.sha256(data).digest()
    assert len(rendered.blurhash) == 28
    thumbnail, preview = decoded(rendered.thumbnail), decoded(rendered.preview)
    assert thumbnail.size == (320, 213)
    assert preview.size == (451, 300)
    assert preview.mode == ("RGBA" if "transparent" in name else "RGB")
    colourless = "grey" in name or "one bit" in name
    assert difference(thumbnail, cat().resize((320, 213))) < (60 if colourless else 30)


@pytest.mark.parametrize("name", ["transparent png", "transparent webp", "transparent avif"])
async def test_transparency_stays(decoder: Decoder, name: str) -> None:
    thumbnail = decoded((await decoder.render(good()[name][1])).thumbnail)
    pixel: Any = thumbnail.getpixel((100, 100))
    assert abs(pixel[3] - 128) < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(451, 300), (3006, 2000)])
async def test_pictures_stand_upright(
    decoder: Decoder, orientation: int, size: tuple[int, int]
) -> None:
    upright = cat().resize(size)
    rendered = await decoder.render(jpeg(upright, Shot(orientation=orientation)))
    assert (rendered.width, rendered.height) == size
    assert rendered.exif["orientation"] == orientation
    assert difference(decoded(rendered.thumbnail), upright.resize((320, 213))) < 8


async def test_large_pictures_shrink_and_small_ones_do_not_grow(decoder: Decoder) -> None:
    large = await decoder.render(jpeg(cat().resize((6000, 4000))))
    assert decoded(large.preview).size == (1440, 960)
    wide = await decoder.render(jpeg(cat().resize((12_000, 40))))
    assert decoded(wide.preview).size == (1440, 5)
    assert decoded(wide.thumbnail).size == (320, 1)
    tiny = await decoder.render(encode(cat().resize((1, 1)), "PNG"))
    assert decoded(tiny.preview).size == decoded(tiny.thumbnail).size == (1, 1)


@pytest.mark.parametrize(
    ("kind", "size"),
    [("PNG", (1_000_000, 48)), ("JPEG", (60_000, 3)), ("WEBP", (1, 16_000)), ("WEBP", (16_000, 8))],
)
async def test_of_a_strip_there_is_always_something_to_see(
    decoder: Decoder, kind: str, size: tuple[int, int]
) -> None:
    rendered = await decoder.render(encode(Image.new("RGB", size, "red"), kind))
    assert (rendered.width, rendered.height) == size
    assert max(decoded(rendered.preview).size) == 1440
    assert max(decoded(rendered.thumbnail).size) == 320


@pytest.mark.parametrize("profile", ["", "p3"])
async def test_colours_are_turned_into_srgb(decoder: Decoder, profile: str) -> None:
    data = photographs.plain((200, 40, 40), profile)
    pixel: Any = decoded((await decoder.render(data)).preview).getpixel((30, 30))
    assert max(abs(got - wanted) for got, wanted in zip(pixel, (200, 40, 40), strict=True)) < 5


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
async def test_a_broken_profile_is_ignored(decoder: Decoder, mode: str) -> None:
    picture = cat().convert(mode)
    rendered = await decoder.render(encode(picture, "JPEG", icc_profile=b"x" * 400))
    assert difference(decoded(rendered.preview), picture) < 30


@pytest.mark.parametrize("mode", ["L", "CMYK"])
async def test_a_profile_of_another_colour_space_is_ignored(decoder: Decoder, mode: str) -> None:
    picture = cat().convert(mode)
    profile = Image.open(io.BytesIO(photographs.plain((1, 2, 3), "p3"))).info["icc_profile"]
    rendered = await decoder.render(encode(picture, "JPEG", icc_profile=profile))
    assert difference(decoded(rendered.preview), picture) < 30


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
async def test_exif_is_read_and_goes_into_no_rendition(decoder: Decoder, kind: str) -> None:
    shot = Shot("2024:05:17 14:03:22", "+09:00", (-33.8568, 151.2153, 5.0))
    rendered = await decoder.render(encode(cat(), kind, exif=exif_block(shot)))
    assert rendered.exif["taken_at"] == "2024-05-17T14:03:22+09:00"
    assert rendered.exif["latitude"] == -33.8568
    for image in (rendered.thumbnail, rendered.preview):
        assert not decoded(image).getexif()
        assert b"EXIF" not in image
        assert b"FUJIFILM" not in image


async def test_heic_is_drawn_and_has_its_exif(decoder: Decoder) -> None:
    rendered = await decoder.render(heic())
    assert rendered.exif["camera"] == "Apple iPhone 15 Pro"
    assert rendered.exif["taken_at"] == "2024-10-09T17:45:10+09:00"


async def test_garbage_exif_costs_only_the_exif(decoder: Decoder) -> None:
    rendered = await decoder.render(encode(cat(), "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 300))
    assert rendered.exif == {}


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
async def test_of_an_animation_only_the_first_frame_is_drawn(decoder: Decoder, kind: str) -> None:
    rendered = await decoder.render(animation(kind, 12))
    assert rendered.frames == 12
    assert (rendered.width, rendered.height) == (300, 200)
    still = cat().resize((300, 200)).rotate(-15)
    assert difference(decoded(rendered.preview), still) < 12


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100,
        b"<svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/></svg>",
        b"<!doctype html><script>alert(1)</script>",
        b"II*\0" + bytes(200),
        b"%!PS-Adobe-3.0",
    ],
)
async def test_what_is_no_image_is_refused(decoder: Decoder, data: bytes) -> None:
    with pytest.raises(Refused) as refused:
        await decoder.render(data)
    assert refused.value.reason == "not_an_image"
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg"])
async def test_a_cut_jpeg_is_shown_as_far_as_it_goes(decoder: Decoder, name: str) -> None:
    data = good()[name][1]
    rendered = await decoder.render(data[: int(len(data) * 0.6)])
    assert (rendered.fault, rendered.width, rendered.height) == ("truncated", 451, 300)
    above = (0, 0, 451, 140)
    assert difference(decoded(rendered.preview).crop(above), cat().crop(above)) < 10
    below = decoded(rendered.preview).crop((0, 280, 451, 300)).convert("L").getextrema()
    assert name != "jpeg" or int(str(below[1])) - int(str(below[0])) < 8
    shown = decoded_display((await decoder.display(data[: int(len(data) * 0.6)])).data)
    assert difference(shown.crop(above), cat().crop(above)) < 10
    assert (await decoder.render(data)).fault is None


async def test_a_jpeg_that_is_cut_within_a_header_is_shown_as_well(decoder: Decoder) -> None:
    data = encode(cat().resize((60, 40)), "JPEG", progressive=True)
    headers = [found.end() for found in re.finditer(rb"\xff[\xc4\xda]", data)]
    picture = data.index(b"\xff\xda") + 2 + int.from_bytes(data[data.index(b"\xff\xda") + 2 :][:2])
    for end in (start + more for start in headers for more in (0, 1, 2, 3, 7)):
        if end > picture:
            assert (await decoder.render(data[:end])).fault in ("truncated", None), end
            continue
        with pytest.raises(Refused) as refused:
            await decoder.render(data[:end])
        assert refused.value.reason == "truncated", end


def decoded_display(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


async def test_a_jpeg_without_any_picture_is_refused(decoder: Decoder) -> None:
    data = jpeg(cat())
    with pytest.raises(Refused) as refused:
        await decoder.render(data[: data.index(b"\xff\xda")])
    assert refused.value.reason in ("truncated", "corrupt")


@pytest.mark.parametrize("name", ["png", "gif", "webp", "avif", "heic"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
async def test_a_cut_file_is_refused(decoder: Decoder, name: str, part: float) -> None:
    data = good()[name][1]
    with pytest.raises(Refused) as refused:
        await decoder.render(data[: int(len(data) * part)])
    assert refused.value.reason == "truncated"


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "png", "gif", "webp", "avif", "heic"])
async def test_a_cut_file_tells_its_size_and_its_camera(decoder: Decoder, name: str) -> None:
    shot = Shot("2024:05:17 14:03:22", "+09:00")
    kind = name.split()[-1].upper()
    if name == "heic":
        data = heic()
    else:
        options = {} if kind == "GIF" else {"exif": exif_block(shot)}
        data = encode(cat(), kind, progressive="progressive" in name, **options)
    facts = await decoder.describe(data[: int(len(data) * 0.7)])
    assert (facts.width, facts.height) == (451, 300)
    assert facts.content_type == f"image/{kind.lower()}"
    # A GIF has no EXIF, and that of a WebP, and of our HEIC, comes last.
    camera = "FUJIFILM X-T5" if kind in ("JPEG", "PNG", "AVIF") else None
    assert facts.exif.get("camera") == camera


async def test_what_has_too_many_pixels_tells_how_many(decoder: Decoder) -> None:
    facts = await decoder.describe(photographs.png(50_000, 40_000, photographs.zeros(100)))
    assert (facts.width, facts.height) == (50_000, 40_000)


async def test_noise_tells_nothing_but_its_hash(decoder: Decoder) -> None:
    data = b"\xff\xd8\xff\xe0" + hashlib.shake_128(b"noise").digest(5000)
    facts = await decoder.describe(data)
    assert (facts.width, facts.height, facts.exif) == (None, None, {})
    assert facts.sha256 == hashlib.sha256(data).digest()


@pytest.mark.parametrize("cut", [1, 2])
async def test_a_jpeg_without_its_end_marker_is_accepted(decoder: Decoder, cut: int) -> None:
    rendered = await decoder.render(jpeg(cat())[:-cut])
    assert difference(decoded(rendered.preview), cat()) < 8


async def test_bytes_after_the_end_do_no_harm(decoder: Decoder) -> None:
    assert (await decoder.render(jpeg(cat()) + b"\0" * 5000)).width == 451


@pytest.mark.parametrize("head", [b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
async def test_noise_behind_a_magic_number_is_refused(decoder: Decoder, head: bytes) -> None:
    with pytest.raises(Refused) as refused:
        await decoder.render(head + hashlib.shake_128(b"noise").digest(5000))
    assert refused.value.reason in ("corrupt", "truncated", "too_many_pixels")


@pytest.mark.parametrize("size", [(50_000, 50_000), (20_000_000, 20_000_000), (2**31 - 1, 1)])
async def test_a_header_that_promises_too_much_is_believed(
    decoder: Decoder, size: tuple[int, int]
) -> None:
    with pytest.raises(Refused) as refused:
        await decoder.render(photographs.png(*size, photographs.zeros(100)))
    assert refused.value.reason == "too_many_pixels"


async def test_a_real_bomb_is_refused_unopened(decoder: Decoder) -> None:
    bomb = photographs.png(50_000, 50_000, photographs.zeros(30_000_000))
    with pytest.raises(Refused) as refused:
        await decoder.render(bomb)
    assert refused.value.reason == "too_many_pixels"


async def test_a_header_that_promises_too_little_is_held_to_it(decoder: Decoder) -> None:
    rendered = await decoder.render(photographs.png(100, 100, photographs.zeros(30_000_000)))
    assert (rendered.width, rendered.height) == (100, 100)

"""What visitors see of a photo at full size: the picture, and nothing written beside it."""

import io
import struct
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from photo_api.renditions.decoder import Decoder, Displayable, Refused
from photo_api.renditions.jpeg import UnusualJpeg, without_metadata
from tests.fuzzing import fuzzed
from tests.photographs import (
    Shot,
    animation,
    cat,
    deep_png,
    encode,
    exif_block,
    good,
    heic,
    jpeg,
    png,
    zeros,
)  # fmt: skip
from tests.renditions.test_images import difference

SECRET = b"37.2411 N 131.8647 E, at home"
PLACE = Shot(place=(37.2411, 131.8647, 98.0))
PROFILE: bytes = (
    pyvips.Image.black(1, 1, bands=3)
    .copy(interpretation="srgb")
    .icc_transform("p3", input_profile="srgb")
    .get("icc-profile-data")
)


def opened(file: Displayable) -> Image.Image:
    image = Image.open(io.BytesIO(file.data))
    image.load()
    assert image.get_format_mimetype() == file.content_type
    return image


def segment(code: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, code, len(content) + 2) + content


TELLING = {
    "exif": segment(0xE1, exif_block(PLACE) + SECRET),
    "xmp": segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x>" + SECRET),
    "iptc": segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0" + SECRET),
    "comment": segment(0xFE, SECRET),
    "more pictures": segment(0xE2, b"MPF\0" + SECRET),
    "a thumbnail of JFIF": segment(
        0xE0, b"JFIF\0\1\1\0\0\1\0\1" + bytes((10, 1)) + SECRET.ljust(30)
    ),
    "a thumbnail beside JFIF": segment(0xE0, b"JFXX\0\x10" + SECRET),
    "a longer APP14": segment(0xEE, b"Adobe\0\x64\0\0\0\0\1" + SECRET),
    "a profile that is none": segment(0xE2, b"ICC_PROFILE\0\1\1" + SECRET),
    "more behind a profile": segment(0xE2, b"ICC_PROFILE\0\1\1" + PROFILE + SECRET),
    "a profile's second part": segment(0xE2, b"ICC_PROFILE\0\2\2" + SECRET),
    "an APP14 of somebody else": segment(0xEE, SECRET),
    "an unknown one": segment(0xEB, SECRET),
}
ODD = {
    "a longer restart interval": segment(0xDD, b"\0\0" + SECRET),
    "tables with more behind them": segment(0xDB, b"\1" + bytes(range(1, 65)) + SECRET),
    "a reserved one": segment(0xF7, SECRET),
}


async def test_a_jpeg_that_browsers_do_not_show_is_coded_anew(decoder: Decoder) -> None:
    data = jpeg(cat())
    at = data.index(b"\xff\xc0")
    arithmetic = data[: at + 1] + b"\xc9" + data[at + 2 :]
    assert opened(await decoder.display(arithmetic)).size == cat().size
    deep = data[: at + 1] + b"\xc1" + data[at + 2 : at + 4] + b"\x0c" + data[at + 5 :]
    lossless = data[: at + 1] + b"\xc3" + data[at + 2 :]
    for other in (deep, lossless):
        with pytest.raises(Refused) as refused:
            await decoder.display(other)
        assert refused.value.reason == "unsupported"


async def test_every_kind_is_shown_at_full_size(decoder: Decoder) -> None:
    for name, (content_type, data) in good().items():
        shown = await decoder.display(data)
        image = opened(shown)
        assert image.size == (451, 300), name
        assert ("transparent" in name) == (image.mode == "RGBA"), name
        if content_type == "image/jpeg":
            assert shown == Displayable("image/jpeg", data), "there was nothing to leave out"
            continue
        assert shown.content_type == "image/webp"
        # The one-bit picture is made of dots.
        assert name == "one bit png" or difference(image, cat()) < 60, name


async def test_nothing_rides_along_in_a_jpeg(decoder: Decoder) -> None:
    for name, kind in product(TELLING, ("jpeg", "progressive jpeg")):
        data = good()[kind][1]
        shown = await decoder.display(data[:2] + TELLING[name] + data[2:] + SECRET)
        image = opened(shown)
        assert SECRET not in shown.data, name
        assert not image.getexif(), name
        assert name == "a longer APP14" or image.tobytes() == pixels(data), name


async def test_what_is_no_jpeg_of_the_book_is_coded_anew_or_refused(decoder: Decoder) -> None:
    data = good()["jpeg"][1]
    for name, strange in ODD.items():
        odd = data[:2] + strange + data[2:]
        with pytest.raises(UnusualJpeg):
            without_metadata(odd, 1)
        with suppress(Refused):
            assert SECRET not in (await decoder.display(odd)).data, name


def test_what_the_picture_needs_stays_as_it_is() -> None:
    profile = segment(0xE2, b"ICC_PROFILE\0\1\1" + PROFILE)
    plain = good()["cmyk jpeg"][1]
    shown = without_metadata(plain[:2] + profile + TELLING["xmp"] + plain[2:], 1)
    before, after = (Image.open(io.BytesIO(data)) for data in (plain, shown))
    assert after.info["icc_profile"] == PROFILE
    assert after.info["adobe_transform"] == before.info["adobe_transform"]
    assert after.tobytes() == before.tobytes()


async def test_pictures_stand_as_before(decoder: Decoder) -> None:
    for orientation in range(1, 9):
        original = jpeg(cat(), Shot(place=PLACE.place, orientation=orientation))
        shown = opened(await decoder.display(original))
        assert dict(shown.getexif()) == ({274: orientation} if orientation != 1 else {})
        assert shown.tobytes() == pixels(original)


async def test_comments_between_the_scans_are_left_out(decoder: Decoder) -> None:
    data = good()["progressive jpeg"][1]
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 2)
    shown = await decoder.display(data[:second] + TELLING["comment"] + data[second:])
    assert shown.data == data


async def test_other_kinds_lose_what_they_tell(decoder: Decoder) -> None:
    for kind in ("PNG", "WEBP", "AVIF", "HEIC"):
        data = heic() if kind == "HEIC" else encode(cat(), kind, exif=exif_block(PLACE))
        assert (await decoder.render(data)).exif["latitude"]
        shown = await decoder.display(data)
        assert (await decoder.render(shown.data)).exif == {}, kind
        assert b"EXIF" not in shown.data, kind
        assert difference(opened(shown), cat()) < 30, kind


async def test_an_animation_stays_one(decoder: Decoder) -> None:
    for kind in ("GIF", "WEBP"):
        image = opened(await decoder.display(animation(kind, 5)))
        assert (image.size, getattr(image, "n_frames", 1)) == ((300, 200), 5)


async def test_what_webp_cannot_hold_becomes_a_jpeg(decoder: Decoder) -> None:
    """It ends at 16,383 pixels a side, and is of little use above 24 megapixels."""
    for width, height, kind in (
        (16_383, 2, "WEBP"), (16_384, 2, "JPEG"), (6000, 4000, "WEBP"), (6000, 4001, "JPEG"),
    ):  # fmt: skip
        one_bit = png(width, height, zeros(height * (-(-width // 8) + 1)), (1, 0))
        image = opened(await decoder.display(one_bit))
        assert (image.format, image.size) == (kind, (width, height))


async def test_a_jpeg_that_ends_too_early(decoder: Decoder) -> None:
    data = jpeg(cat())
    image = opened(await decoder.display(data[:-2]))
    assert image.size == (451, 300), "some cameras leave the end out"
    half = opened(await decoder.display(data[: len(data) // 2]))
    assert half.size == (451, 300), "what there is, as browsers show it"
    with pytest.raises(Refused, match="ends before"):
        await decoder.display(data[: data.index(b"\xff\xda")])
    with pytest.raises(Refused):
        await decoder.display(b"no image")


async def test_a_deep_picture_is_shown_in_eight_bits(decoder: Decoder) -> None:
    assert opened(await decoder.display(deep_png("grey16"))).mode == "RGB"


codes = st.sampled_from([*range(0xE0, 0xF0), 0xFE, 0xDD, 0xDB, 0xC4, 0xF0, 0x01, 0xD0])


@fuzzed(60)
@given(
    segments=st.lists(st.tuples(codes, st.binary(max_size=40)), max_size=6),
    cut=st.integers(0, 5),
    kind=st.sampled_from(["jpeg", "progressive jpeg", "grey jpeg", "cmyk jpeg"]),
)
def test_whatever_is_put_in_is_gone_or_refused(
    segments: list[tuple[int, bytes]], cut: int, kind: str
) -> None:
    data = good()[kind][1]
    strange = b"".join(segment(code, SECRET + content) for code, content in segments)
    try:
        shown = without_metadata(data[:2] + strange + data[2 : len(data) - cut], 1)
    except UnusualJpeg:
        return
    assert SECRET not in shown
    assert pixels(shown) == pixels(data)


@fuzzed(100)
@given(data=st.binary(max_size=400), start=st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xda"]))
def test_garbage_is_odd(data: bytes, start: bytes) -> None:
    with suppress(UnusualJpeg):
        without_metadata(start + data, 1)


def pixels(data: bytes) -> Any:
    return Image.open(io.BytesIO(data)).tobytes()

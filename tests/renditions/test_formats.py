"""The type is told by the bytes."""

import random

import pytest

from photo_api.photos.formats import ACCEPTED_TYPES, EXTENSIONS, SNIFF_LENGTH, sniff
from tests.photographs import animation, good


@pytest.mark.parametrize("name", good())
def test_each_kind_is_recognised_by_its_head(name: str) -> None:
    content_type, data = good()[name]
    assert sniff(data[:SNIFF_LENGTH]) == content_type


def test_animations_are_of_their_still_types() -> None:
    assert sniff(animation("GIF", 2)) == "image/gif"
    assert sniff(animation("WEBP", 2)) == "image/webp"


@pytest.mark.parametrize(
    ("major", "compatible", "expected"),
    [
        (b"heic", b"mif1heic", "image/heic"),
        (b"mif1", b"mif1heic", "image/heic"),
        (b"mif1", b"mif1avif", "image/avif"),
        (b"mif1", b"mif1", "image/heif"),
        (b"avis", b"", "image/avif"),
        (b"mp42", b"mp41isom", None),
        (b"isom", b"avif", None),
        (b"qt  ", b"", None),
    ],
)
def test_ftyp_brands(major: bytes, compatible: bytes, expected: str | None) -> None:
    box = b"ftyp" + major + b"\0\0\0\0" + compatible
    assert sniff((len(box) + 4).to_bytes(4, "big") + box + b"avifheic") == expected


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!doctype html><title>photo.jpg</title>",
        b"BM" + bytes(60),
        b"II*\0" + bytes(60),
        b"RIFF\0\0\0\0WAVEfmt ",
        b"%PDF-1.7",
        b"\0\0\0\x18ftyp",
    ],
)
def test_nothing_else_is_an_image(head: bytes) -> None:
    assert sniff(head) is None


def test_any_bytes_have_an_answer() -> None:
    chance = random.Random(1)
    for _ in range(2000):
        head = chance.randbytes(chance.randrange(40))
        assert sniff(b"\0\0\0\x20ftypmif1" + head) in ACCEPTED_TYPES


def test_every_accepted_type_has_an_extension() -> None:
    assert set(EXTENSIONS) == ACCEPTED_TYPES
    assert all(extension.startswith(".") for extension in EXTENSIONS.values())

"""The demo's photographs: real pictures in every accepted format, each with something to see."""

import importlib.util
import io
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from PIL import Image

from photo_api_client.exif import Camera, Shot, as_stored, exif_block

CATS, SPACE, FORMATS, TURNED = "고양이와 커피", "Space", "Formats", "Turned"

_SEOUL = (37.5512, 126.9882, 262.0)
_SYDNEY = (-33.8568, 151.2153, 5.0)
_CAPE = (28.6083, -80.6041, 3.0)
_DEAD_SEA = (31.5590, 35.4732, -430.5)

_CANON = Camera("Canon", "Canon EOS R5", "RF50mm F1.2 L USM")
_SAMSUNG = Camera("samsung", "SM-S928N", "Galaxy S24 Ultra Rear Camera")
_NIKON = Camera("NIKON CORPORATION", "NIKON D800", "AF-S 70-200mm f/2.8G")


class NoPictures(Exception):
    """The package that brings the pictures (scikit-image) is not installed."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """A file to upload. `shows` says what to look at when it is there."""

    album: str
    filename: str
    content_type: str
    data: bytes
    title: str
    shows: str


def picture(name: str) -> Image.Image:
    """One of scikit-image's pictures, in RGB; scikit-image itself is never imported.

    Raises `NoPictures`.
    """
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise NoPictures("the pictures come with scikit-image: pip install --no-deps scikit-image")
    with Image.open(Path(found.origin).parent / "data" / name) as image:
        return image.convert("RGB")


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The image as a file of Pillow's format `kind`, "JPEG" for example."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(image: Image.Image, shot: Shot | None = None) -> bytes:
    """A JPEG; with a shot, its EXIF and its pixels turned as the orientation asks."""
    if shot is None:
        return encode(image, "JPEG", quality=90)
    stored = as_stored(image, shot.orientation)
    return encode(stored, "JPEG", quality=90, exif=exif_block(shot))


def heic() -> bytes:
    """A HEIC with EXIF; pictures/README.md says where it comes from."""
    return files("photo_api_client").joinpath("pictures/chelsea.heic").read_bytes()


def animation(kind: str, frames: int = 12) -> bytes:
    """Chelsea looking round, as an animated GIF or WEBP."""
    cat = picture("chelsea.png").resize((300, 200))
    turns = [cat.rotate(30 * turn / frames - 15) for turn in range(frames)]
    return encode(turns[0], kind, save_all=True, append_images=turns[1:], duration=80, loop=0)


def photographs() -> Iterator[Photograph]:
    """All of them, made one after another. Raises `NoPictures`."""
    yield from _cats()
    yield from _space()
    yield from _formats()
    yield from _turned()


def _jpeg(album: str, name: str, title: str, shot: Shot | None, shows: str) -> Photograph:
    stem = Path(name).stem
    return Photograph(album, f"{stem}.jpg", "image/jpeg", jpeg(picture(name), shot), title, shows)


def _cats() -> Iterator[Photograph]:
    shot = Shot("2024:05:17 14:03:22", "+09:00", _SEOUL)
    yield _jpeg(CATS, "chelsea.png", "고양이 첼시", shot, "Hangul title, date with offset, N and E")
    shot = Shot("2023:11:02 08:15:00", "+11:00", _SYDNEY, camera=_CANON)
    yield _jpeg(CATS, "coffee.png", "아침 커피", shot, "south of the equator")
    large = picture("coffee.png").resize((4032, 2688), Image.Resampling.LANCZOS)
    phone = Shot("2024:08:15 12:00:00", None, camera=_SAMSUNG)
    yield Photograph(
        CATS, "커피 한 잔.jpg", "image/jpeg", jpeg(large, phone), "커피, 크게",
        "11 megapixels; Hangul file name; date without an offset",
    )  # fmt: skip


def _space() -> Iterator[Photograph]:
    shot = Shot("2014:04:18 15:25:00", "-04:00", _CAPE, camera=_NIKON)
    yield _jpeg(SPACE, "rocket.jpg", "Rocket", shot, "west of Greenwich")
    yield _jpeg(SPACE, "astronaut.png", "Eileen Collins", None, "no EXIF at all")
    yield _jpeg(SPACE, "hubble_deep_field.jpg", "Hubble deep field", None, "many small details")
    yield _jpeg(SPACE, "moon.png", "Moon", None, "hardly any colour")
    wide = picture("hubble_deep_field.jpg").crop((0, 300, 1000, 480)).resize((6000, 1080))
    yield Photograph(
        SPACE, "panorama.jpg", "image/jpeg", jpeg(wide), "Deep field, panorama",
        "a very wide picture: 6000 × 1080",
    )  # fmt: skip


def _formats() -> Iterator[Photograph]:
    cat, eye = picture("chelsea.png"), picture("retina.jpg")
    fade = Image.radial_gradient("L").resize(cat.size).point(lambda value: 255 - value)
    faded = cat.copy()
    faded.putalpha(fade)
    made: tuple[tuple[str, str, bytes, str], ...] = (
        ("png", "image/png", encode(faded, "PNG"), "transparent towards the corners"),
        ("heic", "image/heic", heic(), "a phone's format, with EXIF; browsers get a WebP of it"),
        ("avif", "image/avif", encode(eye, "AVIF", quality=60), "AVIF, a retina"),
        ("webp", "image/webp", encode(eye, "WEBP", quality=80), "WebP, a retina"),
        ("gif", "image/gif", animation("GIF"), "animated; its renditions show the first frame"),
        ("animated.webp", "image/webp", animation("WEBP"), "animated WebP"),
    )
    for suffix, content_type, data, shows in made:
        yield Photograph(FORMATS, f"format.{suffix}", content_type, data, suffix.upper(), shows)
    grey = encode(picture("camera.png").convert("L"), "JPEG", quality=90)
    yield Photograph(FORMATS, "grey.jpg", "image/jpeg", grey, "Grey", "one channel only")
    cmyk = encode(picture("coffee.png").convert("CMYK"), "JPEG", quality=90)
    yield Photograph(FORMATS, "cmyk.jpg", "image/jpeg", cmyk, "CMYK", "print colours, shown in RGB")


def _turned() -> Iterator[Photograph]:
    upright = picture("motorcycle_left.png")
    for orientation in range(1, 9):
        shot = Shot("2024:03:01 10:00:00", "+02:00", _DEAD_SEA, orientation)
        name, title = f"orientation-{orientation}.jpg", f"Orientation {orientation}"
        data = jpeg(upright, shot)
        yield Photograph(TURNED, name, "image/jpeg", data, title, "stands upright in every tile")

"""The few fields of a photo's metadata that the service shows, from blocks that may hold anything.

docs/metadata.md tells every field's sources; an absurd value counts as none, and the next source
is asked.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from photo_api.renditions.dates import read_date, read_offset
from photo_api.renditions.iptc import read_iptc
from photo_api.renditions.places import position
from photo_api.renditions.texts import decode
from photo_api.renditions.tiff import MAX_VALUE, Tags, Value, numbers, plain_text, read_tags
from photo_api.renditions.xmp import read_xmp

MAX_TEXT = 128
NOT_ENOUGH_BITS = 65_535
"""What PhotographicSensitivity says where a SHORT cannot hold the value (CIPA DC-008, 4.6.5)."""

ISO_TAGS = (0x8827, 0x8833, 0x8831, 0x8832)
"""PhotographicSensitivity, ISOSpeed, StandardOutputSensitivity, RecommendedExposureIndex."""

Found = TypeVar("Found")


def read_exif(
    exif: bytes, xmp: bytes = b"", iptc: bytes = b"", created: bytes = b""
) -> dict[str, object]:
    """The fields of an EXIF block (a TIFF structure, with or without "Exif\\0\\0" before it), of an
    XMP packet, of IPTC datasets and of a PNG's text "Creation Time".

    Keys, each left out when absent or senseless: `taken_at` (RFC 3339 when the camera told its
    offset, otherwise local time without one, a day where that is all) and `taken_at_source`,
    `modified_at` (of the last edit), `camera`, `lens`, `exposure_time` ("1/200", in seconds),
    `f_number`, `iso`, `focal_length` (mm), `latitude` and `longitude` (degrees, north and east
    positive), `altitude` (metres, below the sea negative), `rating` (1 to 5), `orientation`
    (1 to 8). Garbage gives {}; nothing but MemoryError is raised.
    """
    tags = read_tags(exif)
    image, properties = tags.image, read_xmp(xmp)
    fields: dict[str, object | None] = {
        **_dates(tags, properties, read_iptc(iptc), decode(created[:MAX_VALUE])),
        "camera": _camera(image.get(0x010F), image.get(0x0110))
        or _camera(properties.get("tiff:Make"), properties.get("tiff:Model")),
        "lens": _first(
            _lens, image.get(0xA434), properties.get("exifEX:LensModel"), properties.get("aux:Lens")
        ),
        "exposure_time": _first(
            _exposure_time, image.get(0x829A), properties.get("exif:ExposureTime")
        ),
        "f_number": _first(_positive(1_000), image.get(0x829D), properties.get("exif:FNumber")),
        "iso": _first(
            _iso,
            *map(image.get, ISO_TAGS),
            properties.get("exifEX:PhotographicSensitivity"),
            properties.get("exif:ISOSpeedRatings"),
        ),
        "focal_length": _first(
            _positive(100_000), image.get(0x920A), properties.get("exif:FocalLength")
        ),
        **position(tags.gps, properties),
        "rating": _first(_whole(1, 5), image.get(0x4746), properties.get("xmp:Rating")),
        "orientation": _first(_whole(1, 8), image.get(0x0112)),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _first(read: Callable[[Value], Found | None], *values: Value | None) -> Found | None:
    """What the first value gives that makes sense."""
    found = (read(value) for value in values if value is not None)
    return next((one for one in found if one is not None), None)


def _text(value: Value) -> str | None:
    composed = unicodedata.normalize("NFC", plain_text(value))
    printable = "".join(c if c.isprintable() else " " for c in composed)
    return " ".join(printable.split())[:MAX_TEXT].rstrip() or None


def _number(value: Value) -> float | None:
    found = numbers(value)
    return found[0] if found and math.isfinite(found[0]) else None


def _positive(below: float) -> Callable[[Value], float | None]:
    def read(value: Value) -> float | None:
        number = _number(value)
        return round(number, 2) if number is not None and 0.005 <= number < below else None

    return read


def _whole(low: int, high: int) -> Callable[[Value], int | None]:
    def read(value: Value) -> int | None:
        number = _number(value)
        return int(number) if number is not None and low <= number <= high else None

    return read


def _iso(value: Value) -> int | None:
    iso = _whole(1, 10_000_000)(value)
    return None if iso == NOT_ENOUGH_BITS else iso


def _lens(value: Value) -> str | None:
    """A lens that a camera does not know is "----", "0.0 mm f/0.0" or the like."""
    text = _text(value)
    return text if text and re.search(r"[^\W\d_]{3}|[1-9]|[^\W\d_\0-\u024f]", text) else None


def _camera(make: Value | None, model: Value | None) -> str | None:
    maker, name = _first(_text, make), _first(_text, model)
    if maker is None or name is None:
        return maker or name
    if name.casefold().startswith(maker.split()[0].casefold()):
        return name
    return f"{maker} {name}"[:MAX_TEXT]


def _exposure_time(value: Value) -> str | None:
    seconds = _number(value)
    if seconds is None or not 1e-6 <= seconds <= 86_400:
        return None
    parts = round(1 / seconds)
    if parts > 1 and abs(parts * seconds - 1) < 0.05:
        return f"1/{parts}"
    return f"{seconds:.3g}" if seconds < 100 else str(round(seconds))


def _dates(
    tags: Tags, properties: Mapping[str, str], iptc: Mapping[int, str], created: str
) -> dict[str, str | None]:
    """When it was taken, by the best source there is. An edit's date is never one."""
    image = tags.image
    general = read_offset(_of(image, 0x9010)) or _hours(image.get(0x882A))
    sources: Sequence[tuple[str, str, str]] = (
        ("EXIF DateTimeOriginal", _of(image, 0x9003), read_offset(_of(image, 0x9011)) or general),
        ("XMP exif:DateTimeOriginal", properties.get("exif:DateTimeOriginal", ""), ""),
        ("XMP photoshop:DateCreated", properties.get("photoshop:DateCreated", ""), ""),
        ("IPTC DateCreated", _iptc(iptc, 55, 60), ""),
        ("EXIF DateTimeDigitized", _of(image, 0x9004), read_offset(_of(image, 0x9012)) or general),
        ("XMP exif:DateTimeDigitized", properties.get("exif:DateTimeDigitized", ""), ""),
        ("XMP xmp:CreateDate", properties.get("xmp:CreateDate", ""), ""),
        ("IPTC DigitalCreationDate", _iptc(iptc, 62, 63), ""),
        ("EXIF GPSDateStamp", _gps_date(tags.gps), ""),
        ("XMP exif:GPSTimeStamp", properties.get("exif:GPSTimeStamp", ""), "Z"),
        ("PNG Creation Time", created, ""),
    )
    found = ((read_date(text, offset), name) for name, text, offset in sources)
    taken_at, source = next((one for one in found if one[0]), (None, None))
    modified = read_date(_of(image, 0x0132), general)
    return {
        "taken_at": taken_at,
        "taken_at_source": source,
        "modified_at": modified or read_date(properties.get("xmp:ModifyDate", "")),
    }


def _of(tags: Mapping[int, Value], tag: int) -> str:
    return plain_text(tags.get(tag, ""))


def _hours(value: Value | None) -> str:
    """TimeZoneOffset (TIFF/EP, ISO 12234-2), whose first number is about the capture."""
    hours = _number(value or ())
    return "" if hours is None else read_offset(f"{int(hours):+}")


def _iptc(datasets: Mapping[int, str], date: int, time: int) -> str:
    day, hours = datasets.get(date, ""), datasets.get(time, "")
    return f"{day}T{hours}" if read_date(f"{day}T{hours}") else day


def _gps_date(gps: Mapping[int, Value]) -> str:
    """GPSDateStamp and GPSTimeStamp, which are in UTC. A day alone is one in Greenwich."""
    day = _of(gps, 0x1D)
    time = numbers(gps.get(7, ()))
    if len(time) != 3 or not all(0 <= number < 60.5 for number in time):
        return day
    hours, minutes, seconds = map(int, time)
    return f"{day} {hours:02}:{minutes:02}:{seconds:02}Z"

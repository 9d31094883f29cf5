"""The few EXIF fields that the service shows, from a block that may hold anything."""

import io
import logging
import math
import re
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from fractions import Fraction
from typing import Any

import exifread

MAX_TEXT = 128
MAX_SECONDS = 0.5

_DATE_TAGS = (
    ("EXIF DateTimeOriginal", "EXIF OffsetTimeOriginal"),
    ("EXIF DateTimeDigitized", "EXIF OffsetTimeDigitized"),
    ("Image DateTime", "EXIF OffsetTime"),
)
_OFFSET = re.compile(r"([+-])(0\d|1[0-4]):([0-5]\d)")

Tags = Mapping[str, Any]


def read_exif(block: bytes) -> dict[str, object]:
    """The fields of an EXIF block (a TIFF structure, with or without "Exif\\0\\0" before it).

    Keys, each left out when absent or senseless: `taken_at` (RFC 3339 when the camera told its
    offset, otherwise local time without one), `camera`, `lens`, `exposure_time` ("1/200", in
    seconds), `f_number`, `iso`, `focal_length` (mm), `latitude` and `longitude` (degrees, north
    and east positive), `altitude` (metres, below the sea negative), `orientation` (1 to 8).
    Garbage gives {}, as does what takes more than `MAX_SECONDS` of processor time; nothing but
    MemoryError is raised. To be called from the main thread (the limit is a signal).
    """
    tags = _tags(block)
    fields: dict[str, object | None] = {
        "taken_at": _taken_at(tags),
        "camera": _camera(tags),
        "lens": _text(tags, "EXIF LensModel"),
        "exposure_time": _exposure_time(tags),
        "f_number": _positive(tags, "EXIF FNumber"),
        "iso": _whole(tags, "EXIF ISOSpeedRatings", 1, 10_000_000),
        "focal_length": _positive(tags, "EXIF FocalLength"),
        **_position(tags),
        "orientation": _whole(tags, "Image Orientation", 1, 8),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _tags(block: bytes) -> Tags:
    tiff = block.removeprefix(b"Exif\0\0")
    if tiff[:4] not in (b"II*\0", b"MM\0*"):
        return {}
    logging.getLogger("exifread").disabled = True
    try:
        with _processor_time(MAX_SECONDS):
            return exifread.process_file(io.BytesIO(tiff), details=False, extract_thumbnail=False)
    except (_TooLong, Exception) as error:  # it trusts offsets, and a wrong one may raise anything
        if isinstance(error, MemoryError):
            raise
        return {}


class _TooLong(BaseException):
    """Not an Exception, which exifread might catch."""


@contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    """A block of 64 KiB can be made so that exifread takes 20 s over it."""

    def stop(signum: int, frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        # Again and again: what is raised inside a callback of the garbage collector is swallowed.
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds / 2)
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _values(tags: Tags, name: str) -> Sequence[object]:
    values = getattr(tags.get(name), "values", ())
    return values if isinstance(values, (list, tuple)) else (values,)


def _text(tags: Tags, name: str) -> str | None:
    raw = getattr(tags.get(name), "values", None)
    if isinstance(raw, bytes):
        raw = raw.decode("utf-8", "replace")
    if not isinstance(raw, str):
        return None
    printable = "".join(c if c.isprintable() else " " for c in raw.partition("\0")[0])
    return " ".join(printable.split())[:MAX_TEXT].rstrip() or None


def _number(value: object) -> float | None:
    """A finite float of what exifread gives for a value, None for x/0, NaN and the like."""
    if isinstance(value, tuple) and len(value) == 1:
        value = value[0]
    if not isinstance(value, (int, float, Fraction)):
        return None
    try:
        number = float(value)
    except (ArithmeticError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _first(tags: Tags, name: str) -> float | None:
    values = _values(tags, name)
    return _number(values[0]) if values else None


def _positive(tags: Tags, name: str) -> float | None:
    number = _first(tags, name)
    return round(number, 2) if number is not None and 0.005 <= number < 100_000 else None


def _whole(tags: Tags, name: str, low: int, high: int) -> int | None:
    number = _first(tags, name)
    return int(number) if number is not None and low <= number <= high else None


def _taken_at(tags: Tags) -> str | None:
    for date_tag, offset_tag in _DATE_TAGS:
        try:
            moment = datetime.strptime(_text(tags, date_tag) or "", "%Y:%m:%d %H:%M:%S")
        except ValueError:
            continue
        offset = _text(tags, offset_tag) or _text(tags, "EXIF OffsetTime") or ""
        known = offset == "Z" or _OFFSET.fullmatch(offset)
        return moment.isoformat() + (offset if known else "")
    return None


def _camera(tags: Tags) -> str | None:
    make, model = _text(tags, "Image Make"), _text(tags, "Image Model")
    if make is None or model is None:
        return make or model
    if model.casefold().startswith(make.split()[0].casefold()):
        return model
    return f"{make} {model}"[:MAX_TEXT]


def _exposure_time(tags: Tags) -> str | None:
    seconds = _first(tags, "EXIF ExposureTime")
    if seconds is None or not 1e-6 <= seconds <= 86_400:
        return None
    parts = round(1 / seconds)
    if parts > 1 and abs(parts * seconds - 1) < 0.05:
        return f"1/{parts}"
    return f"{seconds:.3g}" if seconds < 100 else str(round(seconds))


def _position(tags: Tags) -> dict[str, float]:
    latitude = _degrees(tags, "Latitude", "N", "S", 90)
    longitude = _degrees(tags, "Longitude", "E", "W", 180)
    if latitude is None or longitude is None:
        return {}
    position = {"latitude": latitude, "longitude": longitude}
    altitude = _first(tags, "GPS GPSAltitude")
    if altitude is not None and abs(altitude) <= 100_000:
        below = _first(tags, "GPS GPSAltitudeRef") == 1
        position["altitude"] = round(-altitude if below else altitude, 2)
    return position


def _degrees(tags: Tags, axis: str, plus: str, minus: str, bound: int) -> float | None:
    """Degrees, minutes and seconds of one coordinate as signed degrees."""
    numbers = [_number(value) for value in _values(tags, f"GPS GPS{axis}")[:3]]
    reference = (_text(tags, f"GPS GPS{axis}Ref") or "").upper()
    if not numbers or reference not in (plus, minus):
        return None
    total, unit = 0.0, 1.0
    for number in numbers:
        if number is None or number < 0 or (unit < 1 and number >= 60.0001):
            return None
        total += number * unit
        unit /= 60
    if total > bound:
        return None
    return round(-total if reference == minus else total, 6)

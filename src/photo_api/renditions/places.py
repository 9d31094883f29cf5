"""Where a photo was taken: coordinates as cameras, phones and programs write them."""

import math
import re
from collections.abc import Mapping

from photo_api.renditions.tiff import Value, numbers, plain_text

LOWEST, HIGHEST = -11_000, 50_000
"""The deepest sea and the highest balloon, in metres."""


def position(gps: Mapping[int, Value], properties: Mapping[str, str]) -> dict[str, float]:
    """`latitude`, `longitude` and, if known, `altitude` of the GPS tags, otherwise of XMP."""
    return _position(
        _degrees(gps.get(2), gps.get(1), "NS", 90),
        _degrees(gps.get(4), gps.get(3), "EW", 180),
        (gps.get(6), gps.get(5)),
    ) or _position(
        _degrees(properties.get("exif:GPSLatitude"), None, "NS", 90),
        _degrees(properties.get("exif:GPSLongitude"), None, "EW", 180),
        (properties.get("exif:GPSAltitude"), properties.get("exif:GPSAltitudeRef")),
    )


def _position(
    latitude: float | None, longitude: float | None, height: tuple[Value | None, Value | None]
) -> dict[str, float]:
    if latitude is None or longitude is None or latitude == longitude == 0:
        return {}  # zero and zero: a receiver that had found no satellite yet
    altitude = _altitude(*height)
    known = {} if altitude is None else {"altitude": altitude}
    return {"latitude": latitude, "longitude": longitude} | known


def _altitude(height: Value | None, reference: Value | None) -> float | None:
    metres = numbers(height or ())[:1]
    if not metres or not math.isfinite(metres[0]):
        return None
    below = numbers(reference or ())[:1] in ((1,), (3,))  # the sea, the ellipsoid (EXIF 3.0)
    altitude = round(-metres[0] if below else metres[0], 2)
    return altitude if LOWEST <= altitude <= HIGHEST else None


def _degrees(
    value: Value | None, reference: Value | None, letters: str, bound: int
) -> float | None:
    """Degrees, minutes and seconds as signed degrees. Their hemisphere is told by the reference, or
    by a letter or a sign in the text itself; without one a place is none."""
    if value is None:
        return None
    parts = numbers(value)[:3]
    text = "" if isinstance(value, tuple) else plain_text(value).upper()
    letter = (plain_text(reference or "").strip().upper() or _letter(text, letters))[:1]
    if not letter and re.match(r"\s*[+-]\d", text):
        letter = letters["-" in text]
    if not parts or not letter or letter not in letters:
        return None
    total, unit = 0.0, 1.0
    for part in (abs(parts[0]) if text else parts[0], *parts[1:]):
        # Not a number is not within bounds either.
        if not 0 <= part < (60.0001 if unit < 1 else 360):
            return None
        total += part * unit
        unit /= 60
    if total > bound:
        return None
    return round(-total if letter == letters[1] else total, 6)


def _letter(text: str, letters: str) -> str:
    found = re.search(rf"[{letters}](?=\W*$)|^\W*[{letters}]", text)
    return found[0].strip() if found else ""

"""Dates as cameras and programs write them, to ISO 8601."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

FIRST_YEAR = 1826
"""That of the first photograph."""
AHEAD = timedelta(days=2)
"""How far ahead of this machine's clock, in UTC, a date may be that is not of the future."""

_ZONE = r"(?:(?:UTC|GMT)(?=[+-]))?(?P<zone>Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2})?)"
_DATE = re.compile(
    r"\s*(?P<year>\d{4}|\d\d)(?P<by>[:/.\-]?)(?P<month>\d{1,2})(?P=by)(?P<day>\d{1,2})"
    r"(?:(?:\s+|\s*T\s*)(?P<hour>\d{1,2})(?P<to>[:.\-]?)(?P<minute>\d\d)"
    r"(?:(?P=to)(?P<second>\d\d)(?:[.,]\d*)?)?"
    rf"(?:\s*(?P<half>[AP])M)?(?:\s*{_ZONE})?)?[\s:]*",
    re.IGNORECASE,
)
_OFFSET = re.compile(rf"\s*{_ZONE}\s*", re.IGNORECASE)
_MONTHS: Sequence[str] = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_WEEKDAY = r"\s*(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6}\.?,?\s+)?"
_MONTH = r"(?P<month>[a-z]{3,9})\.?"
_TIME = r"(?P<time>\d\d?:\d\d(?::\d\d(?:[.,]\d*)?)?(?:\s*[ap]m)?)"
_LETTERS = r"(?:(?:utc|gmt)(?=[+-]))?(?P<zone>[a-z]{1,5}|[+-][\d:]{1,5})"
_BEHIND = rf"(?:,?\s+{_TIME}\s*(?:{_LETTERS})?(?:\s*\([^()]{{1,40}}\))?)?\s*"
_NAMED = (
    # "Fri, 17 May 2024 14:03:22 +0900" (RFC 5322), "17-May-2024"
    rf"{_WEEKDAY}(?P<day>\d\d?)[\s-]+{_MONTH}[\s,-]+(?P<year>\d{{4}}){_BEHIND}",
    # "May 17, 2024 2:03 PM", "Fri May 17 2024 14:03:22 GMT+0900 (Korean Standard Time)"
    rf"{_WEEKDAY}{_MONTH}\s+(?P<day>\d\d?)(?:,\s*|\s+)(?P<year>\d{{4}}){_BEHIND}",
    # "Fri May 17 14:03:22 2024", "Fri May 17 14:03:22 KST 2024"
    rf"{_WEEKDAY}{_MONTH}\s+(?P<day>\d\d?)\s+{_TIME}\s+(?:{_LETTERS}\s+)?(?P<year>\d{{4}})\s*",
)
_UNSET = frozenset({(1904, 1, 1, 0, 0, 0), (1970, 1, 1, 0, 0, 0)})
"""What a clock that counts from there says when it was never set."""


def read_date(text: str, offset: str = "") -> str | None:
    """The moment that a text tells, to the second, or the day where it tells no time.

    Read are EXIF's own spelling, with dashes, slashes, dots or ISO 8601's, years of two digits (70
    and on are 19xx), fractions (left out), AM and PM, and an offset: "+09:00", "+0900", "+09", "Z",
    "UTC"; and English names of months, as in e-mails, as `date` writes and as in the USA. `offset`
    counts where the text has none; one that makes no sense is left out. None for no date, and for
    years that no photograph is from.
    """
    found = _DATE.fullmatch(_in_digits(text))
    if found is None or (
        not found["by"] and len(found["year"] + found["month"] + found["day"]) < 8
    ):
        return None
    try:
        moment = datetime(*_numbers(found))
    except ValueError:
        return None
    latest = datetime.now(UTC).replace(tzinfo=None) + AHEAD
    if moment.year < FIRST_YEAR or moment > latest or moment.timetuple()[:6] in _UNSET:
        return None
    if found["hour"] is None:
        return moment.date().isoformat()
    return moment.isoformat() + (read_offset(found["zone"] or "") or read_offset(offset))


def _in_digits(text: str) -> str:
    """The text, or in the spelling of ISO 8601 a date that names its month. A zone's letters other
    than those of UTC are left out, and the time is then a local one."""
    matches = (re.fullmatch(pattern, text, re.IGNORECASE) for pattern in _NAMED)
    found = next((one for one in matches if one), None)
    if found is None:
        return text
    name, zone = found["month"].lower(), found["zone"] or ""
    if not _OFFSET.fullmatch(zone):
        zone = ""
    for number, month in enumerate(_MONTHS, 1):
        if name in (month, month[:3]) or (name, number) == ("sept", 9):
            return f"{found['year']}-{number}-{found['day']} {found['time'] or ''} {zone}"
    return text


def _numbers(found: re.Match[str]) -> tuple[int, int, int, int, int, int]:
    year, hour = int(found["year"]), int(found["hour"] or 0)
    if len(found["year"]) == 2:
        year += 1900 if year >= 70 else 2000
    if found["half"]:
        hour = (hour % 12 if hour <= 12 else 99) + (12 if found["half"] in "pP" else 0)
    second = int(found["second"] or 0)
    second -= second == 60  # a leap second, of which datetime knows nothing
    return year, int(found["month"]), int(found["day"]), hour, int(found["minute"] or 0), second


def read_offset(text: str) -> str:
    """ "+09:00" or "Z"; nothing for what is no offset from UTC (from -12 to +14 hours)."""
    found = _OFFSET.fullmatch(text)
    if found is None:
        return ""
    zone = found["zone"]
    if zone[0] not in "+-":
        return "Z"
    digits = zone[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "00")
    if int(hours) > (14 if zone[0] == "+" else 12) or int(minutes) > 59:
        return ""
    return f"{zone[0]}{int(hours):02}:{int(minutes):02}"

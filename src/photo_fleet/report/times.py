"""When a period ends that a person names, and how moments are told. Days are those of a zone: of
the one that is named, or of this machine."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo

FIRST_YEAR = 2000


def ending(told: str, now: float) -> datetime:
    """The end that `told` means: an ISO time with its zone or in that of this machine, or the end
    of the day that a date or `yesterday` names. Raises ValueError, whose text says what is wrong,
    also with a time that is not yet, that a change of clocks leaves out, or that comes twice."""
    current = datetime.fromtimestamp(now, UTC).astimezone()
    if told == "yesterday":
        return _midnight(current.date())
    try:
        day = date.fromisoformat(told)
    except ValueError:
        end = _moment(told)
    else:
        end = _midnight(day + timedelta(days=1)) if day.year < date.max.year else current
        if end > current or day >= current.date():
            raise ValueError("has not ended: name a time of it, or a day before")
    if end > current:
        raise ValueError(f"is in the future: it is {current:%Y-%m-%d %H:%M %Z} here")
    if end.year < FIRST_YEAR:
        raise ValueError(f"is before {FIRST_YEAR}")
    return end


def _midnight(day: date) -> datetime:
    """The begin of a day here. Where a change of clocks leaves it out, that of the change."""
    return datetime.fromtimestamp(datetime.combine(day, time()).timestamp(), UTC).astimezone()


def _moment(told: str) -> datetime:
    try:
        found = datetime.fromisoformat(told)
        if found.tzinfo is not None:
            found.astimezone(UTC)  # what no calendar holds is told here
            return found
        first, second = (found.replace(fold=fold).astimezone() for fold in (0, 1))
    except (ValueError, OverflowError):
        raise ValueError(
            "is no time as 2026-11-26T08:00, with +09:00 or Z behind it or in the zone of this"
            " machine, no date, and not `yesterday`"
        ) from None
    if first.utcoffset() == second.utcoffset():
        return first
    one, other = sorted(moment.isoformat()[-6:] for moment in (first, second))
    there = datetime.fromtimestamp(first.timestamp()) == found
    reason = "comes twice" if there else "is left out"
    raise ValueError(f"{reason} as clocks change on that day: write {one} or {other} behind it")


def span(start: float, end: float, zone: tzinfo) -> str:
    """From when to when in this zone, with its name and its distance from UTC."""
    return f"{moment(start, zone)} to {moment(end, zone)} {zone_name(end, zone)}"


def moment(at: float, zone: tzinfo) -> str:
    """For people, to the minute."""
    return f"{datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M}"


def zone_name(at: float, zone: tzinfo) -> str:
    """What it is called at that time: `KST (UTC+09:00)`."""
    there = datetime.fromtimestamp(at, zone)
    offset = f"UTC{there.isoformat()[-6:]}"
    name = there.tzname() or offset
    if name in (offset, "UTC"):
        return name
    return f"{name} ({offset})" if name.isalpha() else offset


def iso(at: float) -> str:
    """For machines, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

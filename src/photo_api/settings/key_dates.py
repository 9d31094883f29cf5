"""When keys were made, as their ids tell."""

import re
from datetime import UTC, datetime

DATE = re.compile(r"(?<!\d)(20\d\d)(?:-?(\d\d)(?:-?(\d\d))?)?(?!\d)")
"""A year, a month or a day, as in `2026-11-26`: in the id of a key, when it was made."""


def date_of(kid: str) -> float | None:
    """The date in a key's id, its first day, in epoch seconds; None when there is none."""
    if (found := DATE.search(kid)) is None:
        return None
    year, month, day = (int(part or 1) for part in found.groups())
    try:
        return datetime(year, month, day, tzinfo=UTC).timestamp()
    except ValueError:
        return None

"""Numbers and lists, as findings say them."""

from collections.abc import Iterable

MOST_LISTED = 5


def listed(names: Iterable[str]) -> str:
    """Each name once, the first few of many."""
    every = list(dict.fromkeys(names))
    more = f" and {len(every) - MOST_LISTED} more" if len(every) > MOST_LISTED else ""
    return ", ".join(every[:MOST_LISTED]) + more


def span(seconds: float) -> str:
    """A time for people: `1.5 s`, `42 s`, `7 min`, `1 h`, `46 h`, `13 days`."""
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.0f} days"
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit or seconds == unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"

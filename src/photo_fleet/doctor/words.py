"""Numbers and lists, as findings say them."""

from collections.abc import Iterable

MOST_LISTED = 5


def listed(names: Iterable[str]) -> str:
    """Each name once, the first few of many."""
    every = list(dict.fromkeys(names))
    more = f" and {len(every) - MOST_LISTED} more" if len(every) > MOST_LISTED else ""
    return ", ".join(every[:MOST_LISTED]) + more


def span(seconds: float) -> str:
    """`90 s`, `10 min`, `6 h`, `7 d`."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or seconds == size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"

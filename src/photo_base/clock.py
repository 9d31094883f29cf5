"""How far another clock is from ours, as one exchange can tell, and how late we are ourselves."""

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Offset:
    """A clock is `seconds` ahead of another (behind: negative), give or take `uncertainty`: the
    answer was written somewhere between asking and hearing (RFC 5905, section 8)."""

    seconds: float
    uncertainty: float

    @property
    def least(self) -> float:
        """Seconds by which they differ at least, in either direction."""
        return max(0.0, abs(self.seconds) - self.uncertainty)

    def against(self, other: "Offset") -> "Offset":
        """The clock against the other one, both measured against ours."""
        return Offset(self.seconds - other.seconds, self.uncertainty + other.uncertainty)


def offset(told: float, asked: float, heard: float) -> Offset:
    """Of a clock that showed `told` at some moment between `asked` and `heard` on ours."""
    return Offset(told - (asked + heard) / 2, (heard - asked) / 2)


def by_date(date: str, asked: float, heard: float) -> Offset | None:
    """By the header Date, which tells whole seconds; None where it is none."""
    try:
        told = parsedate_to_datetime(date).timestamp() + 0.5
    except (TypeError, ValueError, OverflowError):
        return None
    found = offset(told, asked, heard)
    return replace(found, uncertainty=found.uncertainty + 0.5)


async def measured(tell: Callable[[], Awaitable[float]], times: int) -> Offset:
    """The surest of so many exchanges with a clock."""
    found = []
    for _ in range(times):
        asked = time.time()
        told = await tell()
        found.append(offset(told, asked, time.time()))
    return surest(found)


def surest(offsets: list[Offset]) -> Offset:
    """The one with the least uncertainty; the list has one at least."""
    return min(offsets, key=lambda one: one.uncertainty)


def busy() -> float:
    """Seconds so far in which this thread had something to do: it ran, or waited for a processor
    (proc(5): the first fields of schedstat)."""
    with suppress(OSError, ValueError, IndexError):
        ran, waited = Path("/proc/thread-self/schedstat").read_text().split()[:2]
        return (int(ran) + int(waited)) / 1e9
    return time.thread_time()

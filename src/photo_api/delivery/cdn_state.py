"""When the fleet leaves its CDN for the fallback, and when it goes back. Pure.

Three results of the probe in a row switch. A CDN that fails again and again is gone back to after
ever longer times, so that the fleet does not flap: at most `MOST_SWITCHES` in any hour of probes
that are 10 s apart.
"""

from dataclasses import dataclass, replace
from typing import Literal

IN_A_ROW = 3

FORGOTTEN = 30
"""Times between two probes after which results from before count no more."""

CALM = 360
"""Times between two probes that the CDN has to have been in use without a break for the next
failure to be its first."""

FIRST_STAY, LONGEST_STAY = 6, 180
"""Times between two probes that the fleet stays on its fallback at least when the CDN has failed a
second time, and then twice as many each time."""

MOST_SWITCHES = 13

Path = Literal["cdn", "fallback"]


@dataclass(frozen=True, slots=True)
class CdnState:
    """The path that the fleet delivers by, `since` when, and how many results `in_a_row` speak
    against it. Times are the database's, in epoch seconds; `stay` is in seconds."""

    path: Path
    since: float
    in_a_row: int = 0
    stay: float = 0.0
    counted_at: float | None = None

    def is_due(self, now: float, interval: float) -> bool:
        """Whether a result counts now: of two that are made at nearly the same time, one does. A
        clock that was set back holds nothing up."""
        return self.counted_at is None or not 0 <= now - self.counted_at < interval / 2


def judged(state: CdnState, *, ok: bool, now: float, interval: float) -> CdnState:
    """The state after a result of the probe, which is made every `interval` seconds."""
    state = replace(state, since=min(state.since, now))  # else a clock set back would prolong it
    in_a_row = state.in_a_row
    if state.counted_at is not None and now - state.counted_at > FORGOTTEN * interval:
        in_a_row = 0
    against = ok == (state.path == "fallback")
    in_a_row = min(in_a_row + 1, IN_A_ROW) if against else 0
    counted = replace(state, in_a_row=in_a_row, counted_at=now)
    if in_a_row < IN_A_ROW:
        return counted
    if state.path == "cdn":
        return CdnState("fallback", now, 0, _stay(state, now, interval), now)
    if now - state.since < state.stay:
        return counted
    return CdnState("cdn", now, 0, state.stay, now)


def _stay(state: CdnState, now: float, interval: float) -> float:
    if now - state.since >= CALM * interval:
        return 0.0
    return min(max(2 * state.stay, FIRST_STAY * interval), LONGEST_STAY * interval)

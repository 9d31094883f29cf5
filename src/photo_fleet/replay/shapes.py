"""Traffic that nobody had, to see how a policy meets it; in shares of its peak."""

import math
from collections.abc import Callable, Mapping

from photo_fleet.replay.traffic import MOST_STEPS, BadTraffic, Traffic

HOUR, DAY = 3600.0, 86400.0
NIGHT = 0.1
"""Of the peak: what is asked for in the quietest hour."""


def diurnal(at: float) -> float:
    """A wave a day, lowest at its begin and highest at noon; a week of it, of which the last two
    days have half as much."""
    wave = (1 - math.cos(2 * math.pi * at / DAY)) / 2
    return (NIGHT + (1 - NIGHT) * wave) * (0.5 if at % (7 * DAY) >= 5 * DAY else 1.0)


def flash_crowd(at: float) -> float:
    """A tenth of the peak, until at noon of the one day all come within five minutes; from then on
    half of those who are left go every 30 minutes."""
    since = at - DAY / 2
    crowd = min(1.0, since / 300.0) if since < 300.0 else 0.5 ** ((since - 300.0) / 1800.0)
    return NIGHT + (1 - NIGHT) * max(0.0, crowd)


def ramp(at: float) -> float:
    """From nothing to the peak in six hours, and in six hours back."""
    return max(0.0, 1 - abs(at / (6 * HOUR) - 1))


SHAPES: Mapping[str, tuple[Callable[[float], float], float]] = {
    "diurnal": (diurnal, 7 * DAY),
    "flash-crowd": (flash_crowd, DAY),
    "ramp": (ramp, 12 * HOUR),
}
"""By name: what is asked for so many seconds after the begin, and how long all of it is."""


def shape(name: str, every: float) -> Traffic:
    """One of `SHAPES`, each step at its middle. Raises `BadTraffic` for steps that do not fit."""
    load, seconds = SHAPES[name]
    steps = math.ceil(seconds / every)
    if steps > MOST_STEPS:
        raise BadTraffic(f"it has more than {MOST_STEPS} steps: give it in larger ones")
    return Traffic(tuple(load((step + 0.5) * every) for step in range(steps)), every)

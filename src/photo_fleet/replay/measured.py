"""A traffic as a Prometheus has counted it: what instances were asked for, without probes."""

import math
import time
from collections.abc import Callable
from dataclasses import replace

from photo_fleet.dashboard.panel import series, total
from photo_fleet.dashboard.prometheus import LONGEST_READING, Asked, Prometheus
from photo_fleet.dashboard.readings import MOST_VALUES, Unread
from photo_fleet.dashboard.units import told
from photo_fleet.dashboard.window import Window
from photo_fleet.replay.traffic import MOST_STEPS, BadTraffic, Traffic

SERVED = series("http_requests_total", 'handler!~".*/health.*"')
AT_ONCE = MOST_VALUES - 1
"""Steps that one answer may have, with the one before them that no window is without."""


async def read_traffic(
    url: str,
    window: Window,
    every: int,
    say: Callable[[str], None],
    longest: float = LONGEST_READING,
) -> Traffic:
    """The requests a second in each whole step of the window up to its end, read within `longest`
    seconds. A step of which Prometheus has no samples is unknown. Raises `Unread`, and
    `BadTraffic`, also where instances are scraped too seldom for such steps."""
    steps = int(window.seconds // every)
    if not 0 < steps <= MOST_STEPS:
        raise BadTraffic(f"the time has {steps} steps, not 1 to {MOST_STEPS}: change --every")
    start, until = window.end - steps * every, time.monotonic() + longest
    rates: list[float | None] = []
    while len(rates) < steps:
        first = start + len(rates) * every
        last = min(window.end, first + AT_ONCE * every)
        part = replace(window, start=first, end=last, points=round((last - first) / every))
        rates += await _rates(Prometheus(url, until - time.monotonic()), part, every)
        say(f"{len(rates)} of {steps} steps read")
    return Traffic(tuple(rates), every, start)


async def _rates(server: Prometheus, window: Window, every: int) -> list[float | None]:
    """The value at a step's end tells of the step; the first point tells of the one before."""
    asked = Asked(total(f"rate({SERVED}[{every}s])"))
    seen, answers = await server.read(window, [asked], lambda _: None)
    answer = answers[asked]
    if not answer.whole:
        raise Unread(answer.problem or answer.warning)
    if 2 * seen.interval > every:
        raise BadTraffic(
            f"instances are scraped every {told(seen.interval, 's')}, and a step needs two"
            f" scrapes: --every {math.ceil(2 * seen.interval)}s or more"
        )
    values = answer.series[0].values if answer.series else ()
    ends = {round((at - window.start) / every): value for at, value in values}
    return [ends.get(number) for number in range(1, window.points + 1)]

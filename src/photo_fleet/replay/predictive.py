"""A rule that looks ahead: a season of a day and a trend."""

import math
from collections import deque

from photo_fleet.replay.simulation import Conditions, Seen, steps_of
from photo_fleet.replay.station import MOST_BUSY

DAY = 86400.0
LEVEL, TREND, SPREAD = 300.0, 3600.0, 3600.0
"""Seconds over which what is past is forgotten to a third."""
SEASON = 0.1
"""The share of a day's news in what is known of that time of the day."""
MARGIN = 1.0
"""Standard deviations of its errors by which it expects more."""
HELD = 900.0
"""Seconds for which it keeps what it wanted."""


class Predictive:
    """Triple exponential smoothing (C. C. Holt, 1957; P. R. Winters, 1960): a level, a trend, and
    what each time of the day has beyond them. It has as many instances as the most that it expects
    until something that it orders now is ready needs, by the same M/M/c, and lets go of one only
    when the last 15 minutes would not have wanted it. It learns from the steps before only; on the
    first day it knows no season."""

    name = "predictive"

    def __init__(self, conditions: Conditions, every: float) -> None:
        station = conditions.station
        self._station = station
        self._ceiling = min(MOST_BUSY * station.service_rate, conditions.most * station.capacity)
        self._ahead = steps_of(conditions.boot, every) + 1
        self._alpha, self._beta, self._gamma = (
            1 - math.exp(-every / seconds) for seconds in (LEVEL, TREND, SPREAD)
        )
        self._season: list[float | None] = [None] * steps_of(DAY, every)
        self._lately = deque[int](maxlen=steps_of(HELD, every))
        self._level: float | None = None
        self._trend = self._variance = 0.0
        self._step = -1

    def want(self, seen: Seen) -> int:
        """Holds where nothing is known, and learns nothing."""
        self._step += 1
        if seen.rate is None:
            return seen.wanted
        self._learn(seen.rate)
        expected = self._highest() + MARGIN * math.sqrt(self._variance)
        self._lately.append(self._station.demand(min(self._ceiling, max(0.0, expected))))
        return max(self._lately)

    def _usual(self, step: int) -> float:
        return self._season[step % len(self._season)] or 0.0

    def _learn(self, rate: float) -> None:
        usual = self._usual(self._step)
        before = rate - usual if self._level is None else self._level
        error = rate - (before + self._trend + usual)
        self._variance += self._gamma * (error * error - self._variance)
        level = before + self._trend + self._alpha * error
        self._trend += self._beta * (level - before - self._trend)
        self._level = level
        place = self._step % len(self._season)
        share = 0.5 if self._season[place] is None else SEASON
        self._season[place] = usual + share * (rate - level - usual)

    def _highest(self) -> float:
        ahead = range(1, self._ahead + 1)
        level = self._level or 0.0
        return max(level + n * self._trend + self._usual(self._step + n) for n in ahead)

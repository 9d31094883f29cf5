"""A rule that looks ahead: a season of a day and a trend."""

import math
from collections import deque

from photo_fleet.replay.simulation import Conditions, Seen, steps_of
from photo_fleet.replay.station import MOST_BUSY

DAY = 86400.0
LEVEL, TREND, SPREAD = 300.0, 3600.0, 3600.0
"""Seconds over which what is past is forgotten to a third."""
SEASON = 0.2
"""The share of a day in what is usual at a time of the day; of the first day it is all."""
MARGIN = 1.0
"""Standard deviations of its errors by which it expects more."""
HELD = 900.0
"""Seconds for which it keeps what it wanted."""


class Predictive:
    """What is usual at that time of the day, and how far it is from that now: a level and a trend
    of the difference, by double exponential smoothing (C. C. Holt, 1957). It has as many instances
    as the most that it expects until something that it orders now is ready needs, by the same
    M/M/c, and lets go of one only when the last 15 minutes would not have wanted it. It learns from
    the steps before only; on the first day nothing is usual."""

    name = "predictive"

    def __init__(self, conditions: Conditions, every: float) -> None:
        station = conditions.station
        self._station = station
        self._ceiling = min(MOST_BUSY * station.service_rate, conditions.most * station.capacity)
        self._ahead = steps_of(conditions.boot, every) + 1
        self._alpha, self._beta, self._gamma = (
            1 - math.exp(-every / seconds) for seconds in (LEVEL, TREND, SPREAD)
        )
        self._day = steps_of(DAY, every)
        self._usual = list[float]()
        self._lately = deque[int](maxlen=steps_of(HELD, every))
        self._level: float | None = None
        self._trend = self._variance = 0.0
        self._step = -1

    def want(self, seen: Seen) -> int:
        """Holds where nothing is known, and learns nothing."""
        self._step += 1
        if self._step == self._day and self._level is not None:
            self._level -= self._usual[-1]  # from now on it is that of the difference
        if self._step < self._day:
            before = self._usual[-1] if self._usual else 0.0
            self._usual.append(before if seen.rate is None else seen.rate)
        if seen.rate is None:
            return seen.wanted
        self._learn(seen.rate)
        expected = self._highest() + MARGIN * math.sqrt(self._variance)
        self._lately.append(self._station.demand(min(self._ceiling, max(0.0, expected))))
        return max(self._lately)

    def _usual_at(self, step: int) -> float:
        return self._usual[step % self._day] if self._step >= self._day else 0.0

    def _learn(self, rate: float) -> None:
        differs = rate - self._usual_at(self._step)
        before = (differs if self._level is None else self._level) + self._trend
        error = differs - before
        self._variance += self._gamma * (error * error - self._variance)
        self._level = before + self._alpha * error
        self._trend += self._alpha * self._beta * error
        if self._step >= self._day:
            self._usual[self._step % self._day] += SEASON * differs

    def _highest(self) -> float:
        ahead = range(1, self._ahead + 1)
        level = self._level or 0.0
        return max(level + n * self._trend + self._usual_at(self._step + n) for n in ahead)

"""The spec's own rules, decided by the engine that the local group has too."""

import math
from bisect import bisect_right

from photo_fleet.group.policy import CLOUD_PERIOD, PolicyEngine
from photo_fleet.group.samples import Reading
from photo_fleet.replay.simulation import Seen
from photo_fleet.replay.station import Station
from photo_fleet.spec.fleet import Group

REPLAYED = frozenset({"cpu", "in_flight"})
"""Metrics that follow from traffic. What waits in the queue of jobs does not: a rule for it never
acts here."""


NEVER = math.inf, -math.inf
MARGIN = 1e-9
"""Of a threshold: what is so near to it is for the engine."""


class SpecPolicy:
    """The rules of `group`. All instances get the same share of the requests, so that those which
    were ready for long enough are one reading. A step of a minute or more is the mean that clouds
    compare; shorter ones are samples of it."""

    def __init__(self, name: str, group: Group, station: Station, every: float) -> None:
        self.name = name
        self._group = group
        self._station = station
        self._whole = every >= CLOUD_PERIOD
        period = max(CLOUD_PERIOD, every)
        self._engine = PolicyEngine(group, every, period, every if self._whole else 0.0)
        self._proven = group.warm_up + period
        self._metrics = {rule.metric for rule in group.policies} & REPLAYED

    def want(self, seen: Seen) -> int:
        """As the engine decides."""
        readings = self._readings(seen, self._values(seen))
        return seen.wanted + self._engine.step(seen.now, seen.wanted, readings, seen.settled).change

    def calm(self, number: int) -> tuple[float, float]:
        """Where each step is a mean of its own, and none of the rules that could act is beyond its
        threshold. At the group's least size a rule for removing can do nothing, and what it has
        waited for is forgotten with any change."""
        if not self._whole or "in_flight" in self._metrics:
            return NEVER
        low, high = -1.0, math.inf
        for rule in self._group.policies:
            edge = rule.threshold / 100 * number * self._station.capacity
            if rule.metric == "cpu" and rule.is_scale_out:
                high = min(high, edge * (1 - MARGIN))
            elif rule.metric == "cpu" and number > self._group.min:
                low = max(low, edge * (1 + MARGIN))
        return low, high

    def _values(self, seen: Seen) -> dict[str, float]:
        values: dict[str, float] = {}
        if seen.rate is None:
            return values
        number = len(seen.ready)
        if "cpu" in self._metrics:
            values["cpu"] = min(100.0, 100 * seen.rate / (number * self._station.capacity))
        if "in_flight" in self._metrics:
            values["in_flight"] = self._station.in_flight(seen.rate, number)
        return values

    def _readings(self, seen: Seen, values: dict[str, float]) -> list[Reading]:
        proven = bisect_right(seen.ready, seen.now - self._proven)
        readings = [Reading("proven", -math.inf, values, proven)] if proven else []
        young = range(proven, len(seen.ready))
        readings += [Reading(f"{number}", seen.ready[number], values) for number in young]
        return readings

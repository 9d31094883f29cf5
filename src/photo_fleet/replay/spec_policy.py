"""The spec's own rules, decided by the engine that the local group has too."""

import math
from bisect import bisect_right

from photo_fleet.group.policy import CLOUD_PERIOD, PolicyEngine, is_beyond
from photo_fleet.group.samples import Reading
from photo_fleet.replay.simulation import Seen
from photo_fleet.replay.station import Station
from photo_fleet.spec.fleet import Group

REPLAYED = frozenset({"cpu", "in_flight"})
"""Metrics that follow from traffic. What waits in the queue of jobs does not: a rule for it never
acts here."""


class SpecPolicy:
    """The rules of `group`. All instances get the same share of the requests, so that those which
    were ready for long enough are one reading. A step of a minute or more is the mean that clouds
    compare; shorter ones are samples of it.

    Of such steps the engine sees all but those that change nothing in it: one in which no rule that
    could act is beyond its threshold, after another one like it."""

    def __init__(self, name: str, group: Group, station: Station, every: float) -> None:
        self.name = name
        self._group = group
        self._station = station
        self._whole = every >= CLOUD_PERIOD
        self._quiet = False
        period = max(CLOUD_PERIOD, every)
        self._engine = PolicyEngine(group, every, period, every if self._whole else 0.0)
        self._proven = group.warm_up + period
        self._metrics = {rule.metric for rule in group.policies} & REPLAYED
        self._adding = tuple(rule for rule in group.policies if rule.is_scale_out)

    def want(self, seen: Seen) -> int:
        """As the engine decides."""
        values = self._values(seen)
        was_quiet, self._quiet = self._quiet, self._whole and self._is_quiet(values, seen.wanted)
        if was_quiet and self._quiet:
            return seen.wanted
        readings = self._readings(seen, values)
        return seen.wanted + self._engine.step(seen.now, seen.wanted, readings, seen.settled).change

    def _is_quiet(self, values: dict[str, float], wanted: int) -> bool:
        """At the group's least size a rule for removing can do nothing, and what it has waited for
        is forgotten with any change."""
        for rule in self._adding if wanted == self._group.min else self._group.policies:
            value = values.get(rule.metric)
            if value is not None and is_beyond(rule, value):
                return False
        return bool(values)

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

"""From a traffic to what came of each policy. Pure."""

from collections.abc import Iterator
from dataclasses import replace

from photo_fleet.replay.nhn import NhnPolicy
from photo_fleet.replay.outcome import Outcome, Run, outcome_of
from photo_fleet.replay.predictive import Predictive
from photo_fleet.replay.rivals import Hpa, Kpa, Static, Step, TargetTracking
from photo_fleet.replay.simulation import Conditions, Policy, demand_of, simulate
from photo_fleet.replay.spec_policy import SpecPolicy
from photo_fleet.replay.traffic import Traffic
from photo_fleet.spec.fleet import Group

OWN = "spec"
STATIC = 4
"""Instances, whatever the group's bounds: what that many would have done, under the name for it."""

Replayed = tuple[Run, Outcome]
"""What a policy did, and how well."""


class Replay:
    """A traffic under conditions; `price` is that of an instance-hour. Raises `Unreachable`."""

    def __init__(self, traffic: Traffic, conditions: Conditions, price: float | None) -> None:
        self.traffic = traffic
        self.conditions = conditions
        self._price = price
        self._demand = demand_of(traffic, conditions)

    def spec(self, group: Group, name: str = OWN) -> Replayed:
        """The rules of a spec, its own or with changed numbers, as its cloud carries them out."""
        kind = NhnPolicy if group.cloud == "nhn" else SpecPolicy
        return self._of(kind(name, group, self.conditions.station, self.traffic.every))

    def rivals(self) -> Iterator[Replayed]:
        """All that the spec's rules are compared with."""
        conditions, every = self.conditions, self.traffic.every
        station = conditions.station
        least, most = min(conditions.least, STATIC), max(conditions.most, STATIC)
        yield self._of(Static(STATIC), replace(conditions, least=least, most=most))
        for kind in (Step, TargetTracking, Hpa, Kpa):
            yield self._of(kind(station, every))
        yield self._of(Predictive(conditions, every))

    def _of(self, policy: Policy, conditions: Conditions | None = None) -> Replayed:
        run = simulate(self.traffic, self._demand, policy, conditions or self.conditions)
        return run, outcome_of(run, self.conditions.station, self._price)

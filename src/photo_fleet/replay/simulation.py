"""What a policy would have done with a traffic.

A policy sees the load of a step in that step, as one does that samples every few seconds, and what
it asks for is ready `boot` seconds after the step began, the next step at the earliest. An instance
that is not wanted any more leaves with the step: the newest first, of those that boot before those
that are ready, or of a platform that does so the oldest.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from photo_fleet.replay.outcome import Run
from photo_fleet.replay.station import Station
from photo_fleet.replay.traffic import Traffic

BOOT = 120.0
"""Seconds until a new instance is ready, where nobody says otherwise."""
ROUNDING = 1e-9
"""What binary fractions may add to a whole number."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is the same for all policies: what an instance can do, how many there may be, and how
    many seconds pass until a new one is ready. Each begins with the fewest."""

    station: Station
    least: int
    most: int
    boot: float


@dataclass(slots=True)
class Seen:
    """What a policy sees at the end of a step, `now`: the requests a second, and since when the
    instances that served them were ready, the oldest first. `rate` is None where nobody knows;
    `wanted` are those that it asked for last, `settled` says that none of them boots."""

    now: float
    rate: float | None
    ready: Sequence[float]
    wanted: int
    settled: bool


class Policy(Protocol):
    """Decides how many instances there should be."""

    name: str

    def want(self, seen: Seen) -> int:
        """How many, within whatever bounds; told of every step, in order."""


@runtime_checkable
class Calm(Protocol):
    """A policy that knows what leaves it as it is."""

    def calm(self, number: int) -> tuple[float, float]:
        """Rates between which, both excluded, a step with so many instances changes nothing in it
        after another one like it."""


@runtime_checkable
class OldestFirst(Protocol):
    """A policy of a platform on which the oldest instances leave, while younger ones boot."""

    oldest_first: bool


def ceiling(value: float) -> int:
    """The next whole number."""
    return math.ceil(value - ROUNDING)


def steps_of(seconds: float, every: float) -> int:
    """How many steps of `every` seconds a time takes, at least one."""
    return max(1, ceiling(seconds / every))


def demand_of(traffic: Traffic, conditions: Conditions) -> list[int | None]:
    """The instances that each step needs, never fewer than the group's least; more than its most
    can be short only. Raises `Unreachable`."""
    known = conditions.station.demands(rate for rate in traffic.rates if rate is not None)
    floor: Mapping[float, int] = {rate: max(conditions.least, n) for rate, n in known.items()}
    return [None if rate is None else floor[rate] for rate in traffic.rates]


def simulate(
    traffic: Traffic, demand: Sequence[int | None], policy: Policy, conditions: Conditions
) -> Run:
    """The run of one policy, which is new."""
    least, most, every = conditions.least, conditions.most, traffic.every
    boot = steps_of(conditions.boot, every)
    wanted, ready, coming = least, [-math.inf] * least, deque[int]()
    supply, rates = list[int](), traffic.rates
    oldest = isinstance(policy, OldestFirst) and policy.oldest_first
    calm = policy.calm if isinstance(policy, Calm) else None  # a slow question
    while (number := len(supply)) < len(rates):
        while coming and coming[0] <= number:
            coming.popleft()
            ready.append(number * every)
        supply.append(len(ready))
        seen = Seen((number + 1) * every, rates[number], ready, wanted, not coming)
        want = min(most, max(least, policy.want(seen)))
        if calm and want == wanted and not coming:
            alike = _calm_steps(rates, number, *calm(wanted))
            supply += [wanted] * (alike - 1)
        coming.extend([number + boot] * (want - wanted))
        for _ in range(wanted - want):
            if oldest and len(ready) > 1:  # of none the group would have nothing to measure
                ready.pop(0)
            else:
                (coming or ready).pop()
        wanted = want
    return Run(policy.name, every, traffic.rates, demand, supply)


def _calm_steps(rates: Sequence[float | None], first: int, low: float, high: float) -> int:
    """How many from the first on, which is one of them whatever it is."""
    for number in range(first, len(rates)):
        rate = rates[number]
        if rate is None or not low < rate < high:
            return max(1, number - first)
    return len(rates) - first

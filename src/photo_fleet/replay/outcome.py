"""How well a policy's supply met the demand: the elasticity metrics of SPEC's research group
(Herbst et al., "Ready for Rain?", SPEC-RG-2016-01), and what operators ask for besides."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from photo_fleet.replay.station import Station

HOUR, MINUTE = 3600.0, 60.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one policy did with a traffic, by steps of `every` seconds: requests a second
    (`offered`), the instances that they need (`demand`, never fewer than the group's least), and
    those that were ready (`supply`). What is not known of a step is None."""

    policy: str
    every: float
    offered: Sequence[float | None]
    demand: Sequence[int | None]
    supply: Sequence[int]


@dataclass(frozen=True, slots=True)
class Worst:
    """The step in which the largest share of requests, `late` of 1, took longer than the objective;
    of several the one with the most requests an instance."""

    step: int
    late: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """All in percent but what says otherwise. Steps of which nothing is known count in `changes`
    and `instance_hours` only.

    `theta_under` (θU) and `theta_over` (θO) are the mean shares of the demand by which the supply
    was short and beyond, `tau_under` (τU) and `tau_over` (τO) the shares of time. υ is in use in
    two readings: the share of steps in which both moved, and in opposite directions
    (`upsilon_opposite`), and of those in which their directions differ, where standing still is a
    direction too (`upsilon_differs`). `changes` are steps in which the supply changed,
    `instance_hours` those of ready instances, `cost` is None where nobody told a price, and
    `minutes_over` are those in which more than 5 % of the requests took longer than the
    objective."""

    policy: str
    theta_under: float
    theta_over: float
    tau_under: float
    tau_over: float
    upsilon_opposite: float
    upsilon_differs: float
    changes: int
    instance_hours: float
    cost: float | None
    minutes_over: float
    worst: Worst


def outcome_of(run: Run, station: Station, price: float | None) -> Outcome:
    """Judges a run. `price` is that of an instance-hour."""
    pairs = zip(run.demand, run.supply, strict=True)
    known = [(needed, had) for needed, had in pairs if needed is not None]
    short = [(needed - had) / needed for needed, had in known if needed > had]
    beyond = [(had - needed) / needed for needed, had in known if had > needed]
    opposite, differs = _upsilon(run)
    hours = sum(run.supply) * run.every / HOUR
    return Outcome(
        policy=run.policy,
        theta_under=100 * sum(short) / len(known),
        theta_over=100 * sum(beyond) / len(known),
        tau_under=100 * len(short) / len(known),
        tau_over=100 * len(beyond) / len(known),
        upsilon_opposite=opposite,
        upsilon_differs=differs,
        changes=sum(before != after for before, after in pairwise(run.supply)),
        instance_hours=hours,
        cost=None if price is None else hours * price,
        minutes_over=len(short) * run.every / MINUTE,
        worst=_worst(run, station),
    )


def _upsilon(run: Run) -> tuple[float, float]:
    steps = opposite = differs = 0
    moves = zip(pairwise(run.demand), pairwise(run.supply), strict=True)
    for (sooner, later), (before, after) in moves:
        if sooner is None or later is None:
            continue
        steps += 1
        if sooner != later or before != after:
            asked, given = _sign(later - sooner), _sign(after - before)
            opposite += asked * given < 0
            differs += asked != given
    return 100 * opposite / max(1, steps), 100 * differs / max(1, steps)


def _sign(number: int) -> int:
    return (number > 0) - (number < 0)


def _worst(run: Run, station: Station) -> Worst:
    """Of the steps with the same supply, that with the most requests is the worst."""
    busiest: dict[int, tuple[float, int]] = {}
    for step, (rate, had) in enumerate(zip(run.offered, run.supply, strict=True)):
        if rate is not None and (had not in busiest or rate > busiest[had][0]):
            busiest[had] = rate, step
    late, _, step = max(
        (station.late(rate, had), rate / had, step) for had, (rate, step) in busiest.items()
    )
    return Worst(step, late)

"""How well a policy's supply met the demand: the elasticity metrics of SPEC's research group
(Herbst et al., "Ready for Rain?", SPEC-RG-2016-01), and what operators ask for besides."""

from collections.abc import Sequence
from dataclasses import dataclass


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

"""What other thresholds and durations of the spec's own rules would have done: a bounded number of
them, each replayed as the spec is, and those that none beats. Pure."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import product

from photo_fleet.replay.outcome import Outcome, Run
from photo_fleet.replay.spec_policy import REPLAYED
from photo_fleet.rules.sizing import FULL, flapping
from photo_fleet.spec.fleet import Fleet, Policy

MOST_TRIED = 40
"""Rules that are replayed besides the spec's."""
MOST_STEPS = 1_000_000
"""Of all these together: of a long traffic fewer rules are tried."""
POINTS = (0.0, -5.0, 5.0, -10.0, 10.0)
"""Percent of CPU by which a threshold differs from the spec's."""
PARTS = (1.0, 0.8, 1.25, 0.6, 1.6)
"""Of the spec's threshold where it is of another metric."""
TIMES = (0.6, 2.0, 0.2)
"""Of the spec's duration, besides itself."""


@dataclass(frozen=True, slots=True)
class Tried:
    """A rule that stands in the place of one of the spec's, and what came of it; without a rule it
    is the spec as it is."""

    rule: Policy | None
    run: Run
    outcome: Outcome

    @property
    def hours(self) -> float:
        """Instance-hours, to which the cost is proportional."""
        return self.outcome.instance_hours

    @property
    def over(self) -> float:
        """Minutes over the objective."""
        return self.outcome.minutes_over


@dataclass(frozen=True, slots=True)
class Front:
    """The spec's own run, all others that were tried, and of all together those that none beats,
    the cheapest first. Of several that came to the same, one stands there: the spec, or the nearest
    to it."""

    own: Tried
    others: tuple[Tried, ...]
    best: tuple[Tried, ...]


def front(fleet: Fleet, step: float, replayed: Callable[[Fleet], tuple[Run, Outcome]]) -> Front:
    """Of the spec and its neighbours. `step` is the traffic's, in seconds."""
    own = Tried(None, *replayed(fleet))
    most = min(MOST_TRIED, MOST_STEPS // max(1, len(own.run.demand)))
    near = neighbours(fleet, step, most)
    others = tuple(Tried(rule, *replayed(other)) for rule, other in near)
    return Front(own, others, unbeaten([own, *others]))


def neighbours(fleet: Fleet, step: float, most: int = MOST_TRIED) -> list[tuple[Policy, Fleet]]:
    """Rules near the spec's, each with the spec in which it stands instead of its own, the nearest
    first; none that `photo-fleet check` would refuse for flapping. Durations are whole steps of the
    traffic, which tells no others apart. At most `most`, or one for each of the spec's."""
    rules, found = fleet.group.policies, list[tuple[Policy, Fleet]]()
    if fleet.group.min == fleet.group.max:  # no rule can change anything
        return found
    allowed = len(list(flapping(fleet)))
    for number, rule in enumerate(rules):
        own = list[tuple[Policy, Fleet]]()
        for other in _near(rule, step) if rule.metric in REPLAYED else ():
            policies = (*rules[:number], other, *rules[number + 1 :])
            changed = replace(fleet, group=replace(fleet.group, policies=policies))
            if len(list(flapping(changed))) <= allowed:
                own.append((other, changed))
        found += own[: max(1, most // len(rules))]
    return found


def _near(rule: Policy, step: float) -> list[Policy]:
    """The nearest first, in threshold and duration together."""
    is_cpu = rule.metric == "cpu"
    thresholds = [rule.threshold + one for one in POINTS]
    if not is_cpu:
        thresholds = [float(f"{rule.threshold * one:.2g}") for one in PARTS]
    steps = (max(1, round(rule.duration * one / step)) for one in TIMES)
    durations = [rule.duration, *(step * number for number in steps)]
    pairs = product(enumerate(durations), enumerate(thresholds))
    found = (
        replace(rule, threshold=threshold, duration=duration)
        for (_, duration), (_, threshold) in sorted(pairs, key=lambda two: two[0][0] + two[1][0])
        if threshold > 0 and (not is_cpu or threshold < FULL)
    )
    return [one for one in dict.fromkeys(found) if one != rule]


def beats(one: Tried, other: Tried) -> bool:
    """Whether it has fewer instance-hours or minutes over the objective, and of neither more."""
    first, second = (one.hours, one.over), (other.hours, other.over)
    return first != second and first[0] <= second[0] and first[1] <= second[1]


def unbeaten(tried: Iterable[Tried]) -> tuple[Tried, ...]:
    """Those that no other beats; of several that came to the same, the first that was given."""
    best, least = list[Tried](), math.inf
    for one in sorted(tried, key=lambda one: (one.hours, one.over)):
        if one.over < least:
            best.append(one)
            least = one.over
    return tuple(best)

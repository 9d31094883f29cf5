"""What another rule would have changed, in plain words, and only as far as the traffic tells it.
Pure."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from photo_fleet.dashboard.units import told
from photo_fleet.replay.front import Front, Tried, beats
from photo_fleet.replay.outcome import Run
from photo_fleet.replay.spec_policy import REPLAYED
from photo_fleet.spec.fleet import Group, Policy

APART = 3600.0
"""Seconds in which neither of two runs is over the objective: what comes after is another spell."""
CHANCE = 0.05
"""How often chance alone may make a difference that is told as one."""
NEAR = 0.05
"""By how much of it a ratio may miss the half, or the double, that it is called."""
MOST_TOLD = 3
"""Cheaper rules of which something is said, and dearer ones."""
DAY, WEEK = 86400.0, 7 * 86400.0
NAMES = {"cpu": "CPU", "in_flight": "requests in flight", "queue_age": "the oldest job's age"}
UNITS = {"cpu": " %", "in_flight": "", "queue_age": " s"}
RATIOS = {
    1 / 4: "cut {} to a quarter", 1 / 3: "cut {} to a third", 1 / 2: "halve {}",
    2.0: "double {}", 3.0: "make {} three times as many",
}  # fmt: skip
OVER = "the minutes over the objective"


@dataclass(frozen=True, slots=True)
class Spells:
    """Times in which either of two runs was over the objective: how many; and in how many of them
    the second was so for less time than the first, or for more."""

    number: int
    better: int
    worse: int

    @property
    def is_told_from_chance(self) -> bool:
        """By the two-sided sign test: equal runs would split as unevenly less often than that."""
        differing, fewer = self.better + self.worse, min(self.better, self.worse)
        tail: float = sum(math.comb(differing, one) for one in range(fewer + 1)) / 2**differing
        return 2 * tail <= CHANCE


def spells(first: Run, second: Run) -> Spells:
    """Of two runs with the same traffic."""
    found, last = list[int](), -1
    apart = max(1, round(APART / first.every))
    steps = zip(first.demand, first.supply, second.supply, strict=True)
    for number, (needed, one, other) in enumerate(steps):
        if needed is None or (one >= needed and other >= needed):
            continue
        if not found or number - last > apart:
            found.append(0)
        found[-1] += (other < needed) - (one < needed)
        last = number
    worse = sum(one > 0 for one in found)
    return Spells(len(found), sum(one < 0 for one in found), worse)


def differs(own: Tried, other: Tried) -> bool:
    """Whether the traffic tells what another rule would have changed: only the cost, or the minutes
    over the objective by more than chance explains."""
    return own.over == other.over or spells(own.run, other.run).is_told_from_chance


def rule_told(rule: Policy | None) -> str:
    """Short, as `CPU > 65 % for 3 min`; without any, it is the spec that is meant."""
    if rule is None:
        return "The spec"
    side = ">" if rule.is_scale_out else "<"
    span = f"for {told(rule.duration, 's')}" if rule.duration else "at once"
    return f"{NAMES[rule.metric]} {side} {rule.threshold:g}{UNITS[rule.metric]} {span}"


def sentence(own: Tried, other: Tried) -> str:
    """What the other's rule would have changed. Costs go by instance-hours."""
    rule = rule_told(other.rule)
    if (own.hours, own.over) == (other.hours, other.over):
        return f"{rule} would have come to the same."
    if own.over == other.over:
        kept = f"leave {OVER} as they are ({minutes(own.over)})"
        kept = kept if own.over else "leave no minute over the objective either"
        return f"{rule} would {_cost(own, other)} and {kept}."
    seen = spells(own.run, other.run)
    if seen.is_told_from_chance:
        numbers = f"({minutes(own.over)} → {minutes(other.over)})"
        return f"{rule} would {_cost(own, other)} and {_change(own.over, other.over)} {numbers}."
    times = "one spell" if seen.number == 1 else f"{seen.number} spells"
    return (
        f"{rule} would {_cost(own, other)}; that {minutes(other.over)} instead of"
        f" {minutes(own.over)} minutes were over the objective, in {times}, may be chance."
    )


def minutes(number: float) -> str:
    """Whole ones where that is what they are."""
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.1f}"


def hours_told(hours: float) -> str:
    """With a tenth where that counts."""
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.1f}"


def _cost(own: Tried, other: Tried) -> str:
    if own.hours == other.hours:
        return "cost the same"
    change = other.hours / own.hours - 1 if own.hours else 1.0
    return f"cost {_share(abs(change))} {'more' if change > 0 else 'less'}"


def _share(part: float) -> str:
    if part < 0.0005:
        return "less than 0.1 %"
    if 0.99 < part < 1:  # never all of it
        return f"{math.floor(1000 * part) / 10:g} %"
    return f"{100 * part:.1f} %" if part < 0.00995 else f"{100 * part:.0f} %"


def _change(before: float, after: float) -> str:
    """Of minutes, which differ."""
    if not before:
        return f"bring {minutes(after)} minutes over the objective, where there are none"
    if not after:
        return f"leave none of {OVER}"
    ratio = after / before
    for near, words in RATIOS.items():
        if abs(ratio / near - 1) <= NEAR:
            return words.format(OVER)
    if ratio >= 2:
        return f"make {OVER} {ratio:.1f} times as many"
    return f"{'cut' if ratio < 1 else 'raise'} {OVER} by {_share(abs(ratio - 1))}"


def told_of(front: Front, group: Group) -> Iterator[str]:
    """How the spec stands among the rules near its own; what the best of them would have changed;
    and what this traffic does not tell."""
    own = front.own
    if front.others:
        yield _standing(front)
        yield from (sentence(own, one) for one in _worth_telling(front))
    elif group.min == group.max:
        yield f"No rule changes anything where group.min is group.max ({group.max})."
    else:
        yield "The spec has no rule that follows from traffic."
    yield from _limits(own.run, group)


def _worth_telling(front: Front) -> list[Tried]:
    """Those nearest to the spec's cost whose difference the traffic tells, the cheapest first; on a
    side where there is none, the nearest one, of which it does not."""
    own = front.own
    cheaper = [one for one in reversed(front.best) if one.hours <= own.hours and one is not own]
    dearer = [one for one in front.best if one.hours > own.hours]
    shown = list[Tried]()
    for side in (cheaper, dearer):
        telling = (one for one in side if differs(own, one))
        shown += list(islice(telling, MOST_TOLD)) or side[:1]
    return sorted(shown, key=lambda one: one.hours)


def _standing(front: Front) -> str:
    own, number = front.own, len(front.others)
    here = (
        f"The spec came to {hours_told(own.hours)} instance-hours and {minutes(own.over)} minutes"
        " over the objective"
    )
    if all((one.hours, one.over) == (own.hours, own.over) for one in front.others):
        return f"{here}, as did all {number} rules near its own."
    better = sum(beats(one, own) for one in front.others) or "none"
    return (
        f"{here}; {better} of {number} rules near its own came to less of one and no more of the"
        " other."
    )


def _limits(run: Run, group: Group) -> Iterator[str]:
    """What nobody may read from this."""
    steps, seconds = len(run.demand), len(run.demand) * run.every
    if seconds < WEEK:
        others = "hours of a day" if seconds < DAY else "days of a week"
        yield f"Of other {others} this traffic of {told(seconds, 's')} tells nothing."
    if unknown := sum(one is None for one in run.demand):
        share = told(unknown / steps, "percentunit")
        yield f"{share} of the time is unknown, and counts for no policy."
    if beyond := sum(one is not None and one > group.max for one in run.demand):
        over = minutes(beyond * run.every / 60)
        yield f"In {over} minutes group.max ({group.max}) was too few: no rule helps there."
    for metric in sorted({rule.metric for rule in group.policies} - REPLAYED):
        yield f"A rule for {NAMES[metric]} never acts here: it does not follow from traffic."

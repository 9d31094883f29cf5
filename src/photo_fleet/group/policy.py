"""When the group grows and shrinks: pure, on whatever clock its caller has.

The rules, as clouds have them:

- What is compared is the average over all ready instances that are older than the warm-up, of their
  means over the last minute. It must be *beyond* the threshold, not at it, in every observation of
  the policy's whole duration.
- The value of an instance that has missed three samples is left out. It then counts as idle where
  the question is to add and as loaded where the question is to remove, so that silence never
  changes the size in the direction that hurts. Without any sample nothing is decided, and what has
  held so far is forgotten.
- One step at a time: nothing is decided while the group is on its way to its desired size.
- After any change of size all windows begin anew, and each policy rests for its cooldown.
- Scale-out wins: nothing is removed while any rule for adding is beyond its threshold.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from photo_fleet.group.samples import MISSED, Reading, Samples
from photo_fleet.spec.fleet import Group, Policy

CLOUD_PERIOD = 60.0
"""Seconds over which clouds average before they compare."""

LOADED = {"cpu": 100.0}
"""What a silent instance counts as where removing is the question; without end for other metrics,
which know no full load."""

UNITS = {"cpu": " %", "in_flight": " requests in flight", "queue_age": " s of queueing"}


@dataclass(frozen=True, slots=True)
class Decision:
    """By how many instances to change, 0 for none, and why, for people."""

    change: int
    reason: str


def scaled(group: Group, factor: float) -> Group:
    """The same group with windows, cooldowns and warm-up `factor` times as short."""
    policies = tuple(
        replace(rule, duration=rule.duration / factor, cooldown=rule.cooldown / factor)
        for rule in group.policies
    )
    return replace(group, warm_up=group.warm_up / factor, policies=policies)


def period(interval: float, factor: float) -> float:
    """Seconds over which an instance's samples are averaged: a minute, shortened by `factor` but
    never to less than the samples that may be missed."""
    return max(CLOUD_PERIOD / factor, interval * MISSED)


class PolicyEngine:
    """Decides for one group from a reading of its instances every `interval` seconds. `covered` are
    the seconds before a reading of which it tells too: none for a sample, all since the one before
    for a mean of them."""

    def __init__(
        self,
        group: Group,
        interval: float = 1.0,
        period: float = CLOUD_PERIOD,
        covered: float = 0.0,
    ) -> None:
        self._group = group
        self._covered = covered
        rules = list(enumerate(group.policies))
        self._adding = [pair for pair in rules if pair[1].is_scale_out]
        self._removing = [pair for pair in rules if not pair[1].is_scale_out]
        self._metrics = frozenset(rule.metric for rule in group.policies)
        self._longest_gap = interval * MISSED
        self._samples = Samples(interval, period)
        self._since: list[float | None] = [None] * len(group.policies)
        self._averages: list[float | None] = [None] * len(group.policies)
        self._counted = 0
        self._observed: float | None = None
        self._changed: float | None = None

    def step(
        self, now: float, desired: int, readings: Sequence[Reading], settled: bool = True
    ) -> Decision:
        """Take the readings of this moment and decide. A change that this asks for counts as made;
        `settled` says whether the group has its desired size and nobody works on it."""
        self._observe(now, readings)
        if not settled:
            return Decision(0, "on the way to the desired size")
        decision = self._decide(now, desired)
        if decision.change:
            self.changed(now)
        return decision

    def changed(self, now: float) -> None:
        """The size was changed, by whomever: windows begin anew and cooldowns start."""
        self._changed = now
        self._forget()

    @property
    def averages(self) -> dict[str, float]:
        """The last group average of each metric, as its rule for adding sees it."""
        pairs = zip(self._group.policies, self._averages, strict=True)
        known = [(rule, value) for rule, value in pairs if value is not None]
        return {
            rule.metric: value
            for rule, value in sorted(known, key=lambda pair: pair[0].is_scale_out)
            if math.isfinite(value)
        }

    def _observe(self, now: float, readings: Sequence[Reading]) -> None:
        if self._observed is not None and now - self._observed >= self._longest_gap:
            self._forget()
        self._observed = now
        self._samples.add(now, readings)
        warm = [item for item in readings if now - item.ready_since >= self._group.warm_up]
        self._counted = sum(item.alike for item in warm)
        mean = self._samples.mean
        means = {
            metric: [(mean(now, item.name, metric), item.alike) for item in warm]
            for metric in self._metrics
        }
        for number, rule in enumerate(self._group.policies):
            average = _average(rule, means[rule.metric])
            self._averages[number] = average
            if average is None or not _is_beyond(rule, average):
                self._since[number] = None
            elif self._since[number] is None:
                self._since[number] = now - self._covered

    def _decide(self, now: float, desired: int) -> Decision:
        if due := [item for item in self._adding if self._is_due(now, *item)]:
            return self._bounded(desired, *max(due, key=lambda item: item[1].step))
        if any(self._since[number] is not None for number, _ in self._adding):
            return Decision(0, "loaded, but not for long enough")
        if due := [item for item in self._removing if self._is_due(now, *item)]:
            return self._bounded(desired, *max(due, key=lambda item: item[1].step))
        return Decision(0, "nothing to do")

    def _is_due(self, now: float, number: int, rule: Policy) -> bool:
        since = self._since[number]
        if since is None or now - since < rule.duration:
            return False
        return self._changed is None or now - self._changed >= rule.cooldown

    def _bounded(self, desired: int, number: int, rule: Policy) -> Decision:
        target = min(self._group.max, max(self._group.min, desired + rule.step))
        change = target - desired
        what = self._describe(number, rule)
        if change * rule.step <= 0:  # at the bound, or beyond it, where a rule cannot help
            bound = "max" if rule.is_scale_out else "min"
            size = getattr(self._group, bound)
            return Decision(0, f"{what}, but the group's {bound} is {size}")
        return Decision(change, f"{what}: {desired} → {target}")

    def _describe(self, number: int, rule: Policy) -> str:
        unit, side = UNITS[rule.metric], "above" if rule.is_scale_out else "below"
        average = self._averages[number]
        return (
            f"{rule.metric} {average:.3g}{unit} on average of {self._counted}, {side}"
            f" {rule.threshold:g}{unit} for {rule.duration:g} s"
        )

    def _forget(self) -> None:
        self._samples.clear()
        self._since = [None] * len(self._group.policies)


def _average(rule: Policy, means: Sequence[tuple[float | None, int]]) -> float | None:
    """Of (mean, instances that have it), the silent ones among them."""
    if all(mean is None for mean, _ in means):
        return None
    silent = 0.0 if rule.is_scale_out else LOADED.get(rule.metric, math.inf)
    total, counted = 0.0, 0
    for mean, alike in means:
        total += (silent if mean is None else mean) * alike
        counted += alike
    return total / counted


def _is_beyond(rule: Policy, average: float) -> bool:
    if rule.is_scale_out:
        return average > rule.threshold
    return average < rule.threshold

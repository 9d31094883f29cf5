"""The spec's rules as NHN Cloud's Auto Scale carries them out, by its own guide.

"Compute > Auto Scale > Overview": samples are a minute long, the average of the group has to be
beyond the threshold in all of a condition's time, that time goes on through a change, each policy
rests for its own cooldown and all of them for the shorter one, and the oldest instances end first.
What is without metrics counts for nothing, and for 3 minutes it counts as failed and is replaced.
"""

import math

from photo_fleet.replay.simulation import Seen, steps_of
from photo_fleet.replay.station import Station
from photo_fleet.spec.fleet import Group, Policy
from photo_fleet.spec.nhn import FAILED_AFTER

MINUTE = 60.0


class NhnPolicy:
    """The rules of `group` for CPU; it has no others that follow from traffic. An instance counts
    from when it is ready: before, it has no load."""

    oldest_first = True

    def __init__(self, name: str, group: Group, station: Station, every: float) -> None:
        self.name = name
        self._group = group
        self._capacity = station.capacity
        self._steps = steps_of(MINUTE, every)
        sample = max(MINUTE, every)
        self._rules = [rule for rule in group.policies if rule.metric == "cpu"]
        self._needed = [steps_of(rule.duration, sample) for rule in self._rules]
        self._held = [0] * len(self._rules)
        self._acted = [-math.inf] * len(self._rules)
        self._rest = min((rule.cooldown for rule in self._rules), default=0.0)
        self._minute: list[float | None] = []

    def want(self, seen: Seen) -> int:
        """At the end of each minute. Of two rules that are due at once the one that adds acts: the
        guide leaves that open."""
        self._minute.append(_used(seen, self._capacity))
        if len(self._minute) < self._steps:
            return seen.wanted
        known = [one for one in self._minute if one is not None]
        self._minute.clear()
        average = sum(known) / len(known) if known else None
        for place, rule in enumerate(self._rules):
            beyond = average is not None and _is_beyond(rule, average)
            self._held[place] = self._held[place] + 1 if beyond else 0
        return self._acts(seen)

    def _acts(self, seen: Seen) -> int:
        if seen.now - max(self._acted, default=-math.inf) < self._rest:
            return seen.wanted
        due = [place for place in range(len(self._rules)) if self._is_due(place, seen.now)]
        for place in sorted(due, key=lambda place: -self._rules[place].step):
            asked = seen.wanted + self._rules[place].step
            wanted = min(self._group.max, max(self._group.min, asked))
            if wanted != seen.wanted:
                self._acted[place] = seen.now
                return wanted
        return seen.wanted

    def _is_due(self, place: int, now: float) -> bool:
        if self._held[place] < self._needed[place]:
            return False
        return now - self._acted[place] >= self._rules[place].cooldown


def caveats(group: Group, boot: float) -> list[str]:
    """What this group's run leaves out, a sentence each."""
    if group.cloud != "nhn":
        return []
    found = ["NHN Cloud's rules: minutes, the group's average, the oldest instance ends first"]
    if boot >= FAILED_AFTER:
        found.append(
            f"boot {boot:g}s ≥ {FAILED_AFTER:g}s, after which an instance without metrics counts as"
            " failed: where it tells none until it serves, it is replaced before that, over and"
            " over, and the group never grows; use an image that boots sooner"
        )
    return found


def _used(seen: Seen, capacity: float) -> float | None:
    """Percent of CPU."""
    if seen.rate is None:
        return None
    return 100 * min(1.0, seen.rate / (len(seen.ready) * capacity)) if seen.ready else 100.0


def _is_beyond(rule: Policy, average: float) -> bool:
    """At the threshold is beyond it there."""
    return average >= rule.threshold if rule.is_scale_out else average <= rule.threshold

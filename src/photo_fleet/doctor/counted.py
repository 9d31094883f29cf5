"""What Prometheus counted of each instance while it was in service."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from photo_fleet.doctor.looks.prometheus import PrometheusLook
from photo_fleet.doctor.looks.registry import Boot
from photo_fleet.doctor.seen import Seen

LATE_PUSH = 60.0
"""Seconds after which what an instance has pushed stands still; it pushes several times in them."""

Target = tuple[str, str]
Sums = Mapping[str, Mapping[float, float]]
"""Of each boot, by its id: what a counter had come to at each look."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The time between two looks at the counters. `serving` are the boots that were in service at
    both. What a counter shows at a look was read up to a scrape before it, at each instance at
    another moment; it is `blurred` where that lets in or leaves out what others did not have a
    part in: at the begin and the end of a time in which the same ones served."""

    before: float
    at: float
    serving: frozenset[str]
    blurred: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """Of the boots that Prometheus has; `targets` are their ids."""

    look: PrometheusLook
    targets: Mapping[Target, str]
    stretches: tuple[Stretch, ...]

    def sums(self, name: str) -> Sums:
        """What the look has under this name. Raises `Unseen`."""
        return _of(self.look, name, self.targets)


def counted(seen: Seen, boots: Mapping[str, Boot], since: Mapping[str, float]) -> Counted:
    """Of these boots by id, in service `since` then. Raises `Unseen` without Prometheus."""
    look = seen.need(PrometheusLook)
    pushes = {
        one.labels.get("instance"): look.window.end - one.values[-1][1]
        for one in look.series("pushed")
        if one.values
    }
    targets = {
        _target(one.labels): one.labels["boot_id"]
        for one in look.series("info")
        if one.labels.get("boot_id") in boots
        and pushes.get(one.labels.get("instance"), 0.0) <= LATE_PUSH
    }
    ready = _of(look, "ready", targets)
    times = sorted({at for values in ready.values() for at in values})
    stretches = [
        Stretch(
            before,
            at,
            frozenset(
                boot
                for boot, values in ready.items()
                if values.get(before) == values.get(at) == 1 and since[boot] <= before
            ),
        )
        for before, at in pairwise(times)
    ]
    late = max(look.window.interval, seen.spec.metrics.interval)
    if any(instance in pushes for _, instance in targets):
        late += LATE_PUSH
    return Counted(look, targets, _blurred(stretches, ceil(late / look.window.step)))


def _blurred(stretches: Sequence[Stretch], edge: int) -> tuple[Stretch, ...]:
    """Those so near to others that serve, or to what was not looked at."""
    return tuple(
        Stretch(
            one.before,
            one.at,
            one.serving,
            blurred=place < edge
            or place + edge >= len(stretches)
            or any(
                other.serving != one.serving for other in stretches[place - edge : place + edge + 1]
            ),
        )
        for place, one in enumerate(stretches)
    )


def more(sums: Mapping[float, float], stretch: Stretch) -> float:
    """By how much a sum grew. It begins anew with an instance, and has no series before there is
    something to count."""
    first = sums.get(stretch.before, 0.0)
    return growth(first, sums.get(stretch.at, first))


def growth(before: float, later: float) -> float:
    """Of a counter, which begins anew with its process."""
    return later - before if later >= before else later


def _of(look: PrometheusLook, name: str, targets: Mapping[Target, str]) -> Sums:
    return {
        targets[_target(one.labels)]: dict(one.values)
        for one in look.series(name)
        if _target(one.labels) in targets
    }


def _target(labels: Mapping[str, str]) -> Target:
    return labels.get("job", ""), labels.get("instance", "")

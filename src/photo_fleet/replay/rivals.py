"""Rules that others scale by, with their own numbers: what the spec's are compared with.

All look at the processor's use, which follows from the load: what the instances that are ready are
asked for, of what saturates them, and never more than all of it. Where a rule's own rhythm is
faster than the steps, all its turns within a step see the same load.
"""

import math
from collections import deque

from photo_fleet.replay.simulation import Seen, ceiling, steps_of
from photo_fleet.replay.station import Station

OUT, IN, REST = 0.7, 0.3, 300.0
OUT_FOR, IN_FOR = 300.0, 600.0
TARGET = 0.6
"""The share of the processor that target tracking and the HPA aim at."""


class Static:
    """Always so many."""

    def __init__(self, number: int) -> None:
        self.name = f"static-{number}"
        self._number = number

    def want(self, seen: Seen) -> int:
        """The number."""
        return self._number


class _Beyond:
    """For how many steps in a row something has been so, up to now."""

    def __init__(self, seconds: float, every: float) -> None:
        self._least = steps_of(seconds, every)
        self._steps = 0

    def for_long_enough(self, holds: bool) -> bool:
        """Whether it has held for all of the seconds, this step included."""
        self._steps = self._steps + 1 if holds else 0
        return self._steps >= self._least


class Step:
    """One more above 70 % through 5 minutes, one fewer below 30 % through 10 minutes, and 5 minutes
    of rest after each change. As a cloud's alarm and unlike the group's own engine, it goes on
    counting through a change."""

    name = "step"

    def __init__(self, station: Station, every: float) -> None:
        self._capacity = station.capacity
        self._above, self._below = _Beyond(OUT_FOR, every), _Beyond(IN_FOR, every)
        self._rests_until = -math.inf

    def want(self, seen: Seen) -> int:
        """One step at a time."""
        used = _used(seen, self._capacity)
        adds = self._above.for_long_enough(used is not None and used > OUT)
        removes = self._below.for_long_enough(used is not None and used < IN)
        if seen.now < self._rests_until or adds == removes:
            return seen.wanted
        self._rests_until = seen.now + REST
        return seen.wanted + (1 if adds else -1)


class TargetTracking:
    """As AWS does it: out after 3 minutes above the target, to ⌈n · use / target⌉; in after 15
    minutes below 0.9 of it, to the same of the highest use of those minutes. Instances that are not
    ready do not count. https://docs.aws.amazon.com/autoscaling/ec2/userguide/"""

    name = "target-tracking"

    def __init__(self, station: Station, every: float) -> None:
        self._capacity = station.capacity
        self._above, self._below = _Beyond(180.0, every), _Beyond(900.0, every)
        self._highest = deque[float](maxlen=steps_of(900.0, every))

    def want(self, seen: Seen) -> int:
        """Where nothing is known, all is counted anew."""
        used = _used(seen, self._capacity)
        adds = self._above.for_long_enough(used is not None and used > TARGET)
        removes = self._below.for_long_enough(used is not None and used < 0.9 * TARGET)
        if used is None:
            return seen.wanted
        self._highest.append(used)
        number = len(seen.ready)
        if adds:
            return max(seen.wanted, ceiling(number * used / TARGET))
        if removes:
            return min(seen.wanted, ceiling(number * max(self._highest) / TARGET))
        return seen.wanted


class Hpa:
    """As Kubernetes' HorizontalPodAutoscaler: ⌈n · use / target⌉ every 15 s, nothing within a
    tenth of the target; up by all there are or 4 in 15 s, whichever is more; down to the highest of
    the last 300 s. https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/"""

    name = "hpa"
    target, tolerance, turn, stabilization = TARGET, 0.1, 15.0, 300.0

    def __init__(self, station: Station, every: float) -> None:
        self._capacity = station.capacity
        self._turns = steps_of(every, self.turn)
        self._lately = deque[int](maxlen=steps_of(self.stabilization, every))

    def want(self, seen: Seen) -> int:
        """Holds where nothing is known."""
        used = _used(seen, self._capacity)
        if used is None:
            return seen.wanted
        ratio = used / self.target
        advised = seen.wanted
        if abs(ratio - 1) > self.tolerance + 1e-9:
            advised = min(ceiling(len(seen.ready) * ratio), self._up_to(seen.wanted))
        self._lately.append(advised)
        return advised if advised >= seen.wanted else min(seen.wanted, max(self._lately))

    def _up_to(self, number: int) -> int:
        for _ in range(self._turns):
            number = max(2 * number, number + 4)
        return number


class Kpa:
    """As Knative's autoscaler: ⌈concurrency / (limit · 0.7)⌉ of a stable window of 60 s. When that
    of the last 6 s is twice what is ready or more, panic: until a stable window has passed without
    that, never down, and up to what those 6 s ask for. Up to 1000 times as many at once, down to
    half. What is in flight counts without what waits; the limit is an instance's workers.
    https://knative.dev/docs/serving/autoscaling/"""

    name = "kpa"
    stable, panic, share = 60.0, 6.0, 0.7

    def __init__(self, station: Station, every: float) -> None:
        self._aim = station.capacity * self.share
        self._loads = deque[float](maxlen=steps_of(self.stable, every))
        self._last = steps_of(self.panic, every)
        self._panics_until = -math.inf

    def want(self, seen: Seen) -> int:
        """Holds where nothing is known."""
        if seen.rate is None:
            return seen.wanted
        self._loads.append(seen.rate)
        ready = len(seen.ready)
        steadily = self._advised(len(self._loads))
        suddenly = self._advised(min(self._last, len(self._loads)))
        if suddenly >= 2 * ready:
            self._panics_until = seen.now + self.stable
        if seen.now < self._panics_until:
            return min(1000 * ready, max(seen.wanted, steadily, suddenly))
        return min(1000 * ready, max(steadily, ready // 2))

    def _advised(self, steps: int) -> int:
        lately = list(self._loads)[-steps:]
        return ceiling(sum(lately) / steps / self._aim)


def _used(seen: Seen, capacity: float) -> float | None:
    return None if seen.rate is None else min(1.0, seen.rate / (len(seen.ready) * capacity))

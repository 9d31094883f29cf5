"""What instances were measured at, kept for as long as it counts."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MISSED = 3
"""Samples that an instance may miss; then its last value is left out."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One ready instance at one moment, or `alike` of them that are the same in all of this.
    `ready_since` is on the clock of the policy; `values` are by metric, and one that could not be
    measured is absent."""

    name: str
    ready_since: float
    values: Mapping[str, float] = field(default_factory=dict)
    alike: int = 1


class Samples:
    """The values of the last `period` seconds by instance and metric, one every `interval`."""

    def __init__(self, interval: float, period: float) -> None:
        self._oldest_that_counts = interval * MISSED
        self._period = period
        self._kept: defaultdict[tuple[str, str], deque[tuple[float, float]]] = defaultdict(deque)

    def add(self, now: float, readings: Iterable[Reading]) -> None:
        """Keep these; what is older than the period goes, and instances that are not among them."""
        present = set()
        for reading in readings:
            present.add(reading.name)
            for metric, value in reading.values.items():
                self._kept[reading.name, metric].append((now, value))
        for key, values in list(self._kept.items()):
            while values and values[0][0] <= now - self._period:
                values.popleft()
            if not values or key[0] not in present:
                del self._kept[key]

    def mean(self, now: float, name: str, metric: str) -> float | None:
        """Of the instance over the period; None when it has been silent for too long."""
        values = self._kept.get((name, metric))
        if not values or now - values[-1][0] >= self._oldest_that_counts:
            return None
        return sum(value for _, value in values) / len(values)

    def clear(self) -> None:
        """Forget everything: a group of another size is measured anew."""
        self._kept.clear()

"""How many instances a load needs: the queue M/M/c, whose requests arrive by chance and wait for
the first of c workers that is free (A. K. Erlang, 1917; formulas as in Gross and Harris,
"Fundamentals of Queueing Theory", 2.3). Each step is taken to be in its steady state: what waits at
its end is not carried into the next one.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LATE = 0.05
"""The share of requests that may take longer than the objective."""
MOST_BUSY = 1000
"""Workers that a load may keep busy, so that the arithmetic has an end."""


class Unreachable(Exception):
    """No number of instances is enough; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Station:
    """Instances of `workers` each, of which each serves `service_rate` requests a second. More than
    5 % of the requests shall not take longer than `objective` seconds. Raises `Unreachable` when
    not even one that waits for nobody would be in time."""

    service_rate: float
    workers: int
    objective: float

    def __post_init__(self) -> None:
        alone = math.exp(-self.service_rate * self.objective)
        if alone > LATE:
            raise Unreachable(
                f"{alone:.0%} of the requests that wait for nobody take longer than"
                f" {self.objective * 1000:g} ms where a worker serves {self.service_rate:g} a"
                " second: raise the objective or the service rate"
            )

    @property
    def capacity(self) -> float:
        """Requests a second that saturate one instance."""
        return self.service_rate * self.workers

    def late(self, rate: float, instances: int) -> float:
        """The share of requests that take longer than the objective, 1 from saturation on."""
        workers, load = instances * self.workers, rate / self.service_rate
        if load >= workers:
            return 1.0
        return self._late(load, workers, _waits(load, workers, _blocked(load, workers)))

    def in_flight(self, rate: float, instances: int) -> float:
        """Requests in an instance, waiting or served; without end from saturation on."""
        workers, load = instances * self.workers, rate / self.service_rate
        if load >= workers:
            return math.inf
        waits = _waits(load, workers, _blocked(load, workers))
        return (load + waits * load / (workers - load)) / instances

    def demand(self, rate: float) -> int:
        """The fewest instances with which no more requests are late than may be, at least one.
        Raises `Unreachable` for a load that is too large to count."""
        load = rate / self.service_rate
        if not load <= MOST_BUSY:
            raise Unreachable(
                f"{rate:g} requests a second keep {load:.0f} workers busy, more than {MOST_BUSY}:"
                " lower the peak or raise the service rate"
            )
        blocked, workers = 1.0, 0
        while True:
            workers += 1
            blocked = load * blocked / (workers + load * blocked)
            if workers % self.workers or load >= workers:
                continue
            if self._late(load, workers, _waits(load, workers, blocked)) <= LATE:
                return workers // self.workers

    def demands(self, rates: Iterable[float]) -> Mapping[float, int]:
        """The same of each rate. Demand grows with the rate: between two that need as many, all
        do."""
        levels = sorted(set(rates))
        found: dict[float, int] = {}
        spans = [(0, len(levels) - 1)] if levels else []
        while spans:
            low, high = spans.pop()
            for end in (low, high):
                if levels[end] not in found:
                    found[levels[end]] = self.demand(levels[end])
            if found[levels[low]] == found[levels[high]]:
                found.update(dict.fromkeys(levels[low : high + 1], found[levels[low]]))
            elif high - low > 1:
                middle = (low + high) // 2
                spans += [(low, middle), (middle, high)]
        return found

    def _late(self, load: float, workers: int, waits: float) -> float:
        """P(T > objective) = e^(−μt) · (1 + C · (1 − e^(−μt·(c−1−a))) / (c−1−a)), written so that
        nothing in it is too large."""
        served = self.service_rate * self.objective
        spare = (workers - 1 - load) * served
        size = abs(spare)
        share = -math.expm1(-size) / size if size else 1.0
        return math.exp(-served) + waits * served * share * math.exp(-served - min(0.0, spare))


def _blocked(load: float, workers: int) -> float:
    """Erlang B, by its recursion over the workers."""
    blocked = 1.0
    for number in range(1, workers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked


def _waits(load: float, workers: int, blocked: float) -> float:
    """Erlang C, the share that has to wait, from Erlang B."""
    return blocked / (1 - load / workers * (1 - blocked))

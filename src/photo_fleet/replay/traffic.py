"""What was asked of a service, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

MOST_STEPS = 600_000
"""A year of minutes, and some."""


class BadTraffic(Exception):
    """Something is no traffic; the text completes the sentence "SOURCE: …" and says what to do."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a second in steps of `every` seconds; None is a step of which nobody knows, which is
    not one without requests. `start` is when the first begins, in epoch seconds, where that is
    known. Raises `BadTraffic` where nothing was asked for, or nobody knows it."""

    rates: Sequence[float | None]
    every: float
    start: float | None = None

    def __post_init__(self) -> None:
        if not self.rates:
            raise BadTraffic("it has no steps: give one number a line, the requests of that step")
        if self.unknown == len(self.rates):
            raise BadTraffic("of none of its steps anybody knows what was asked for")
        if any(rate is not None and not rate >= 0 for rate in self.rates):
            raise BadTraffic("in one of its steps fewer than no requests were asked for")
        if self.peak <= 0:
            raise BadTraffic("in none of its steps anything was asked for")

    @property
    def peak(self) -> float:
        """Requests a second in the busiest step."""
        return max(rate for rate in self.rates if rate is not None)

    @property
    def unknown(self) -> int:
        """Steps of which nobody knows."""
        return sum(rate is None for rate in self.rates)

    def scaled(self, peak: float) -> "Traffic":
        """The same shape, with so many requests a second in its busiest step."""
        factor = peak / self.peak
        rates = (None if rate is None else rate * factor for rate in self.rates)
        return replace(self, rates=tuple(rates))

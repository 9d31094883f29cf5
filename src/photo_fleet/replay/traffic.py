"""What was asked of a service, step by step."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a second in steps of `every` seconds; None is a step of which nobody knows, which is
    not one without requests. `start` is when the first begins, in epoch seconds, where that is
    known. Raises ValueError for what is no traffic."""

    rates: Sequence[float | None]
    every: float
    start: float | None = None

    def __post_init__(self) -> None:
        if not any(rate is not None for rate in self.rates):
            raise ValueError("of no step anybody knows what was asked for")

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
        if self.peak <= 0:
            raise ValueError("in no step anything was asked for")
        factor = peak / self.peak
        rates = tuple(None if rate is None else rate * factor for rate in self.rates)
        return Traffic(rates, self.every, self.start)

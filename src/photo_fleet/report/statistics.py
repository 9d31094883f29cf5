"""What chance explains, and what differs from its peers. Pure."""

import math
import statistics
from collections.abc import Mapping

NORMAL = 0.6745
"""By which the median of absolute deviations is divided to be a normal one's deviation (Iglewicz
and Hoaglin, How to Detect and Handle Outliers, 1993)."""
LEAST_SPREAD = 0.05
"""Of the median: peers that agree to the last digit leave no deviation to compare with."""


def poisson_tail(least: int, mean: float) -> float:
    """How probable `least` events or more are where `mean` are usual."""
    below = sum(
        math.exp(n * math.log(mean) - mean - math.lgamma(n + 1)) for n in range(least)
    ) if mean > 0 else float(least > 0)  # fmt: skip
    return max(0.0, 1.0 - below)


def robust_scores(values: Mapping[str, float]) -> dict[str, float]:
    """How far each is above the median, in deviations that the outliers do not widen."""
    middle = statistics.median(values.values())
    spread = statistics.median(abs(value - middle) for value in values.values())
    unit = max(spread / NORMAL, LEAST_SPREAD * abs(middle), 1e-12)
    return {name: (value - middle) / unit for name, value in values.items()}

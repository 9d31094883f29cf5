"""Which time is looked at, and what the variables of expressions are for it."""

import math
import re
from dataclasses import dataclass

MOST_POINTS = 240
"""Of a series: a pixel and a half each, where the picture is widest."""
USUAL_INTERVAL = 15.0
"""Seconds between two scrapes, where nothing tells them."""
ALL = ".+"
"""The regular expression of any label."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `start` to `end`, in epoch seconds. `interval` is the time between two scrapes; `job`
    and `instance` are regular expressions of those that are looked at; `points` is the most of them
    that a series may have."""

    start: float
    end: float
    interval: float = USUAL_INTERVAL
    job: str = ALL
    instance: str = ALL
    points: int = MOST_POINTS

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start

    @property
    def step(self) -> int:
        """Seconds between two points."""
        return max(1, math.ceil(max(self.interval, self.seconds / self.points)))

    def expression(self, expr: str) -> str:
        """PromQL of `expr`, whose variables have values; as Grafana sets them."""
        rates = max(self.step + self.interval, 4 * self.interval)
        values = {
            "$__rate_interval": f"{math.ceil(rates)}s",
            "$__range": f"{math.ceil(self.seconds)}s",
            "$job": _quoted(self.job),
            "$instance": _quoted(self.instance),
        }
        names = "|".join(re.escape(name) for name in values)
        return re.sub(names, lambda found: values[found[0]], expr)


def _quoted(text: str) -> str:
    """As it stands between the quotes of PromQL."""
    return text.replace("\\", "\\\\").replace('"', '\\"')

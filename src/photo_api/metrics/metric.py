"""What a metric is: its name, its kind, what it means, and the values that its labels may take."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Allowed = frozenset[str] | re.Pattern[str]
"""Values of a label: these, or those that match as a whole."""

Values = tuple[str, ...]
"""Of a metric's labels, in their order: together they name a series."""

OTHER = "other"
"""What a value becomes that its label does not allow."""

MOST_ZEROS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """One metric. `edges` are the upper ends of a histogram's buckets, without the last, which has
    none. A gauge that several processes report is `joined` to the instance's."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    meaning: str
    labels: Mapping[str, Allowed]
    edges: tuple[float, ...] = ()
    joined: Literal["sum", "max"] = "sum"

    def bounded(self, values: Values) -> Values:
        """These values, `OTHER` for each that its label does not allow. Raises ValueError unless
        there is one for each label."""
        pairs = zip(values, self.labels.values(), strict=True)
        return tuple(value if _allows(allowed, value) else OTHER for value, allowed in pairs)

    def zeros(self) -> list[Values]:
        """The series that are there from the start, so that the first event is an increase. None
        where there may be many."""
        series: list[Values] = [()]
        for allowed in self.labels.values():
            if isinstance(allowed, re.Pattern) or len(series) * len(allowed) > MOST_ZEROS:
                return []
            series = [(*one, value) for one in series for value in sorted(allowed)]
        return series


def _allows(allowed: Allowed, value: str) -> bool:
    if isinstance(allowed, re.Pattern):
        return allowed.fullmatch(value) is not None
    return value in allowed


def counter(name: str, meaning: str, **labels: Allowed) -> Metric:
    """A sum that only grows while the instance lives; its name ends with `_total`."""
    return Metric(name, "counter", meaning, labels)


def gauge(
    name: str, meaning: str, *, joined: Literal["sum", "max"] = "sum", **labels: Allowed
) -> Metric:
    """A number that rises and falls."""
    return Metric(name, "gauge", meaning, labels, joined=joined)


def histogram(name: str, meaning: str, edges: tuple[float, ...], **labels: Allowed) -> Metric:
    """How many amounts were at most as large as each edge, and their sum."""
    return Metric(name, "histogram", meaning, labels, edges)


def one_of(*allowed: str) -> frozenset[str]:
    """What a label may be."""
    return frozenset(allowed)

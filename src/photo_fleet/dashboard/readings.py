"""What a Prometheus answered, made safe: its numbers and labels are believed in nothing."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

MOST_READ = 1000
MOST_VALUES = 1000
LONGEST_LABEL = 120
LONGEST_PROBLEM = 300
LARGEST, LATEST = 1e18, 1e11
"""No number of a fleet is beyond the one, no time of a calendar beyond the other."""
VARIABLE = re.compile(r"\{\{\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*\}\}")

Values = tuple[tuple[float, float], ...]
"""(epoch seconds, number) in order of time; finite ones that a fleet can have."""


class Unread(Exception):
    """Why something could not be read, in words for operators."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer."""

    labels: Mapping[str, str]
    values: Values


@dataclass(frozen=True, slots=True)
class Answer:
    """What one expression gave. `problem` tells why nothing could be read; `warning` that it may
    not be all."""

    series: tuple[Series, ...] = ()
    problem: str = ""
    warning: str = ""

    @property
    def whole(self) -> bool:
        """Whether Prometheus answered, and with all that it has."""
        return not self.problem and not self.warning


def parse(body: bytes) -> Answer:
    """An answer of `/api/v1/query` or `query_range`. Raises Unread for whatever else it is."""
    try:
        told = json.loads(body)
        if told["status"] != "success":
            raise Unread(f"it refused: {_text(told.get('error', 'without a reason'))}")
        found = told["data"]["result"]
        if not isinstance(found, list):
            raise TypeError
        warnings = told.get("warnings") or []
        warning = "; ".join(_text(one) for one in warnings[:3])
        if len(found) > MOST_READ:
            warning = f"{len(found)} series, of which the first {MOST_READ} are shown"
        return Answer(tuple(_series(one) for one in found[:MOST_READ]), warning=warning)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError):
        raise Unread("its answer is not that of a Prometheus") from None


def _series(told: dict[str, object]) -> Series:
    metric, values = told["metric"], told.get("values") or [told["value"]]
    if not isinstance(metric, dict) or not isinstance(values, list):
        raise TypeError
    labels = {_text(name): _text(value, LONGEST_LABEL) for name, value in metric.items()}
    pairs = [(float(at), float(value)) for at, value in values[:MOST_VALUES]]
    usable = [(at, value) for at, value in pairs if 0 <= at <= LATEST and abs(value) <= LARGEST]
    return Series(labels, tuple(sorted(usable)))


def _text(value: object, most: int = LONGEST_PROBLEM) -> str:
    """Without what no page can show, and of a bounded length."""
    shown = "".join(sign if sign.isprintable() else "�" for sign in str(value))
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def named(legend: str, labels: Mapping[str, str]) -> str:
    """What a legend calls the series with these labels."""
    return VARIABLE.sub(lambda found: labels.get(found[1], ""), legend) or "–"

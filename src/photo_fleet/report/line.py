"""What a report says: one line for each item of the guide's check list."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Period = Literal["daily", "weekly", "monthly"]
Verdict = Literal["pass", "fail", "unknown"]

PERIODS: Mapping[Period, float] = {"daily": 86400.0, "weekly": 7 * 86400.0, "monthly": 30 * 86400.0}
"""Seconds that each looks back."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of numbers and names, with their headings; `left_out` rows were too many to show."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Curve:
    """One series of a plot: (epoch seconds, value) in order of time."""

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """What a line shows over time. `limit` is what its values shall stay below, or above when
    `at_least`. `unit` is one of the dashboard's."""

    title: str
    unit: str
    curves: tuple[Curve, ...]
    limit: float | None = None
    at_least: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One item. `code` stays for ever. `answer` are the numbers in words; `why_unknown` is empty
    unless something that is needed could not be read: such a line never passes. `todo` is what to
    do when it does not pass, `command` what shows more."""

    code: str
    question: str
    verdict: Verdict
    answer: str
    todo: str = ""
    command: str = ""
    why_unknown: str = ""
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Of the fleet `fleet` from `start` to `end` (epoch seconds), read at `made`. `sources` say
    what was asked and how whole its answers are."""

    period: Period
    fleet: str
    start: float
    end: float
    made: float
    lines: tuple[Line, ...]
    sources: tuple[str, ...]

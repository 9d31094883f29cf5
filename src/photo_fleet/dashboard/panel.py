"""What dashboards are made of, whoever draws them: Grafana or `photo-fleet dashboard --html`.

Expressions are PromQL with Grafana's variables: `$job` and `$instance` choose what is looked at,
`$__rate_interval` is a time that holds at least four scrapes, `$__range` all that is shown.
"""

from dataclasses import dataclass, replace
from typing import Literal

Unit = Literal["short", "percentunit", "s", "bytes", "Bps", "reqps", "ops", "cores"]
"""As Grafana names them, but for `cores`, which is its `short` with a name for the axis."""

SCOPE = 'job=~"$job",instance=~"$instance"'


@dataclass(frozen=True, slots=True)
class Query:
    """One expression. `legend` names its series: `{{label}}` is that label's value."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: `lines` and `stack` over time, `stat` as a number of all that is shown.

    `objective` is what the values shall not fall below, or with `at_most` not exceed. `least` and
    `most` are ends of the axis, where the data alone do not give them."""

    title: str
    meaning: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Literal["lines", "stack", "stat"] = "lines"
    objective: float | None = None
    at_most: bool = False
    least: float | None = 0.0
    most: float | None = None

    def held_to(self, objective: float, *, at_most: bool = False) -> "Panel":
        """The same panel with an objective."""
        return replace(self, objective=objective, at_most=at_most)


@dataclass(frozen=True, slots=True)
class Section:
    """Panels that are read together."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard of Grafana, or one chapter of the page. `uid` stays for ever: links have it."""

    uid: str
    title: str
    meaning: str
    sections: tuple[Section, ...]

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All of them, in order."""
        return tuple(panel for section in self.sections for panel in section.panels)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened at a moment, marked in all pictures over time. It lasts while `expr` gives a
    series; with `at_value` the value is the moment, in milliseconds since the epoch."""

    title: str
    text: str
    expr: str
    colour: Literal["green", "blue", "orange", "red", "purple"]
    at_value: bool = False


def lines(title: str, meaning: str, unit: Unit, *queries: tuple[str, str]) -> Panel:
    """A line for each series."""
    return Panel(title, meaning, unit, tuple(Query(*one) for one in queries))


def stack(title: str, meaning: str, unit: Unit, *queries: tuple[str, str]) -> Panel:
    """Series upon each other: their sum is of interest, too."""
    return Panel(title, meaning, unit, tuple(Query(*one) for one in queries), kind="stack")


def stat(title: str, meaning: str, unit: Unit, *queries: tuple[str, str]) -> Panel:
    """A number for each series, of all the time that is shown or of its end."""
    found = tuple(Query(*one) for one in queries)
    return Panel(title, meaning, unit, found, kind="stat", least=None)


def series(name: str, matchers: str = "") -> str:
    """The series of a metric that are looked at."""
    return f"{name}{{{SCOPE}{',' if matchers else ''}{matchers}}}"


def rate(name: str, matchers: str = "") -> str:
    """What a counter grows by in a second."""
    return f"rate({series(name, matchers)}[$__rate_interval])"


def increase(name: str, matchers: str = "") -> str:
    """What a counter has grown by in all that is shown."""
    return f"increase({series(name, matchers)}[$__range])"


def total(expr: str, by: str = "") -> str:
    """The sum over all series, or over those that agree in the labels `by`."""
    return f"sum by ({by}) ({expr})" if by else f"sum({expr})"


def sum_or_none(part: str, whole: str, by: str = "") -> str:
    """The sum of a part. One of which there is no series yet, such as failures of an instance that
    has had none, is 0 instead of nothing."""
    return f"{total(part, by)} or 0 * {total(whole, by)}"


def share(part: str, whole: str, by: str = "") -> str:
    """The ratio of two sums, 0 where there is nothing of the part."""
    return f"({sum_or_none(part, whole, by)}) / {total(whole, by)}"


def quantile(q: float, name: str, matchers: str = "", by: str = "") -> str:
    """Of a histogram."""
    edges = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, {total(rate(name + '_bucket', matchers), edges)})"

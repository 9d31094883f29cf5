"""Which series of a panel are drawn, how they are called and coloured, so that a fleet of any size
stays legible. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from photo_fleet.dashboard.panel import Panel, Query
from photo_fleet.dashboard.readings import Answer, Values, named

MOST_LINES = 10
"""More than these nobody tells apart."""
COLOURS = 12
MOST_NAMED = 8

MEANT = {
    **{"ready": "good", "starting": "warn", "draining": "info", "lost": "bad"},
    **{
        "ok": "good",
        "done": "good",
        "failed": "bad",
        "whole": "good",
        "cut": "bad",
        "unavailable": "bad",
        "refused": "warn",
    },
    **{"dead": "bad", "postponed": "warn", "handed_back": "info", "broken_off": "info"},
    **{"wanted": "s1", "members": "s0"},
    **{"2xx": "good", "3xx": "s5", "4xx": "warn", "5xx": "bad"},
    **{"p50": "s0", "p95": "s1", "p99": "s3"},
}
"""Words that have a colour of their own wherever they stand."""


@dataclass(frozen=True, slots=True)
class Line:
    """One series as it is drawn. `colour` is a name of the page's style."""

    name: str
    colour: str
    values: Values

    @property
    def last(self) -> float:
        """What it is at its end."""
        return self.values[-1][1]

    @property
    def ends(self) -> float:
        """When that was, in epoch seconds."""
        return self.values[-1][0]

    @property
    def peak(self) -> float:
        """Its highest value."""
        return max(value for _, value in self.values)

    @property
    def mean(self) -> float:
        """Over its points."""
        return sum(value for _, value in self.values) / len(self.values)


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a panel shows: lines, names of those that are nothing but 0, and how many more there
    were."""

    lines: tuple[Line, ...]
    zeros: tuple[str, ...] = ()
    hidden: int = 0


def instance_colours(answers: Sequence[Answer]) -> dict[str, int]:
    """A colour for each instance that any answer names, the same in all panels."""
    names = {one.labels["instance"] for told in answers for one in told.series
             if "instance" in one.labels}  # fmt: skip
    return {name: number % COLOURS for number, name in enumerate(sorted(names))}


def drawn(panel: Panel, answers: Sequence[Answer], instances: Mapping[str, int]) -> Drawn:
    """The lines of a panel, the most important first; in a stack all others are one line."""
    named_values = _named(panel.queries, answers)
    zeros = [name for name, values in named_values if not any(value for _, value in values)]
    if len(named_values) - len(zeros) > 0 and len(zeros) > 1:
        named_values = [one for one in named_values if one[0] not in zeros]
    else:
        zeros = []
    if len(named_values) > MOST_LINES:
        ranked = sorted(named_values, key=lambda one: -_weight(one[1]))
        kept = {name for name, _ in ranked[:MOST_LINES]}
        rest = [values for name, values in named_values if name not in kept]
        named_values = [one for one in named_values if one[0] in kept]
    else:
        rest = []
    lines = _coloured(named_values, instances)
    if rest and panel.kind == "stack":
        lines.append(Line(f"{len(rest)} others", "muted", _sum(rest)))
        rest = []
    return Drawn(tuple(lines), tuple(sorted(zeros)), len(rest))


def _named(queries: Sequence[Query], answers: Sequence[Answer]) -> list[tuple[str, Values]]:
    """With a name for each; two that a legend calls the same are told apart by a number."""
    found: list[tuple[str, Values]] = []
    seen: dict[str, int] = {}
    for query, answer in zip(queries, answers, strict=True):
        told = [(named(query.legend, one.labels), one.values) for one in answer.series]
        for name, values in sorted(told) if "{{" in query.legend else told:
            if values:
                seen[name] = seen.get(name, 0) + 1
                found.append((name if seen[name] == 1 else f"{name} ({seen[name]})", values))
    return found


def _weight(values: Values) -> float:
    return sum(abs(value) for _, value in values)


def _sum(rest: Sequence[Values]) -> Values:
    sums: dict[float, float] = {}
    for values in rest:
        for at, value in values:
            sums[at] = sums.get(at, 0.0) + value
    return tuple(sorted(sums.items()))


def _coloured(
    named_values: Sequence[tuple[str, Values]], instances: Mapping[str, int]
) -> list[Line]:
    """Each its own colour: the one that it is meant to have, or the next that is free."""
    used: set[str] = set()
    lines = []
    for number, (name, values) in enumerate(named_values):
        wanted = _meant(name, number, instances)
        if wanted in used:
            free = (f"s{(number + step) % COLOURS}" for step in range(COLOURS))
            wanted = next((one for one in free if one not in used), wanted)
        used.add(wanted)
        lines.append(Line(name, wanted, values))
    return lines


def _meant(name: str, number: int, instances: Mapping[str, int]) -> str:
    if name in instances:
        return f"s{instances[name]}"
    return MEANT.get(name.rpartition(": ")[2], f"s{number % COLOURS}")

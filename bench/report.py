"""Measured rows, and how they are shown."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound for a row's ratio, or for its measured value if it has nothing to compare with."""

    bound: float
    at_most: bool = False

    def met_by(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:.3g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One result: medians of the rounds. `spread` holds the least and the largest ratio.

    `cpu_us` is what a request costs the server's process, and `busy` how much of one core that
    process used while it was measured, each for both sides. Where that is not nearly 1, something
    else was the limit, and the ratio of the CPU costs decides instead of that of the rates.

    `other` is the rate of another server that speaks the contract, `other_ratio` ours by it, and
    `other_cpu_us` what a request costs it, where its processes are known.
    """

    name: str
    unit: str
    ours: float
    limit: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    cpu_us: tuple[float, float] | None = None
    busy: tuple[float, float] | None = None
    goal: Goal | None = None
    other: float | None = None
    other_ratio: float | None = None
    goal_of_other: Goal | None = None
    other_cpu_us: float | None = None

    @property
    def verdict(self) -> str:
        """ok, miss, or nothing for a row without a goal."""
        held = [(self.goal, self.judged), (self.goal_of_other, self.other_ratio)]
        met = [goal.met_by(value) for goal, value in held if goal is not None and value is not None]
        return "" if not met else "ok" if all(met) else "miss"

    @property
    def decides(self) -> str:
        """What the goal is held against where there is a choice: the rates, or the CPU costs where
        a side had to wait for something else, such as another program on this machine."""
        if self.busy is None or self.cpu_ratio is None:
            return ""
        return "CPU" if min(self.busy) < BUSY_ENOUGH else "rate"

    @property
    def judged(self) -> float:
        """What the goal is held against."""
        found = self.cpu_ratio if self.decides == "CPU" else self.ratio
        return self.ours if found is None else found

    @property
    def cpu_ratio(self) -> float | None:
        """What the limit pays for a request by what we pay."""
        return None if self.cpu_us is None else self.cpu_us[1] / self.cpu_us[0]


BUSY_ENOUGH = 0.9

HEADINGS = (
    *("row", "unit", "ours", "limit", "ratio", "least–most", "goal", ""),
    *("CPU µs ours/limit", "CPU ratio", "busy ours/limit", "decides"),
    *("other", "ours/other", "CPU µs other"),
)


def as_table(rows: Sequence[Row]) -> str:
    """Columns aligned for a terminal, Markdown for everything else."""
    lines = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    texts = [_line(line, widths) for line in lines]
    texts.insert(1, _line(["-" * width for width in widths], widths))
    return "\n".join(texts)


def as_json(rows: Sequence[Row]) -> str:
    """One object with the machine and the rows."""
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    found = [
        {**asdict(row), "cpu_ratio": row.cpu_ratio, "verdict": row.verdict, "decides": row.decides}
        for row in rows
    ]
    return json.dumps({"machine": machine, "rows": found}, indent=2)


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return f"| {' | '.join(padded)} |"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        row.unit,
        _number(row.ours),
        "" if row.limit is None else _number(row.limit),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        _pair(row.spread, "–", ".2f"),
        _goals(row),
        row.verdict,
        _pair(row.cpu_us, " / ", ".0f"),
        "" if row.cpu_ratio is None else f"{row.cpu_ratio:.2f}",
        _pair(row.busy, " / ", ".2f"),
        row.decides,
        "" if row.other is None else _number(row.other),
        "" if row.other_ratio is None else f"{row.other_ratio:.2f}",
        "" if row.other_cpu_us is None else f"{row.other_cpu_us:.0f}",
    )


def _goals(row: Row) -> str:
    own = [] if row.goal is None else [str(row.goal)]
    return ", ".join(own + ([f"{row.goal_of_other} other"] if row.goal_of_other else []))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _pair(pair: tuple[float, float] | None, between: str, form: str) -> str:
    return "" if pair is None else f"{pair[0]:{form}}{between}{pair[1]:{form}}"

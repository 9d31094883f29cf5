"""A report for machines. Keys are only ever added; times are in UTC, those of points in seconds
since the epoch.

format      1
period      daily, weekly or monthly
fleet, start, end, made
verdict     pass, fail or unknown: the worst of the lines
counts      {pass, fail, unknown}
sources     what was asked, and how whole its answers are
lines       in the order of the check list:
  code          stays for ever
  question, verdict, answer
  todo, command what to do, and what shows more; may be empty
  why_unknown   empty unless something that is needed could not be read
  tables        [{headings, rows, left_out}]: `left_out` rows were too many to show
  plots         [{title, unit, limit, at_least, curves: [{name, points: [[at, value]]}]}]: values
                shall stay below `limit`, or above it with `at_least`; null: there is none, or of a
                value that it is no number
"""

import json
import math
from typing import Any

from photo_fleet.report.conclusion import conclusion
from photo_fleet.report.line import Line, Plot, Report, Table
from photo_fleet.report.times import iso
from photo_fleet.report.visible import visible

FORMAT = 1


def dumps(report: Report) -> str:
    """As JSON text."""
    return json.dumps(body(report), ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def body(report: Report) -> dict[str, Any]:
    """As JSON's own types."""
    verdicts = [line.verdict for line in report.lines]
    told = visible(report)
    return {
        "format": FORMAT,
        "period": told.period,
        "fleet": told.fleet,
        "start": iso(told.start),
        "end": iso(told.end),
        "made": iso(told.made),
        "verdict": conclusion(told),
        "counts": {one: verdicts.count(one) for one in ("pass", "fail", "unknown")},
        "sources": list(told.sources),
        "lines": [_line(one) for one in told.lines],
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "code": line.code,
        "question": line.question,
        "verdict": line.verdict,
        "answer": line.answer,
        "todo": line.todo,
        "command": line.command,
        "why_unknown": line.why_unknown,
        "tables": [_table(one) for one in line.tables],
        "plots": [_plot(one) for one in line.plots],
    }


def _table(table: Table) -> dict[str, Any]:
    rows = [list(row) for row in table.rows]
    return {"headings": list(table.headings), "rows": rows, "left_out": table.left_out}


def _plot(plot: Plot) -> dict[str, Any]:
    curves = [
        {"name": one.name, "points": [[at, _finite(value)] for at, value in one.points]}
        for one in plot.curves
    ]
    return {
        "title": plot.title,
        "unit": plot.unit,
        "limit": _finite(plot.limit),
        "at_least": plot.at_least,
        "curves": curves,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

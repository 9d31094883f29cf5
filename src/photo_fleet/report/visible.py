"""A report whose texts can be shown: names and causes that fleets tell come from anybody."""

from dataclasses import replace

from photo_base.log_lines import one_line, pasteable, printable
from photo_fleet.report.line import Curve, Line, Plot, Report, Table

LONGEST_TEXT, LONGEST_CELL, LONGEST_COMMAND = 2000, 200, 4000
"""Characters."""


def visible(report: Report) -> Report:
    """The same on single lines of a bounded length, without secrets and without what terminals and
    browsers obey: control characters and those that turn the direction of writing."""
    return replace(
        report,
        fleet=_text(report.fleet, LONGEST_CELL),
        lines=tuple(_line(one) for one in report.lines),
        sources=tuple(_text(one) for one in report.sources),
    )


def _line(line: Line) -> Line:
    return replace(
        line,
        question=_text(line.question),
        answer=_text(line.answer),
        todo=_text(line.todo),
        command=_printable(pasteable(line.command), LONGEST_COMMAND),
        why_unknown=_text(line.why_unknown),
        tables=tuple(_table(one) for one in line.tables),
        plots=tuple(_plot(one) for one in line.plots),
    )


def _table(table: Table) -> Table:
    return replace(
        table,
        headings=tuple(_text(one, LONGEST_CELL) for one in table.headings),
        rows=tuple(tuple(_text(cell, LONGEST_CELL) for cell in row) for row in table.rows),
    )


def _plot(plot: Plot) -> Plot:
    curves = tuple(Curve(_text(one.name, LONGEST_CELL), one.points) for one in plot.curves)
    return replace(plot, title=_text(plot.title, LONGEST_CELL), curves=curves)


def _text(text: str, most: int = LONGEST_TEXT) -> str:
    return _printable(one_line(text), most)


def _printable(text: str, most: int) -> str:
    shown = printable(text).strip()
    return shown if len(shown) <= most else shown[: most - 1] + "…"

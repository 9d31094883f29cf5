"""A report as Markdown, for terminals, mails and issues, in which every text is text. Pure."""

import re
from collections.abc import Iterable, Sequence
from datetime import tzinfo

from photo_fleet.dashboard.units import told
from photo_fleet.report.conclusion import answered, headline
from photo_fleet.report.line import Line, Plot, Report, Table, Verdict
from photo_fleet.report.plots import curves, unit_of
from photo_fleet.report.times import moment, span
from photo_fleet.report.visible import visible

WORDS: dict[Verdict, str] = {"pass": "pass", "fail": "**FAIL**", "unknown": "**unknown**"}

_SIGNS = re.compile(r"[\\`*\[\]<|~$]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])|(?<=\s)#(?=#*$)")
"""What means something within a line; `_` does not inside a word."""
_FIRST = re.compile(r"^(\d{0,9})([#+=.)-](?=[\s#+=-]|$)|>)")
"""What means something where a line begins."""


def markdown(report: Report, zone: tzinfo) -> str:
    """The whole text, in the order of the check list with an overview first. `zone` is the one that
    times are told in."""
    shown = visible(report)
    head = (
        f"# Photo API: {shown.period} report of {escaped(shown.fleet)}",
        f"**{headline(shown)}**",
        f"{span(shown.start, shown.end, zone)}, read at {moment(shown.made, zone)}",
        "\n".join(f"- {escaped(one)}" for one in shown.sources),
        _overview(shown.lines),
    )
    sections = (part for line in shown.lines for part in _section(line))
    return "\n\n".join(part for part in (*head, *sections) if part) + "\n"


def escaped(text: str) -> str:
    """A text in which nothing is markup, nor ends a table's cell."""
    return _FIRST.sub(r"\1\\\2", _SIGNS.sub(r"\\\g<0>", text))


def code(text: str) -> str:
    """A text as it is, whatever signs it has."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence, gap = "`" * (longest + 1), " " if "`" in text[:1] + text[-1:] else ""
    return f"{fence}{gap}{text}{gap}{fence}"


def _overview(lines: Iterable[Line]) -> str:
    rows = [(WORDS[one.verdict], escaped(one.question), escaped(answered(one))) for one in lines]
    return _grid(("", "question", "answer"), rows)


def _section(line: Line) -> Iterable[str]:
    """Nothing of a line that passes and has no more to tell than its answer."""
    numbers = [*map(_table, line.tables), *map(_plot, line.plots)]
    if line.verdict == "pass" and not any(numbers):
        return
    yield f"## {escaped(line.question)}"
    yield f"{WORDS[line.verdict]} ({code(line.code)}): {escaped(answered(line))}"
    if line.todo and line.verdict == "fail":
        yield f"What to do: {escaped(line.todo)}"
    if line.command and line.verdict != "pass":
        yield f"What shows more: {code(line.command)}"
    yield from numbers


def _table(table: Table) -> str:
    rows = [[escaped(cell) for cell in row] for row in table.rows]
    more = f"\n\n{table.left_out} more rows" if table.left_out else ""
    return _grid([escaped(one) for one in table.headings], rows) + more


def _plot(plot: Plot) -> str:
    """Its numbers, as nothing is drawn here."""
    found, unit = curves(plot, {}), unit_of(plot)
    rows = [
        (escaped(one.name), *(told(number, unit) for number in (one.mean, one.peak, one.last)))
        for one in found.lines
    ]
    return _grid((escaped(plot.title), "on average", "at most", "at the end"), rows)


def _grid(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown; empty without rows."""
    if not rows:
        return ""
    lines = (headings, ["---"] * len(headings), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

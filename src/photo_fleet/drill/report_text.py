"""A drill for people at a terminal: one row for each scenario, then what was violated."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from photo_fleet.drill.gates import MEANINGS, Gate
from photo_fleet.drill.statistics import Phase
from photo_fleet.drill.verdict import UNSERVED, Drill, Judged, Verdict

NUMBERS = ("requests", *(way.value for way in UNSERVED), "effects", "store", "95 % ≤")
NOTES = (
    "refused, failed, cut, lost: requests to the service, without refusals that the load provoked;"
    " effects: duplicates, ghosts and acknowledged losses; store: requests to the object store that"
    " were not served; 95 % ≤: upper bound of the share not served (Clopper-Pearson, 3/n for 0);"
    " p99 in seconds before / during / after the faults; back: seconds until all was served again;"
    " stall: the longest that the drill itself was late, which latencies may hold."
)


def summary(drill: Drill) -> RenderableType:
    """All of it; as wide as the terminal."""
    table = Table(title="Drill", title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("scenario", no_wrap=True)
    table.add_column("gate", no_wrap=True)
    for heading in (*NUMBERS, "p99", "back", "stall"):
        table.add_column(heading, justify="right")
    for item in drill.judged:
        table.add_row(*_row(item))
    return Group(table, Text(NOTES, style="dim"), *violation_lines(drill), _conclusion(drill))


def _row(judged: Judged) -> list[Text]:
    verdict = judged.verdict
    numbers = [verdict.requests, *(verdict.total(way, "api") for way in UNSERVED)]
    return [
        Text(verdict.scenario),
        _gate(verdict),
        *(Text(str(number)) for number in numbers),
        Text(str(verdict.effects)),
        Text(str(verdict.unserved("store"))),
        Text(percent(verdict.bound("unserved").upper)),
        Text(" / ".join(seconds(_p99(verdict, phase)) for phase in Phase)),
        Text("never" if verdict.recovered is None else seconds(verdict.recovered)),
        Text(seconds(judged.record.stall)),
    ]


def _gate(verdict: Verdict) -> Text:
    if verdict.gate is Gate.COMPARISON:
        return Text("not gated", "cyan")
    return Text("holds", "green") if verdict.holds else Text("VIOLATED", "bold red")


def _p99(verdict: Verdict, phase: Phase) -> float | None:
    return next(item.p99 for item in verdict.latencies if item.phase is phase)


def violation_lines(drill: Drill) -> Iterator[Text]:
    """One line for each violation, then its examples. Never as markup: some of it comes from
    outside."""
    for item in drill.judged:
        for violation in item.verdict.violations:
            head = f"{item.scenario.name}: {violation.rule} × {violation.count}"
            yield Text.assemble((head, "bold red"), f": {MEANINGS[violation.rule]}")
            yield from (Text(f"    {example}") for example in violation.examples)


def _conclusion(drill: Drill) -> Text:
    broken = sum(not item.verdict.holds for item in drill.judged)
    if not drill.judged:
        return Text("No scenario ran.", "bold red")
    if broken:
        return Text(f"{broken} of {len(drill.judged)} gates are violated.", "bold red")
    return Text("Every gate holds.", "bold green")


def seconds(value: float | None) -> str:
    """With as many digits as matter."""
    if value is None:
        return "–"
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def percent(share: float) -> str:
    """Two significant digits."""
    return f"{share * 100:.2g} %" if share < 0.995 else "100 %"

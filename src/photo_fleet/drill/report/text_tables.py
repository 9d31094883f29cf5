"""A drill for people at a terminal: a row for each scenario in two tables, then what was violated
and what could not be carried out."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from photo_fleet.drill.alarms import SHORTENED
from photo_fleet.drill.gates import EXAMPLES, LEFT_BEHIND, MEANINGS, Gate, without_secrets
from photo_fleet.drill.statistics import Phase
from photo_fleet.drill.verdict import UNSERVED, Drill, Judged, Verdict

NUMBERS = ("requests", *(way.value for way in UNSERVED), "effects", "store", "95 % ≤", "faults")
ABOUT_ENDINGS = (
    "refused, failed, cut, lost: requests to the service, without refusals that the load provoked;"
    " effects: duplicates, ghosts and acknowledged losses; store: requests to the object store that"
    " were not served; 95 % ≤: upper bound of the share not served (Clopper-Pearson, 3/n for 0) if"
    " requests are independent; those of one fault are not: the number of faults stands beside it"
)
ABOUT_TIMES = (
    "p50, p99: latency before / during / after the faults; back: until all was served again; stall:"
    " the longest that the drill itself was late, which latencies may hold"
)


def summary(drill: Drill) -> RenderableType:
    """All of it; no line is longer than 100 characters."""
    endings = _table("Requests", ("gate", *NUMBERS))
    times = _table("Seconds", ("p50", "p99", "back", "stall"))
    for item in drill.judged:
        endings.add_row(*_endings(item.verdict))
        times.add_row(*_times(item))
    return Group(
        endings,
        Text(ABOUT_ENDINGS, style="dim"),
        times,
        Text(ABOUT_TIMES, style="dim"),
        *alert_lines(drill),
        *violation_lines(drill),
        *left_behind_lines(drill),
        *(Text(f"could not be carried out: {text}", "bold red") for text in drill.unfinished),
        *(Text(f"staged otherwise: {text}", style="dim") for text in drill.replaced),
        _conclusion(drill),
    )


def _table(title: str, headings: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("scenario", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _endings(verdict: Verdict) -> list[Text]:
    return [Text(verdict.scenario), _gate(verdict), *map(Text, numbers(verdict))]


def _times(judged: Judged) -> list[Text]:
    verdict = judged.verdict
    phases = {item.phase: item for item in verdict.latencies}
    return [
        Text(verdict.scenario),
        Text(" / ".join(seconds(phases[phase].p50) for phase in Phase)),
        Text(" / ".join(seconds(phases[phase].p99) for phase in Phase)),
        Text("never" if verdict.recovered is None else seconds(verdict.recovered)),
        Text(seconds(judged.record.stall)),
    ]


def _gate(verdict: Verdict) -> Text:
    if verdict.gate is Gate.COMPARISON and verdict.holds:
        return Text("not gated", "cyan")
    return Text("holds", "green") if verdict.holds else Text("VIOLATED", "bold red")


def violation_lines(drill: Drill) -> Iterator[Text]:
    """One line for each violation, then its examples. Never as markup: some of it comes from
    outside."""
    for item in drill.judged:
        for violation in item.verdict.violations:
            head = f"{item.scenario.name}: {violation.rule} × {violation.count}"
            yield Text.assemble((head, "bold red"), f": {MEANINGS[violation.rule]}")
            yield from (Text(f"    {example}") for example in violation.examples)


def alert_lines(drill: Drill) -> Iterator[Text]:
    """One line for each scenario that was watched."""
    watched = [(item, item.watched) for item in drill.judged if item.watched is not None]
    if watched:
        yield Text(f"Alerts, seconds after the first fault; windows {SHORTENED:g} × shorter")
    for item, found in watched:
        came = ", ".join(f"{name} {after:.0f}" for name, after in found.after.items())
        lacks = "".join(
            f"; {what}: {', '.join(names)}"
            for what, names in (("missed", found.missed), ("for nothing", found.false))
            if names
        )
        style = "green" if found.holds else "bold red"
        yield Text.assemble((f"{item.scenario.name}: ", style), f"{came or 'none'}{lacks}")


def left_behind_lines(drill: Drill) -> Iterator[Text]:
    """What a failover forgot, in the same form."""
    for item in drill.judged:
        if words := item.record.discrepancies.left_behind:
            head = f"{item.scenario.name}: left behind × {len(words)}"
            yield Text.assemble((head, "bold"), f": {LEFT_BEHIND}")
            yield from (Text(f"    {without_secrets(text)}") for text in words[:EXAMPLES])


def _conclusion(drill: Drill) -> Text:
    told = drill.conclusion
    return Text(f"{told[0].upper()}{told[1:]}.", "bold green" if drill.holds else "bold red")


def numbers(verdict: Verdict) -> list[str]:
    """One for each of `NUMBERS`."""
    bound = verdict.bound("unserved")
    counts = [verdict.requests, *(verdict.total(way, "api") for way in UNSERVED)]
    counts += [verdict.effects, verdict.unserved("store")]
    return [*map(str, counts), percent(bound.upper), str(bound.faults)]


def seconds(value: float | None) -> str:
    """With as many digits as matter."""
    if value is None:
        return "–"
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def percent(share: float) -> str:
    """Two significant digits."""
    return f"{share * 100:.2g} %" if share < 0.995 else "100 %"

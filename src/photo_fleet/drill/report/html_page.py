"""A drill as one HTML page that needs nothing else: style and pictures are in it, it runs no
script, and it can be printed. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from photo_fleet.drill.alarms import SHORTENED
from photo_fleet.drill.gates import MEANINGS, Gate, without_secrets
from photo_fleet.drill.records import Fault
from photo_fleet.drill.report.svg_timeline import COLOURS, OTHER_STATE, STATES, timeline
from photo_fleet.drill.report.text_tables import NUMBERS, numbers, percent, seconds
from photo_fleet.drill.statistics import Ending, Phase
from photo_fleet.drill.verdict import UNSERVED, Drill, Judged, Verdict

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1c1c1c; background: #fff;
  max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 0 0 .3rem; }
section { border-top: 1px solid #bbb; margin-top: 2rem; padding-top: 1.2rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .3rem; white-space: nowrap; }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid #ddd;
  vertical-align: top; }
th { font-weight: 600; white-space: nowrap; } tbody th { font-weight: 400; }
.number { text-align: right; }
.scroll { overflow-x: auto; }
.holds { color: #14663a; } .violated { color: #a3200d; } .open { color: #1d4f7a; }
.holds, .violated, .open { font-weight: 700; white-space: nowrap; }
.example { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere; }
.small { color: #555; font-size: .9em; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; }
svg rect { shape-rendering: crispEdges; }
svg text { font: 11px system-ui, sans-serif; fill: #333; }
.rule { stroke: #ddd; fill: none; }
.p50, .p99 { fill: none; stroke: #1d4f7a; stroke-width: 1.6; }
.p99 { stroke: #a3200d; stroke-dasharray: 5 3; }
.fault path { stroke: #a3204f; stroke-width: 1.2; } .fault text { font-weight: 700; }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; padding: 0;
  margin: .3rem 0; font-size: .9em; }
.key i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
@media print {
  body { margin: 0; max-width: none; font-size: 11px; }
  section { break-before: page; border: 0; }
  svg, tr { break-inside: avoid; }
  svg rect, .key i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

Cells = Sequence[str]


def page(drill: Drill) -> str:
    """The whole page."""
    sections = "".join(_section(number, item) for number, item in enumerate(drill.judged, 1))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>Drill: {escape(drill.conclusion)}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{_head(drill)}{sections}</main></body></html>\n"
    )


def _head(drill: Drill) -> str:
    manner = "holds" if drill.holds else "violated"
    command = without_secrets(drill.command)
    about = f"{drill.began} · release {drill.release} · {drill.machine} · {command}"
    return (
        f'<h1>Drill</h1><p class="{manner}">{escape(drill.conclusion)}</p>'
        f'<p class="small">{escape(about)}</p>{_unfinished(drill)}{_overview(drill)}'
        '<p class="small">Refused, failed, cut and lost are requests to the service, without'
        " refusals that the load itself provoked. Store: requests to the object store that were not"
        " served. With 95 % confidence the true share of requests that are not served is at most"
        " the number under “95 % ≤” (one-sided bound of Clopper and Pearson; 3/n for none of"
        " n), if requests are independent. Those that one fault met are not: the number of faults"
        " says of how many experiments the bound tells.</p>"
    )


def _unfinished(drill: Drill) -> str:
    items = "".join(f"<li>{escape(without_secrets(text))}</li>" for text in drill.unfinished)
    return f"<p>Could not be carried out:</p><ul>{items}</ul>" if items else ""


def _overview(drill: Drill) -> str:
    headings = ["scenario", "gate", *NUMBERS, "p99 before", "during", "after", "back after"]
    rows = []
    for number, item in enumerate(drill.judged, 1):
        verdict = item.verdict
        p99 = {phase.phase: phase.p99 for phase in verdict.latencies}
        rows.append(
            [
                f'<a href="#s{number}">{escape(verdict.scenario)}</a>',
                _badge(verdict),
                *numbers(verdict),
                *(seconds(p99[phase]) for phase in Phase),
                "never" if verdict.recovered is None else f"{verdict.recovered:.1f} s",
            ]
        )
    return _table("All scenarios; latencies in seconds", headings, rows, words=2)


def _badge(verdict: Verdict) -> str:
    if verdict.gate is Gate.COMPARISON and verdict.holds:
        return '<span class="open">not gated</span>'
    manner = "holds" if verdict.holds else "violated"
    return f'<span class="{manner}">{manner}</span>'


def _section(number: int, item: Judged) -> str:
    verdict, record = item.verdict, item.record
    return (
        f'<section id="s{number}" aria-labelledby="s{number}-name">'
        f'<h2 id="s{number}-name">{escape(item.scenario.name)}: {escape(item.scenario.title)}</h2>'
        f"<p>{_badge(verdict)} · gate {verdict.gate.value} · seed {verdict.seed} ·"
        f" {verdict.requests} requests, {len(record.uploads)} acknowledged uploads</p>"
        f"{_violations(verdict)}{_alerts(item)}{timeline(record, f's{number}')}{_keys(item)}"
        f"{_faults(record.faults)}{_latencies(verdict)}"
        f'<p class="small">The drill itself was late by at most {seconds(record.stall)} s; any'
        " latency may hold as much of that.</p>"
        f"{_counts(verdict)}{_bounds(verdict)}"
        "</section>\n"
    )


def _keys(item: Judged) -> str:
    seen = {way for count in item.verdict.counts for way in count.endings}
    states = sorted({state for sample in item.record.samples for state in sample.states})
    endings = [(way.value, COLOURS[way]) for way in Ending if way in seen]
    there = [(state, STATES.get(state, OTHER_STATE)) for state in states]
    return _key("Requests", endings) + _key("Instances", there)


def _key(what: str, colours: Iterable[tuple[str, str]]) -> str:
    items = "".join(
        f'<li><i style="background:{colour}"></i>{escape(name)}</li>' for name, colour in colours
    )
    return f'<ul class="key" aria-label="{what} in the picture"><li>{what}:</li>{items}</ul>'


def _violations(verdict: Verdict) -> str:
    rows = [
        [
            escape(item.rule),
            str(item.count),
            escape(MEANINGS[item.rule]),
            "".join(f'<div class="example">{escape(text)}</div>' for text in item.examples),
        ]
        for item in verdict.violations
    ]
    return _table("Violations", ["rule", "count", "meaning", "examples"], rows, words=4)


def _alerts(item: Judged) -> str:
    found = item.watched
    if found is None:
        return ""
    rows = [[escape(name), f"{after:.0f} s"] for name, after in found.after.items()]
    rows += [[escape(name), "missed"] for name in found.missed]
    title = f"Alerts after the first fault, windows {SHORTENED:g} × shorter"
    if found.false:
        title += f"; for nothing: {escape(', '.join(found.false))}"
    return _table(title, ["alert", "after"], rows or [["none", ""]], words=1)


def _faults(faults: Sequence[Fault]) -> str:
    rows = [
        [
            str(number),
            escape(fault.name),
            escape(fault.instance or "what all share"),
            f"{fault.began:.1f}",
            f"{fault.ended:.1f}",
            "–" if fault.left is None else f"{fault.left:.1f}",
        ]
        for number, fault in enumerate(faults, 1)
    ]
    headings = ["no.", "fault", "instance", "began", "ended", "left the members"]
    return _table("Faults, in seconds since the load began", headings, rows, words=3)


def _latencies(verdict: Verdict) -> str:
    rows = [
        [item.phase.value, str(item.count), seconds(item.p50), seconds(item.p99)]
        for item in verdict.latencies
    ]
    headings = ["faults", "answers", "p50", "p99"]
    return _table("Latency of the service in seconds, before, during and after", headings, rows)


def _counts(verdict: Verdict) -> str:
    headings = ["target", "request", "all", *(way.value for way in Ending)]
    rows = [
        [
            escape(count.target),
            escape(count.kind),
            str(count.total),
            *(_number(count.endings, way) for way in Ending),
        ]
        for count in verdict.counts
    ]
    return _table("Requests by kind and ending", headings, rows, words=2)


def _number(endings: Mapping[Ending, int], way: Ending) -> str:
    count = endings.get(way, 0)
    return f'<span class="violated">{count}</span>' if count and way in UNSERVED else str(count)


def _bounds(verdict: Verdict) -> str:
    rows = [
        [
            escape(item.what),
            str(item.events),
            str(item.trials),
            percent(item.upper) if item.trials else "–",
            str(item.faults),
        ]
        for item in verdict.bounds
    ]
    headings = ["what", "seen", "of", "95 % ≤", "faults"]
    return _table("What the numbers allow to say", headings, rows)


def _table(caption: str, headings: Sequence[str], rows: Iterable[Cells], words: int = 1) -> str:
    """Cells are HTML already; the first `words` columns hold words, the others numbers. Empty
    without rows."""
    manner = ["" if column < words else ' class="number"' for column in range(len(headings))]
    head = "".join(
        f'<th scope="col"{style}>{escape(text)}</th>'
        for text, style in zip(headings, manner, strict=True)
    )
    body = ""
    for first, *others in rows:
        cells = "".join(
            f"<td{style}>{text}</td>" for text, style in zip(others, manner[1:], strict=True)
        )
        body += f'<tr><th scope="row">{first}</th>{cells}</tr>'
    if not body:
        return ""
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )

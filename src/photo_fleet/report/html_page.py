"""A report as one HTML page that needs nothing else: style and pictures are in it, it runs no
script and asks no server. Pure."""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from html import escape

from photo_fleet.dashboard.style import POLICY, style
from photo_fleet.dashboard.units import AXES, told
from photo_fleet.report.conclusion import answered, conclusion, headline
from photo_fleet.report.line import Line, Plot, Report, Table, Verdict
from photo_fleet.report.plots import colours_of, limit_of, picture, unit_of
from photo_fleet.report.times import moment, span
from photo_fleet.report.visible import visible

SIGNS: Mapping[Verdict, str] = {"pass": "✓ pass", "fail": "✗ FAIL", "unknown": "? unknown"}
"""What is told by a colour is told by a word, too."""

STYLE = """
.overview, .line { margin-top: 1rem; }
.overview ol { list-style: none; margin: 0; padding: 0; }
.overview li { display: grid; grid-template-columns: 6.6rem 1fr; gap: .1rem .8rem;
  padding: .45rem 0; border-top: 1px solid var(--faint); align-items: baseline; }
.overview li:first-child { border: 0; }
.overview p { grid-column: 2; color: var(--soft); font-size: .87rem; }
.badge { display: inline-block; width: 6.6rem; padding: .05rem .5rem; border: 2px solid;
  border-radius: .4rem; font-size: .8rem; font-weight: 650; white-space: nowrap; }
.badge.pass { color: var(--good); } .badge.unknown { border-style: dashed; }
.badge.fail { color: var(--card); background: var(--bad); border-color: var(--bad);
  print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.verdict.pass { color: var(--good); } .verdict.fail { color: var(--bad); }
.verdict.unknown { border-style: dashed; }
.line { border-left: 4px solid var(--edge); scroll-margin-top: 1rem; }
.line.pass { border-left-color: var(--good); } .line.fail { border-left-color: var(--bad); }
.line.unknown { border-left: 4px dashed var(--soft); }
.line h2 { font-size: 1.08rem; margin: .35rem 0 .2rem; }
.line h3 { font-size: .92rem; margin-top: 1rem; display: flex; gap: .6rem;
  justify-content: space-between; align-items: baseline; }
.line h3 small { font-weight: 400; font-size: .76rem; color: var(--soft); white-space: nowrap; }
h1, h2, h3, a, .line p, .overview p { overflow-wrap: anywhere; }
.line dl { display: grid; grid-template-columns: 6.6rem 1fr; gap: .3rem .8rem; margin-top: .5rem;
  font-size: .9rem; }
.line dt { color: var(--soft); } .line dd { min-width: 0; overflow-wrap: anywhere; }
code { font: .86em/1.4 ui-monospace, "DejaVu Sans Mono", monospace; unicode-bidi: isolate; }
dd, td, th, .overview p, .legend b { unicode-bidi: isolate; }
.line .table { font-size: .87rem; margin-top: .7rem; }
.line td { overflow-wrap: break-word; }
.line td:first-child { white-space: normal; color: inherit; }
.line th { font-weight: 600; border-bottom: 1px solid var(--edge); overflow-wrap: normal; }
.sources { margin-top: .6rem; }
@media (max-width: 40rem) {
  .line dl, .overview li { grid-template-columns: 1fr; } .overview p { grid-column: 1; }
  .line th, .line td { padding-right: .6rem; }
}
@media print {
  .line { break-inside: auto; } figure, tr { break-inside: avoid; } a { text-decoration: none; }
}
"""


def page(report: Report, zone: tzinfo) -> str:
    """The whole page. `zone` is the one that times are told in."""
    shown = visible(report)
    colours = colours_of(shown)
    lines = "".join(_line(shown, one, colours, zone) for one in shown.lines)
    title = f"Photo API: {shown.period} report of {shown.fleet}"
    about = f"{span(shown.start, shown.end, zone)} · read at {moment(shown.made, zone)}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{style()}{STYLE}</style></head>\n"
        f'<body><header><h1>{escape(title)}</h1><p class="about">{escape(about)}</p>'
        f'<p class="verdict {conclusion(shown)}">{escape(headline(shown))}</p></header>\n'
        f"<main>{_overview(shown.lines)}{lines}</main>{_foot(shown)}</body></html>\n"
    )


def _badge(verdict: Verdict) -> str:
    return f'<span class="badge {verdict}">{SIGNS[verdict]}</span>'


def _overview(lines: Sequence[Line]) -> str:
    items = "".join(
        f'<li>{_badge(one.verdict)}<a href="#{escape(one.code)}">{escape(one.question)}</a>'
        f"<p>{escape(answered(one))}</p></li>"
        for one in lines
    )
    return f'<section class="card overview" aria-label="All lines"><ol>{items}</ol></section>'


def _line(report: Report, line: Line, colours: Mapping[str, int], zone: tzinfo) -> str:
    told_of = [
        ("Answer", escape(line.answer)),
        ("Not known", escape(line.why_unknown)),
        ("What to do", escape(line.todo) if line.verdict == "fail" else ""),
        ("Shows more", f"<code>{escape(line.command)}</code>" if line.command else ""),
    ]
    facts = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in told_of if text)
    tables = "".join(_table(one) for one in line.tables if one.rows)
    plots = "".join(_plot(report, one, colours, zone) for one in line.plots)
    return (
        f'<section class="card line {line.verdict}" id="{escape(line.code)}">'
        f"{_badge(line.verdict)}<h2>{escape(line.question)}</h2><dl>{facts}</dl>{tables}"
        + (f'<div class="grid">{plots}</div>' if plots else "")
        + "</section>\n"
    )


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in table.headings)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in table.rows
    )
    more = f'<p class="note">{table.left_out} more rows</p>' if table.left_out else ""
    return (
        f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        f"{more}</div>"
    )


def _plot(report: Report, plot: Plot, colours: Mapping[str, int], zone: tzinfo) -> str:
    unit = unit_of(plot)
    drawn = picture(plot, report, colours, zone)
    inside = drawn or '<p class="empty">Nothing was measured in this time</p>'
    limit = limit_of(plot)
    if drawn and limit is not None:
        bound = "at least" if plot.at_least else "at most"
        inside += f'<p class="note">Shall be {bound} {escape(told(limit, unit))} (dashed line)</p>'
    axis = f"<small>{AXES[unit]}</small>" if AXES[unit] else ""
    return f"<figure><h3>{escape(plot.title)}{axis}</h3>{inside}</figure>"


def _foot(report: Report) -> str:
    sources = "".join(f"<li>{escape(one)}</li>" for one in report.sources)
    return (
        f'<footer><ul class="sources">{sources}</ul><p>Point at a picture for its numbers.'
        f" Made by <code>photo-fleet report {report.period} --html</code>.</p></footer>"
    )

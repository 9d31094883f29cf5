"""The dashboards as one HTML page that needs nothing else: style and pictures are in it, it runs no
script and asks no server. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from html import escape

from photo_fleet.dashboard.chart import Scale, chart, clock, time_ticks
from photo_fleet.dashboard.lines import drawn, instance_colours
from photo_fleet.dashboard.occurrences import Occurrence, occurrences
from photo_fleet.dashboard.panel import Board, Event, Panel, Section
from photo_fleet.dashboard.prometheus import Asked, asked_of
from photo_fleet.dashboard.readings import Answer, named
from photo_fleet.dashboard.style import POLICY, style
from photo_fleet.dashboard.units import AXES, told
from photo_fleet.dashboard.window import Window

MOST_LISTED = 50
MOST_REASONS = 8
MOST_NUMBERS = 6
"""Of a tile."""


@dataclass(frozen=True, slots=True)
class Shown:
    """All that the page tells. `source` is the address that was asked, without a login."""

    boards: Sequence[Board]
    events: Sequence[Event]
    answers: Mapping[Asked, Answer]
    window: Window
    source: str
    zone: tzinfo

    def of(self, panel: Panel) -> list[Answer]:
        """Answers in the order of the panel's queries."""
        return [self.answers[asked] for asked in asked_of(panel)]


def page(shown: Shown) -> str:
    """The whole page."""
    happened = occurrences(shown.events, shown.answers, shown.window)
    instances = instance_colours(list(shown.answers.values()))
    boards = "".join(_board(shown, board, happened, instances) for board in shown.boards)
    links = "".join(
        f'<li><a href="#{board.uid}">{escape(_short(board))}</a></li>' for board in shown.boards
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="referrer" content="no-referrer"><link rel="icon" href="data:,">'
        f"<title>Photo API: {escape(verdict(shown)[1])}</title><style>{style()}</style></head>\n"
        f'<body>{_head(shown)}<nav aria-label="Dashboards"><ul>{links}</ul></nav>\n'
        f"<main>{_problems(shown)}{_events(shown, happened)}{boards}</main>{_foot(shown)}"
        "</body></html>\n"
    )


def verdict(shown: Shown) -> tuple[str, str]:
    """How it stands, in a word of the style and a sentence."""
    numbers = [
        (panel, answer.series[0].values[-1][1])
        for board in shown.boards
        for panel in board.panels
        if panel.kind == "stat" and panel.objective is not None and len(panel.queries) == 1
        for answer in shown.of(panel)
        if answer.series and answer.series[0].values
    ]
    if not any(answer.series for answer in shown.answers.values()):
        return "muted", "nothing is known of this fleet"
    if not numbers:
        return "muted", "no requests, so no objective can be held against them"
    missed = [panel.title for panel, value in numbers if not _holds(panel, value)]
    if missed:
        return "bad", f"{len(missed)} of {len(numbers)} objectives missed: {', '.join(missed)}"
    unread = sum(not answer.whole for answer in shown.answers.values())
    if unread:
        return "warn", f"{len(numbers)} objectives are met, but not all could be read"
    return "good", f"all {len(numbers)} objectives are met"


def _holds(panel: Panel, value: float) -> bool:
    goal = panel.objective
    return goal is None or (value <= goal if panel.at_most else value >= goal)


def _short(board: Board) -> str:
    return board.title.partition(": ")[2].capitalize() or board.title


def _span(shown: Shown) -> str:
    window, zone = shown.window, shown.zone
    name = zone.tzname(None) or "local time"
    return f"{clock(window.start, zone, True)} to {clock(window.end, zone, True)} {name}"


def _head(shown: Shown) -> str:
    manner, sentence = verdict(shown)
    about = (
        f"{_span(shown)} · a point each {told(shown.window.step, 's')} · read from {shown.source}"
    )
    return (
        f'<header><h1>Photo API</h1><p class="about">{escape(about)}</p>'
        f'<p class="verdict {manner}">{escape(sentence[0].upper() + sentence[1:])}</p></header>'
    )


def _problems(shown: Shown) -> str:
    reasons = Counter(
        answer.problem or answer.warning for answer in shown.answers.values() if not answer.whole
    )
    if not reasons:
        return ""
    items = "".join(
        f"<li>{escape(reason)} ({count} ×)</li>"
        for reason, count in reasons.most_common(MOST_REASONS)
    )
    told_of = f"{sum(reasons.values())} of {len(shown.answers)} queries"
    return (
        '<section class="card problems" role="alert">'
        f"<h4>Could not be read, or not as a whole: {told_of}</h4><ul>{items}</ul></section>"
    )


def _events(shown: Shown, happened: Sequence[Occurrence]) -> str:
    """A lane for each kind of event, and all in a list."""
    if not happened:
        return ""
    scale = Scale(shown.window, 0, 1)
    lanes = "".join(
        f"<span>{escape(event.title)}</span><div>{_lane(own, scale, shown.zone)}</div>"
        for event in shown.events
        if (own := [one for one in happened if one.event == event])
    )
    axis = "".join(
        f'<span style="left:{scale.x(at) / 10:.1f}%">{text}</span>'
        for at, text in time_ticks(shown.window, shown.zone)
    )
    rows = "".join(
        f"<tr><td>{clock(one.at, shown.zone, True)}</td><td>{escape(one.event.title)}</td>"
        f"<td>{escape(one.text)}</td></tr>"
        for one in reversed(happened[-MOST_LISTED:])
    )
    more = f", the last {MOST_LISTED}" if len(happened) > MOST_LISTED else ""
    return (
        f'<section class="card events"><h4>Coming and going <small>{len(happened)} events</small>'
        f'</h4><div class="lanes">{lanes}<span></span><div class="x">{axis}</div></div>'
        f'<details><summary>As a list{more}</summary><div class="table"><table>{rows}</table></div>'
        "</details></section>"
    )


def _lane(happened: Sequence[Occurrence], scale: Scale, zone: tzinfo) -> str:
    return "".join(
        f'<u class="{one.event.colour}" style="left:{scale.x(one.at) / 10:.1f}%;'
        f'width:{(scale.x(one.until) - scale.x(one.at)) / 10:.1f}%"'
        f' title="{clock(one.at, zone, True)} {escape(one.event.title)}: {escape(one.text)}"></u>'
        for one in happened
    )


def _board(
    shown: Shown, board: Board, happened: Sequence[Occurrence], instances: Mapping[str, int]
) -> str:
    sections = "".join(_section(shown, one, happened, instances) for one in board.sections)
    return (
        f'<section class="board" id="{board.uid}"><h2>{escape(_short(board))}</h2>'
        f"<p>{escape(board.meaning)}</p>{sections}</section>\n"
    )


def _section(
    shown: Shown, section: Section, happened: Sequence[Occurrence], instances: Mapping[str, int]
) -> str:
    tiles = "".join(_tile(shown, one) for one in section.panels if one.kind == "stat")
    charts = "".join(
        _card(shown, one, happened, instances) for one in section.panels if one.kind != "stat"
    )
    return (
        f'<div class="section"><h3>{escape(section.title)}</h3>'
        + (f'<div class="tiles">{tiles}</div>' if tiles else "")
        + (f'<div class="grid">{charts}</div>' if charts else "")
        + "</div>"
    )


def _told(panel: Panel) -> str:
    axis = AXES[panel.unit]
    small = f"<small>{axis}</small>" if axis and panel.kind != "stat" else ""
    return f'<h4>{escape(panel.title)}{small}</h4><p class="meaning">{escape(panel.meaning)}</p>'


def _card(
    shown: Shown, panel: Panel, happened: Sequence[Occurrence], instances: Mapping[str, int]
) -> str:
    answers = shown.of(panel)
    lines = drawn(panel, answers, instances)
    if lines.lines:
        inside = chart(panel, lines, happened, shown.window, shown.zone) + _lack(answers)
    else:
        inside = _empty(answers)
    return f'<figure class="card">{_told(panel)}{inside}</figure>'


def _lack(answers: Sequence[Answer]) -> str:
    """What is not in the picture though it should be."""
    texts = dict.fromkeys(one.problem or one.warning for one in answers if not one.whole)
    return "".join(f'<p class="warning">Not all of it: {escape(text)}</p>' for text in texts)


def _empty(answers: Sequence[Answer]) -> str:
    problems = dict.fromkeys(answer.problem for answer in answers if answer.problem)
    if problems:
        return f'<p class="empty bad">Could not be read: {escape("; ".join(problems))}</p>'
    return '<p class="empty">Nothing was measured in this time</p>'


def _tile(shown: Shown, panel: Panel) -> str:
    answers, manner = shown.of(panel), ""
    numbers = [
        (named(query.legend, one.labels), one.values[-1][1])
        for query, answer in zip(panel.queries, answers, strict=True)
        for one in answer.series[:MOST_NUMBERS]
        if one.values
    ]
    if not numbers:
        inside = _empty(answers)
    elif len(panel.queries) == 1 and len(numbers) == 1:
        value = numbers[0][1]
        inside = f'<p class="value{_manner(panel, value)}">{escape(told(value, panel.unit))}</p>'
    else:
        pairs = "".join(
            f'<div class="pair"><dt>{escape(name)}</dt>'
            f'<dd class="value{_manner(panel, value)}">{escape(told(value, panel.unit))}</dd></div>'
            for name, value in numbers
        )
        inside = f"<dl>{pairs}</dl>"
    if panel.objective is not None and numbers:
        manners = {_manner(panel, value) for _, value in numbers}
        manner = " good" if manners == {" good"} else " bad"
        if panel.objective:
            inside += f'<p class="goal">objective {escape(told(panel.objective, panel.unit))}</p>'
    return f'<div class="card tile{manner}">{_told(panel)}{inside}{_lack(answers)}</div>'


def _manner(panel: Panel, value: float) -> str:
    if panel.objective is None:
        return ""
    return " good" if _holds(panel, value) else " bad"


def _foot(shown: Shown) -> str:
    return (
        "<footer><p>Point at a picture for its numbers. Dashed lines across are objectives, dotted"
        " ones upright the events above. Made by <code>photo-fleet dashboard --html</code>;"
        " <code>--json</code> in its place writes the same panels for Grafana.</p></footer>"
    )

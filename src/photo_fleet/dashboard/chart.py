"""A panel over time as HTML: lines and areas in SVG that stretches with the page, ticks and legend
as text that does not. Pure; whatever a label says is escaped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from html import escape

from photo_fleet.dashboard.lines import MOST_NAMED, Drawn, Line
from photo_fleet.dashboard.occurrences import Occurrence
from photo_fleet.dashboard.panel import Panel
from photo_fleet.dashboard.units import ticks, told
from photo_fleet.dashboard.window import Window

SIZE = 1000
"""Of the picture both ways, in its own coordinates."""
COLUMNS = 40
MOST_MARKS = 60
MOST_TOLD = 6
HOURS = 3600.0
STEPS = (60, 300, 600, 900, 1800, HOURS, 2 * HOURS, 3 * HOURS, 6 * HOURS, 12 * HOURS)
DAY = 24 * HOURS


@dataclass(frozen=True, slots=True)
class Scale:
    """From time and value to the picture's coordinates; y grows downwards."""

    window: Window
    low: float
    high: float

    def x(self, at: float) -> int:
        """Within the picture, whatever the time."""
        part = (at - self.window.start) / self.window.seconds
        return round(min(max(part, 0.0), 1.0) * SIZE)

    def y(self, value: float) -> int:
        """Within the picture, whatever the value."""
        part = (value - self.low) / (self.high - self.low)
        return round((1 - min(max(part, 0.0), 1.0)) * SIZE)


def chart(
    panel: Panel, drawn: Drawn, marks: Sequence[Occurrence], window: Window, zone: tzinfo
) -> str:
    """The picture with its axes and its legend."""
    tops = _tops(drawn.lines) if panel.kind == "stack" else drawn.lines
    found = ticks(*_ends(panel, tops), panel.unit)
    scale = Scale(window, found[0], found[-1])
    shapes = [
        *(f'<path class="rule" d="M0 {scale.y(one)}H{SIZE}"/>' for one in found),
        *_shapes(panel, drawn.lines, tops, scale),
        *_objective(panel, scale),
        *(_mark(one, scale, zone) for one in marks[-MOST_MARKS:]),
        *_columns(panel, drawn.lines, scale, zone),
    ]
    y_axis = "".join(
        f'<span style="top:{scale.y(one) / SIZE:.1%}">{escape(told(one, panel.unit))}</span>'
        for one in found
    )
    x_axis = "".join(
        f'<span style="left:{scale.x(at) / SIZE:.1%}">{text}</span>'
        for at, text in time_ticks(window, zone)
    )
    return (
        f'<div class="chart"><div class="y">{y_axis}</div>'
        f'<svg role="img" aria-label="{escape(_described(panel, drawn))}"'
        f' preserveAspectRatio="none" viewBox="0 0 {SIZE} {SIZE}">{"".join(shapes)}</svg>'
        f'<div class="x">{x_axis}</div></div>{_legend(panel, drawn, window)}'
    )


def time_ticks(window: Window, zone: tzinfo) -> list[tuple[float, str]]:
    """Round times of that zone, at most seven, with what stands below them."""
    fitting = (float(one) for one in STEPS if window.seconds / one <= 6)
    step = next(fitting, DAY * max(1, math.ceil(window.seconds / DAY / 6)))
    begin = datetime.fromtimestamp(window.start, zone)
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0)
    found, number = list[tuple[float, str]](), 0
    while (at := (midnight + timedelta(seconds=number * step)).timestamp()) <= window.end:
        if at >= window.start:
            shown = datetime.fromtimestamp(at, zone)
            days = shown.hour == shown.minute == 0
            found.append((at, f"{shown:%d %b}" if days else f"{shown:%H:%M}"))
        number += 1
    return found


def clock(at: float, zone: tzinfo, long: bool = False) -> str:
    """A moment for people."""
    return f"{datetime.fromtimestamp(at, zone):{'%d %b %H:%M:%S' if long else '%H:%M'}}"


def _ends(panel: Panel, lines: Sequence[Line]) -> tuple[float, float]:
    """Of the values' axis: with what is drawn, the panel's ends, and its objective."""
    values = [value for line in lines for _, value in line.values]
    low = min(values, default=0.0) if panel.least is None else min(panel.least, *values, 0.0)
    high = max([*values, low]) if panel.most is None else panel.most
    if panel.objective is not None:
        # One that lies far above what there is would press it flat.
        of_one = panel.unit == "percentunit" and max(high, panel.objective) <= 1
        share = of_one and not panel.at_most
        near = panel.objective <= 4 * high or not panel.at_most
        high = max(high, panel.objective * 1.2) if near else high
        if share:
            least = min(*values, panel.objective)
            low = max(least - min(1 - panel.objective, 0.1) / 2, min(least, 0.0))
            high = 1.0
    if high - low < 1e-12 * max(1.0, abs(low)):
        high = low + max(1.0 if panel.unit != "percentunit" else 0.01, abs(low) / 100)
    return low, high


def _tops(lines: Sequence[Line]) -> list[Line]:
    """Each line upon those before it; where one has no value it adds nothing."""
    heights: dict[float, float] = {}
    for line in lines:
        for at, _ in line.values:
            heights.setdefault(at, 0.0)
    times, found = sorted(heights), list[Line]()
    for line in lines:
        own = dict(line.values)
        for at in times:
            heights[at] += own.get(at, 0.0)
        found.append(Line(line.name, line.colour, tuple((at, heights[at]) for at in times)))
    return found


def _shapes(panel: Panel, lines: Sequence[Line], tops: Sequence[Line], scale: Scale) -> list[str]:
    if panel.kind == "stack":
        below: list[Line | None] = [None, *tops[:-1]]
        areas = zip(tops, below, strict=True)
        return [_area(line, under, scale) for line, under in areas]
    fill = len(lines) == 1 and panel.objective is None
    return [
        (_area(line, None, scale, "soft") if fill else "") + _line(line, scale) for line in lines
    ]


def _runs(line: Line, scale: Scale) -> list[list[tuple[float, float]]]:
    """Points without a gap between them: a point that is missing is no value, and none between."""
    runs: list[list[tuple[float, float]]] = []
    for at, value in line.values:
        if runs and at - runs[-1][-1][0] <= 1.5 * scale.window.step:
            runs[-1].append((at, value))
        else:
            runs.append([(at, value)])
    return runs


def _line(line: Line, scale: Scale) -> str:
    parts = []
    for run in _runs(line, scale):
        points = [f"{scale.x(at)} {scale.y(value)}" for at, value in run]
        parts.append("M" + "L".join(points) + ("h3" if len(points) == 1 else ""))
    return f'<path class="line {line.colour}" d="{"".join(parts)}"/>'


def _area(line: Line, under: Line | None, scale: Scale, how: str = "area") -> str:
    parts = []
    base = dict(under.values) if under else {}
    for run in _runs(line, scale):
        upper = [f"{scale.x(at)} {scale.y(value)}" for at, value in run]
        floor = max(0.0, scale.low)
        lower = [f"{scale.x(at)} {scale.y(base.get(at, floor))}" for at, _ in reversed(run)]
        parts.append("M" + "L".join([*upper, *lower]) + "Z")
    return f'<path class="{how} {line.colour}" d="{"".join(parts)}"/>'


def _objective(panel: Panel, scale: Scale) -> list[str]:
    if panel.objective is None or not scale.low <= panel.objective <= scale.high:
        return []
    text = f"objective: {told(panel.objective, panel.unit)}"
    y = scale.y(panel.objective)
    return [f'<path class="goal" d="M0 {y}H{SIZE}"><title>{escape(text)}</title></path>']


def _mark(one: Occurrence, scale: Scale, zone: tzinfo) -> str:
    text = f"{clock(one.at, zone, True)} {one.event.title}: {one.text}"
    line = f'<path class="mark {one.event.colour}" d="M{scale.x(one.at)} 0V{SIZE}">'
    return f"{line}<title>{escape(text)}</title></path>"


def _columns(panel: Panel, lines: Sequence[Line], scale: Scale, zone: tzinfo) -> list[str]:
    """Stripes that tell the numbers of their moment to whoever points at them."""
    width, found = SIZE / COLUMNS, list[str]()
    own = [dict(line.values) for line in lines]
    times = sorted({at for values in own for at in values})
    per = max(1, math.ceil(len(times) / COLUMNS))
    for at in times[per // 2 :: per]:
        there = [
            (values[at], line.name) for line, values in zip(lines, own, strict=True) if at in values
        ]
        there.sort(reverse=True)
        numbers = [f"{told(value, panel.unit)}  {name}" for value, name in there[:MOST_TOLD]]
        more = [f"and {len(there) - MOST_TOLD} more"] if len(there) > MOST_TOLD else []
        text = escape("\n".join([clock(at, zone, True), *numbers, *more]))
        x = max(0, round(scale.x(at) - width / 2))
        found.append(
            f'<rect class="at" x="{x}" y="0" width="{width:.0f}" height="{SIZE}">'
            f"<title>{text}</title></rect>"
        )
    return found


def _legend(panel: Panel, drawn: Drawn, window: Window) -> str:
    """Names and numbers; one that has ended before the picture does has none any more."""
    recent = window.end - 2 * window.step
    items = "".join(
        f'<li title="{escape(_summary(panel, line))}"><i class="{line.colour}"></i>'
        f"<b>{escape(line.name)}</b>"
        f"<span>{escape(told(line.last, panel.unit)) if line.ends >= recent else '–'}</span></li>"
        for line in drawn.lines
    )
    notes = []
    if drawn.zeros:
        shown = ", ".join(drawn.zeros[:MOST_NAMED])
        more = f" and {len(drawn.zeros) - MOST_NAMED} more" if len(drawn.zeros) > MOST_NAMED else ""
        notes.append(f"None throughout: {shown}{more}")
    if drawn.hidden:
        notes.append(f"{drawn.hidden} more are lower than these")
    note = f'<p class="note">{escape(". ".join(notes))}</p>' if notes else ""
    return f'<ul class="legend">{items}</ul>{note}'


def _summary(panel: Panel, line: Line) -> str:
    unit = panel.unit
    return (
        f"{line.name}: {told(line.last, unit)} at the end, {told(line.mean, unit)} on average,"
        f" {told(line.peak, unit)} at most"
    )


def _described(panel: Panel, drawn: Drawn) -> str:
    """The picture in words, for those who do not see it."""
    return f"{panel.title}. " + ". ".join(_summary(panel, line) for line in drawn.lines)

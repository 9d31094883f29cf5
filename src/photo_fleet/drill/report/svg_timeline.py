"""A scenario's run as a picture: requests by ending, latency, instances by state, and the faults
across all of it. Pure: SVG text without scripts, fonts or images from elsewhere."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from photo_fleet.drill.records import Fault, Record, Sample
from photo_fleet.drill.statistics import Ending, Interval, duration, intervals

WIDTH, LEFT, RIGHT, HEAD = 960.0, 64.0, 12.0, 22.0
PLOT = WIDTH - LEFT - RIGHT

COLOURS: Mapping[Ending, str] = {
    Ending.LOST: "#000000",
    Ending.CUT: "#aa3377",
    Ending.FAILED: "#cc3311",
    Ending.REFUSED: "#ee9922",
    Ending.PROVOKED: "#88bbdd",
    Ending.OK: "#8fc7a8",
}
"""From the bottom up: what went wrong stands on the base line, where it can be compared. Told apart
in most kinds of colour blindness, and by brightness in print."""

STATES: Mapping[str, str] = {
    "ready": "#8fc7a8",
    "starting": "#e8d27a",
    "draining": "#88bbdd",
    "lost": "#cc3311",
}
OTHER_STATE = "#999999"
LEAST_HEIGHT = 2.0
"""Of what went wrong once in a hundred requests something must be seen."""

FASTEST, SLOWEST = 0.001, 100.0
TICKS = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600)
COUNT_TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


@dataclass(frozen=True, slots=True)
class Panel:
    """A stripe of the picture; y grows downwards."""

    top: float
    height: float
    title: str

    @property
    def base(self) -> float:
        return self.top + self.height


REQUESTS = Panel(HEAD + 18, 150, "requests per second, by ending")
LATENCY = Panel(REQUESTS.base + 30, 110, "latency in seconds: p50 solid, p99 dashed")
INSTANCES = Panel(LATENCY.base + 30, 90, "instances, by state")
HEIGHT = INSTANCES.base + 34


def timeline(record: Record, name: str) -> str:
    """The picture as an `svg` element; `name` makes its ids unique within a page."""
    pieces = intervals(record)
    end = pieces[-1].at + pieces[-1].width
    parts = [
        *_bands(record.faults, end),
        *_requests(pieces, end),
        *_latency(pieces, end),
        *_instances(record.samples, end),
        *_clock(end),
        *_marks(record.faults, end),
    ]
    ids = f"{escape(name)}-title {escape(name)}-desc"
    return (
        f'<svg role="img" aria-labelledby="{ids}" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}">'
        f'<title id="{escape(name)}-title">Timeline of {escape(record.scenario)}</title>'
        f'<desc id="{escape(name)}-desc">{escape(description(record))}</desc>'
        f"{''.join(parts)}</svg>"
    )


def description(record: Record) -> str:
    """The picture in words, for those who do not see it."""
    pieces = intervals(record)
    counts = {way: sum(piece.endings.get(way, 0) for piece in pieces) for way in Ending}
    endings = ", ".join(f"{count} {way.value}" for way, count in counts.items() if count)
    faults = "; ".join(
        f"{item.name} from {item.began:.1f} to {item.ended:.1f} s" for item in record.faults
    )
    slowest = max((piece.p99 for piece in pieces if piece.p99 is not None), default=0.0)
    return (
        f"{len(record.requests)} requests in {duration(record):.0f} seconds: {endings or 'none'}. "
        f"Faults: {faults or 'none'}. Highest p99 of a moment: {slowest:.2f} s."
    )


def _x(at: float, end: float) -> float:
    return LEFT + min(max(at / end, 0.0), 1.0) * PLOT


def _rect(x: float, y: float, width: float, height: float, colour: str, extra: str = "") -> str:
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
        f' fill="{colour}"{extra}/>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _rule(panel: Panel, y: float, label: str) -> str:
    line = f'<path class="rule" d="M{LEFT:.1f} {y:.1f}H{WIDTH - RIGHT:.1f}"/>'
    return line + _text(LEFT - 6, min(max(y + 4, panel.top + 4), panel.base + 4), label, "end")


def _requests(pieces: Sequence[Interval], end: float) -> list[str]:
    most = max((sum(piece.endings.values()) / piece.width for piece in pieces), default=0.0)
    top, step = _scale(most)
    parts = _counted(REQUESTS, top, step)
    for piece in pieces:
        x = _x(piece.at, end)
        width = max(_x(piece.at + piece.width, end) - x, 0.8)
        base, bars = REQUESTS.base, ""
        for way, colour in COLOURS.items():
            count = piece.endings.get(way, 0)
            height = count / piece.width / top * REQUESTS.height
            if count and way is not Ending.OK:
                height = max(height, LEAST_HEIGHT)
            height = min(height, base - REQUESTS.top)
            base -= height
            bars += _rect(x, base, width, height, colour) if count else ""
        parts.append(f"<g><title>{escape(_told(piece))}</title>{bars}</g>" if bars else "")
    return parts


def _told(piece: Interval) -> str:
    counts = ", ".join(f"{way.value} {count}" for way, count in piece.endings.items())
    return f"{piece.at:.0f}–{piece.at + piece.width:.0f} s: {counts}"


def _latency(pieces: Sequence[Interval], end: float) -> list[str]:
    parts = [_text(LEFT, LATENCY.top - 6, LATENCY.title)]
    decades = int(math.log10(SLOWEST / FASTEST))
    for number in range(decades + 1):
        value = FASTEST * 10**number
        parts.append(_rule(LATENCY, _log_y(value), f"{value:g}"))
    for shown, values in (
        ("p50", [(piece, piece.p50) for piece in pieces]),
        ("p99", [(piece, piece.p99) for piece in pieces]),
    ):
        points = ((_x(item.at + item.width / 2, end), value) for item, value in values)
        parts.append(f'<path class="{shown}" d="{_line(points)}"/>')
    return parts


def _line(points: Iterable[tuple[float, float | None]]) -> str:
    """Broken where there is no value; a lone point becomes a short stroke."""
    path, pen_down = "", False
    for x, value in points:
        if value is None:
            pen_down = False
            continue
        y = _log_y(value)
        path += f"L{x:.1f} {y:.1f}" if pen_down else f"M{x:.1f} {y:.1f}h0.5"
        pen_down = True
    return path


def _log_y(value: float) -> float:
    share = math.log10(min(max(value, FASTEST), SLOWEST) / FASTEST) / math.log10(SLOWEST / FASTEST)
    return LATENCY.base - share * LATENCY.height


def _instances(samples: Sequence[Sample], end: float) -> list[str]:
    most = max((sum(sample.states.values()) for sample in samples), default=0)
    top, step = _scale(float(most))
    parts = _counted(INSTANCES, top, step)
    until = [sample.at for sample in samples[1:]] + [end]
    for sample, after in zip(samples, until, strict=False):
        x, base = _x(sample.at, end), INSTANCES.base
        width = max(_x(after, end) - x, 0.0)
        for state, count in sorted(sample.states.items(), key=lambda item: _rank(item[0])):
            height = count / top * INSTANCES.height
            base -= height
            parts.append(_rect(x, base, width, height, STATES.get(state, OTHER_STATE)))
    return parts


def _rank(state: str) -> tuple[int, str]:
    order = list(STATES)
    return (order.index(state) if state in order else len(order), state)


def _counted(panel: Panel, top: float, step: float) -> list[str]:
    """Its title and the rules of an axis from 0 to `top`."""
    rules = [
        _rule(panel, panel.base - number * step / top * panel.height, f"{number * step:g}")
        for number in range(int(top / step) + 1)
    ]
    return [_text(LEFT, panel.top - 6, panel.title), *rules]


def _scale(most: float) -> tuple[float, float]:
    """The end of an axis that holds so much, and the distance of its rules."""
    step = float(next((tick for tick in COUNT_TICKS if most / tick <= 4), COUNT_TICKS[-1]))
    return max(math.ceil(most / step), 1) * step, step


def _clock(end: float) -> list[str]:
    step = next((tick for tick in TICKS if end / tick <= 12), TICKS[-1])
    y = INSTANCES.base + 16
    marks = [_text(_x(at, end), y, str(at), "middle") for at in range(0, int(end) + 1, step)]
    return [*marks, _text(WIDTH - RIGHT, y + 14, "seconds since the load began", "end")]


def _bands(faults: Sequence[Fault], end: float) -> list[str]:
    return [
        _rect(
            _x(fault.began, end),
            HEAD,
            max(_x(fault.ended, end) - _x(fault.began, end), 1.0),
            INSTANCES.base - HEAD,
            "#f3dfe6",
        )
        for fault in faults
    ]


def _marks(faults: Sequence[Fault], end: float) -> list[str]:
    """A line where each begins, with its number in the table of faults."""
    parts = []
    for number, fault in enumerate(faults, 1):
        x = _x(fault.began, end)
        parts.append(
            f'<g class="fault"><title>{escape(fault.name)}</title>'
            f'<path d="M{x:.1f} {HEAD:.1f}V{INSTANCES.base:.1f}"/>'
            f"{_text(x, HEAD - 6, str(number), 'middle')}</g>"
        )
    return parts

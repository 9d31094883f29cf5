"""A run as an SVG that stands alone: what the traffic needed, and what a policy would have had,
with its title and description for those who do not see it. It is light or dark as the reader's
system is, and its letters grow where it is narrow. Pure; whatever a name says is escaped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from photo_fleet.dashboard.style import DARK, LIGHT
from photo_fleet.dashboard.units import ticks, told
from photo_fleet.replay.columns import Column, columns, highest, seconds_short
from photo_fleet.replay.outcome import Run

WIDTH, HEIGHT = 1000, 520
LEFT, RIGHT, TOP, BOTTOM = 70, 955, 115, 400
"""Of the plot, in the picture's coordinates; below it are its times and the lane of shortage."""
LANE, LANE_HEIGHT = 448, 22
MOST_COLUMNS = RIGHT - LEFT
LONGEST_NAME = 28
"""Letters for which there is room."""

STYLE = """
text { fill: var(--text); font: 15px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
  sans-serif; } .heading { font-size: 20px; font-weight: 600; }
.axis text { fill: var(--soft); } .y { text-anchor: end; } .x { text-anchor: middle; }
.ground { fill: var(--card); } .rule { stroke: var(--faint); }
.needed { fill: var(--s1); fill-opacity: .35; stroke: var(--s1); }
.there { fill: none; stroke: var(--s0); stroke-width: 2.5; stroke-linejoin: round; }
.lane, .unknown { fill: var(--faint); fill-opacity: .6; } .short { fill: var(--bad); }
@media (max-width: 600px) { text { font-size: 30px; } .heading { font-size: 36px; }
  .there { stroke-width: 5; } }
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """From seconds since the begin and instances to the picture's coordinates."""

    seconds: float
    most: int

    def x(self, at: float) -> int:
        """Of a moment."""
        return LEFT + round(at / self.seconds * (RIGHT - LEFT))

    def y(self, instances: int) -> int:
        """Of a number."""
        return BOTTOM - round(instances / self.most * (BOTTOM - TOP))


def picture(run: Run) -> str:
    """The whole file; its size has a bound, however long the run is."""
    found, seconds = columns(run, MOST_COLUMNS), max(1, len(run.demand)) * run.every
    name = run.policy
    name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    values = _numbers(highest(found))
    scale = Scale(seconds, values[-1])
    title = f"Instances over {told(seconds, 's')}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-labelledby="title description"><title id="title">{title}: needed, and with'
        f' {escape(name)}</title><desc id="description">{escape(_described(run, name))}</desc>'
        f"<style>:root{{color-scheme:light dark;{LIGHT}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{DARK}}}}}{STYLE}</style>"
        f'<rect class="ground" width="{WIDTH}" height="{HEIGHT}" rx="10"/>'
        f"{_legend(title, name)}{_axes(scale, values)}"
        f"{_marks(found, scale, 'unknown', TOP, BOTTOM - TOP)}"
        f'<path class="needed" d="{_area(found, scale)}"/>'
        f'<path class="there" d="{_stairs(found, scale)}"/>{_lane(run, found, scale)}</svg>\n'
    )


def _described(run: Run, name: str) -> str:
    """The picture in words."""
    known = [one for one in run.demand if one is not None]
    if not known:
        return "Of no step anybody knows what was needed."
    return (
        f"The traffic needed {min(known)} to {max(known)} instances; by {name} there were"
        f" {min(run.supply)} to {max(run.supply)}. {_shortage(run)}."
    )


def _shortage(run: Run) -> str:
    short, span = seconds_short(run), told(len(run.demand) * run.every, "s")
    unknown = sum(one is None for one in run.demand) * run.every
    rest = f", {told(unknown, 's')} unknown" if unknown else ""
    few = f"Too few in {told(short, 's')}" if short else "Never too few in"
    return f"{few} of {span}{rest}" if short else f"{few} {span}{rest}"


def _numbers(most: int) -> list[int]:
    """Whole ones up to `most` or beyond, six or fewer."""
    step = math.ceil(most / 5)
    return [step * number for number in range(math.ceil(most / step) + 1)]


def _legend(title: str, name: str) -> str:
    return (
        f'<text class="heading" x="{LEFT}" y="46">{title}</text>'
        f'<rect class="needed" x="{LEFT}" y="72" width="32" height="18"/>'
        f'<text x="{LEFT + 42}" y="88">needed</text>'
        f'<path class="there" d="M300 81h32"/><text x="342" y="88">ready by {escape(name)}</text>'
    )


def _axes(scale: Scale, values: Sequence[int]) -> str:
    parts = [
        f'<path class="rule" d="M{LEFT} {scale.y(one)}H{RIGHT}"/>'
        f'<text class="y" x="{LEFT - 10}" y="{scale.y(one) + 6}">{one}</text>'
        for one in values
    ]
    parts += [
        f'<text class="x" x="{scale.x(at)}" y="{BOTTOM + 34}">{told(at, "s") if at else "0"}</text>'
        for at in ticks(0.0, scale.seconds, "s")
        if at <= scale.seconds
    ]
    return f'<g class="axis">{"".join(parts)}</g>'


def _area(found: Sequence[Column], scale: Scale) -> str:
    """Down to the floor where nobody knows."""
    parts = [f"M{LEFT} {BOTTOM}"]
    parts += [f"H{scale.x(one.at)}V{scale.y(one.demand or 0)}" for one in found]
    return "".join([*parts, f"H{RIGHT}V{BOTTOM}Z"])


def _stairs(found: Sequence[Column], scale: Scale) -> str:
    """What a column hides is drawn as a stroke from the fewest to the most."""
    parts = list[str]()
    for one in found:
        to = f"H{scale.x(one.at)}" if parts else f"M{LEFT} {scale.y(one.high)}"
        low = f"V{scale.y(one.low)}" if one.low < one.high else ""
        parts.append(f"{to}{low}V{scale.y(one.high)}")
    return "".join([*parts, f"H{RIGHT}"] if parts else [])


def _lane(run: Run, found: Sequence[Column], scale: Scale) -> str:
    """When there were too few, apart from the colours of the plot."""
    return (
        f'<rect class="lane" x="{LEFT}" y="{LANE}" width="{RIGHT - LEFT}" height="{LANE_HEIGHT}"/>'
        f"{_marks(found, scale, 'short', LANE, LANE_HEIGHT)}"
        f'<text x="{LEFT}" y="{LANE + LANE_HEIGHT + 32}">{_shortage(run)}</text>'
    )


def _marks(found: Sequence[Column], scale: Scale, what: str, top: int, height: int) -> str:
    """Where instances are short, or where it is unknown how many were needed."""
    parts = list[str]()
    for number, one in enumerate(found):
        if one.short if what == "short" else one.demand is None:
            after = found[number + 1].at if number + 1 < len(found) else scale.seconds
            left = scale.x(one.at)
            parts.append(f"M{left} {top}h{max(2, scale.x(after) - left)}v{height}H{left}Z")
    return f'<path class="{what}" d="{"".join(parts)}"/>' if parts else ""

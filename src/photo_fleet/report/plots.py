"""A line's plot as the dashboards draw theirs. Pure."""

import math
from collections.abc import Mapping
from datetime import tzinfo
from itertools import pairwise
from statistics import median
from typing import get_args

from photo_fleet.dashboard.chart import chart
from photo_fleet.dashboard.lines import Drawn, drawn, instance_colours
from photo_fleet.dashboard.panel import Panel, Query, Unit
from photo_fleet.dashboard.readings import LARGEST, LATEST, Answer, Series, Values
from photo_fleet.dashboard.window import Window
from photo_fleet.report.line import Plot, Report

NAME = "instance"
"""The label by which the dashboards tell curves apart, and choose their colours."""


def picture(plot: Plot, report: Report, colours: Mapping[str, int], zone: tzinfo) -> str:
    """As HTML with its axes and its legend; empty when it has no points."""
    found = curves(plot, colours)
    if not found.lines:
        return ""
    # A budget is that of 30 days, of which a day's report shows all.
    begin = min([report.start, *(line.values[0][0] for line in found.lines)])
    window = Window(begin, report.end, _interval(plot))
    return chart(_panel(plot), found, (), window, zone)


def curves(plot: Plot, colours: Mapping[str, int]) -> Drawn:
    """Those that are shown: of many the most important ones."""
    return drawn(_panel(plot), [_answer(plot)], colours)


def colours_of(report: Report) -> dict[str, int]:
    """By name: a curve's colour is the same in all plots."""
    return instance_colours([_answer(plot) for line in report.lines for plot in line.plots])


def unit_of(plot: Plot) -> Unit:
    """A mere number where it is none of the dashboard's."""
    return next((one for one in get_args(Unit) if one == plot.unit), "short")


def limit_of(plot: Plot) -> float | None:
    """None where there is none that is a number."""
    return plot.limit if plot.limit is not None and math.isfinite(plot.limit) else None


def _panel(plot: Plot) -> Panel:
    names, at_most = (Query("", f"{{{{{NAME}}}}}"),), not plot.at_least
    return Panel(plot.title, "", unit_of(plot), names, objective=limit_of(plot), at_most=at_most)


def _answer(plot: Plot) -> Answer:
    return Answer(tuple(Series({NAME: one.name}, _usable(one.points)) for one in plot.curves))


def _usable(points: Values) -> Values:
    return tuple((at, value) for at, value in points if 0 <= at <= LATEST and abs(value) <= LARGEST)


def _interval(plot: Plot) -> float:
    """Seconds from one point to the next: what lies further apart is a gap. Stairs, which have two
    points where they rise or fall, have none."""
    longest = max((one.points for one in plot.curves), key=len, default=())
    gaps = [later - sooner for (sooner, _), (later, _) in pairwise(longest)]
    usual = max(gaps) if 0.0 in gaps else median(gaps or [1.0])
    return max(1.0, usual)

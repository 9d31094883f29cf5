"""From a history to its report. Pure."""

from collections.abc import Mapping, Sequence

from photo_fleet.report import daily, monthly, weekly
from photo_fleet.report.history import History
from photo_fleet.report.item import Item, line_of
from photo_fleet.report.line import Period, Report

ITEMS: Mapping[Period, Sequence[Item]] = {
    "daily": daily.ITEMS,
    "weekly": weekly.ITEMS,
    "monthly": monthly.ITEMS,
}
"""The check lists of docs/operations.md, in their order."""


def report_of(history: History, made: float) -> Report:
    """All lines of its period; `made` is now."""
    wanted = history.wanted
    lines = tuple(line_of(item, history) for item in ITEMS[wanted.period])
    return Report(
        wanted.period, wanted.spec.name, history.start, history.end, made, lines,
        history.sources,
    )  # fmt: skip

"""A run as a terminal shows it: what the traffic needed, and what a policy would have had, which
signs tell apart, not colours. Pure."""

import math
from collections.abc import Iterable

from photo_fleet.dashboard.units import ticks, told
from photo_fleet.replay.columns import Column, columns, highest
from photo_fleet.replay.outcome import Run

NARROWEST, WIDEST = 40, 200
"""Columns of a terminal that are used, whatever it says of itself."""
MOST_ROWS, MOST_LABELS = 12, 6
MARGIN = 7
"""Of the axis at the left."""
NEEDED, READY, SHORT, UNKNOWN = "░", "━", "!", "?"


def plot(run: Run, width: int) -> str:
    """Lines no longer than `width`, which counts as `NARROWEST` where it is less."""
    room = min(max(width, NARROWEST), WIDEST) - MARGIN
    found = columns(run, room)
    if not found:
        return "There is no step to draw.\n"
    policy = run.policy if len(run.policy) <= room - 8 else f"{run.policy[: room - 9]}…"
    legend = (f"{NEEDED} instances needed", f"{READY} ready by {policy}")
    lines = [
        *(["   ".join(legend)] if len("   ".join(legend)) <= room else legend),
        *_rows(found),
        f"{0:>{MARGIN - 2}} └{'─' * len(found)}",
        _times(found, len(run.demand) * run.every),
    ]
    if (marks := _signs(_mark(one) for one in found)).strip():
        lines.append(f"{'short':>{MARGIN - 2}}  {marks}")
    if len(found) < len(run.demand):
        lines.append(f"a column is the most of {told(found[1].at, 's')}")
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _rows(found: list[Column]) -> Iterable[str]:
    """From the top; a row is one instance, or as many as make all of them fit."""
    top = highest(found)
    unit = math.ceil(top / MOST_ROWS)
    number = math.ceil(top / unit)
    labelled = math.ceil(number / MOST_LABELS)
    for row in range(number, 0, -1):
        label = f"{row * unit}" if row % labelled == 0 else ""
        signs = _signs(_sign(one, (row - 1) * unit, row * unit) for one in found)
        yield f"{label:>{MARGIN - 2}} ┤{signs}"


def _sign(column: Column, low: int, high: int) -> str:
    if low < column.high <= high:
        return READY
    return NEEDED if column.demand is not None and column.demand > low else " "


def _mark(column: Column) -> str:
    if column.demand is None:
        return UNKNOWN
    return SHORT if column.short else " "


def _signs(signs: Iterable[str]) -> str:
    return "".join(signs)


def _times(found: list[Column], seconds: float) -> str:
    """Round times since the begin, each where its column is."""
    line = ""
    for at in ticks(0.0, seconds, "s"):
        text = told(at, "s") if at else "0"
        place = MARGIN + round(at / seconds * (len(found) - 1))
        if len(line) <= place <= MARGIN + len(found) - len(text):
            line = f"{line:<{place}}{text} "
    return line

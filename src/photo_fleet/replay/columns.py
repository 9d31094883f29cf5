"""A run in as many columns as a picture has room for. Pure."""

from dataclasses import dataclass

from photo_fleet.replay.outcome import Run


@dataclass(frozen=True, slots=True)
class Column:
    """Steps next to one another that are drawn as one: where the first begins, in seconds since the
    run's begin, the most instances that they needed (None: nobody knows), the fewest and the most
    that were ready, and in how many steps these were too few."""

    at: float
    demand: int | None
    low: int
    high: int
    short: int


def columns(run: Run, most: int) -> list[Column]:
    """All steps of it, as many to a column, in at most `most` columns."""
    steps = len(run.demand)
    per = max(1, -(-steps // most))
    return [_column(run, first, min(first + per, steps)) for first in range(0, steps, per)]


def highest(found: list[Column]) -> int:
    """The most instances of any, or 1."""
    return max([1, *(max(one.demand or 0, one.high) for one in found)])


def seconds_short(run: Run) -> float:
    """How long there were too few."""
    return run.every * _short(run, 0, len(run.demand))


def _column(run: Run, first: int, end: int) -> Column:
    known = [one for one in run.demand[first:end] if one is not None]
    supply = run.supply[first:end]
    at, short = first * run.every, _short(run, first, end)
    return Column(at, max(known, default=None), min(supply), max(supply), short)


def _short(run: Run, first: int, end: int) -> int:
    pairs = zip(run.supply[first:end], run.demand[first:end], strict=True)
    return sum(needed is not None and ready < needed for ready, needed in pairs)

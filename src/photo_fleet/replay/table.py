"""What came of each policy, side by side, as a terminal shows it. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from photo_fleet.replay.outcome import Outcome
from photo_fleet.replay.words import hours_told, minutes

LONGEST_NAME, NARROWEST = 40, 40
GAP = "  "


@dataclass(frozen=True, slots=True)
class Number:
    """One of an outcome's, with its heading and what that means. Where there is no room, those with
    the highest `spare` are left out first, and those with 0 never."""

    heading: str
    meaning: str
    spare: int
    of: Callable[[Outcome], str]


NUMBERS = (
    Number("θU", "% of the demand missing, on average", 1, lambda o: _part(o.theta_under)),
    Number("θO", "% beyond it", 1, lambda o: _part(o.theta_over)),
    Number("τU", "% of the time with too few", 2, lambda o: _part(o.tau_under)),
    Number("τO", "with too many", 2, lambda o: _part(o.tau_over)),
    Number("υ1", "% of steps opposite to the demand's", 3, lambda o: _part(o.upsilon_opposite)),
    Number("υ2", "% different from the demand's", 3, lambda o: _part(o.upsilon_differs)),
    Number("changes", "of the size", 0, lambda o: f"{o.changes:,}"),
    Number("hours", "of instances", 0, lambda o: hours_told(o.instance_hours)),
    Number("cost", "of these", 0, lambda o: "" if o.cost is None else f"{o.cost:,.2f}"),
    Number("over", "minutes over the objective", 0, lambda o: minutes(o.minutes_over)),
    Number("worst", "% late in the worst step", 1, lambda o: _worst(o.worst.late)),
)


def table(outcomes: Sequence[Outcome], width: int) -> str:
    """A row for each and what the headings mean, in lines no longer than `width`, which counts as
    `NARROWEST` where it is less."""
    width = max(width, NARROWEST)
    names = ["policy", *(_name(one.policy) for one in outcomes)]
    shown = [one for one in NUMBERS if any(one.of(outcome) for outcome in outcomes)]
    for spare in (4, 3, 2, 1):
        shown = [one for one in shown if one.spare < spare]
        rows = [[one.heading for one in shown]]
        rows += [[one.of(outcome) for one in shown] for outcome in outcomes]
        if max(map(len, lines := aligned(names, rows, width))) <= width:
            break
    meanings = "; ".join(f"{one.heading}: {one.meaning}" for one in shown)
    return "\n".join([*lines, *wrap(meanings, width)]) + "\n"


def aligned(names: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """The rows with their names, the first of which is the headings'; where both do not fit into
    `width`, the numbers are below their name."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = [
        "".join(f"{GAP}{cell:>{size}}" for cell, size in zip(row, widths, strict=True))
        for row in rows
    ]
    left = max(map(len, names))
    pairs = list(zip(names, numbers, strict=True))
    if left + len(numbers[0]) <= width:
        return [f"{name:<{left}}{row}" for name, row in pairs]
    return [numbers[0], *(line for pair in pairs[1:] for line in pair)]


def _name(policy: str) -> str:
    return policy if len(policy) <= LONGEST_NAME else f"{policy[: LONGEST_NAME - 1]}…"


def _part(percent: float) -> str:
    return f"{percent:.2f}" if percent < 10 else f"{percent:.1f}"


def _worst(late: float) -> str:
    return _part(100 * late) if late < 0.1 else f"{100 * late:.0f}"

"""All that is told of a replay at a terminal. Pure."""

from collections.abc import Sequence
from textwrap import wrap

from photo_fleet.replay.front import Front
from photo_fleet.replay.outcome import Outcome
from photo_fleet.replay.table import NARROWEST, aligned, table
from photo_fleet.replay.terminal import plot
from photo_fleet.replay.words import hours_told, minutes, rule_told, told_of
from photo_fleet.spec.fleet import Group

MOST_OF_FRONT = 9


def text(outcomes: Sequence[Outcome], front: Front, group: Group, width: int) -> str:
    """The spec's run, all policies side by side, and what rules near the spec's would have changed;
    in lines no longer than `width`, which counts as 40 where it is less."""
    parts = (
        plot(front.own.run, width),
        table(outcomes, width),
        _unbeaten(front, width),
        "".join(_item(one, width) for one in told_of(front, group)),
    )
    return "\n".join(part for part in parts if part)


def _unbeaten(front: Front, width: int) -> str:
    """Those nearest to the spec; nothing where there is nothing to choose from."""
    best, own = front.best, front.own
    if len(best) < 2:
        return ""
    middle = sum(one.hours < own.hours for one in best)
    first = max(0, min(middle - MOST_OF_FRONT // 2, len(best) - MOST_OF_FRONT))
    shown = best[first : first + MOST_OF_FRONT]
    rows = [(hours_told(one.hours), minutes(one.over)) for one in shown]
    names = ["no rule beats", *(rule_told(one.rule) for one in shown)]
    lines = aligned(names, [("hours", "over"), *rows], max(width, NARROWEST))
    if len(shown) < len(best):
        lines.append(f"and {first} cheaper, {len(best) - first - len(shown)} dearer ones")
    return "\n".join(lines) + "\n"


def _item(told: str, width: int) -> str:
    lines = wrap(told, max(width, NARROWEST) - 2, break_on_hyphens=False)
    return "- " + "\n  ".join(lines) + "\n"

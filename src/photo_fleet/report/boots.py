"""What instances did, by the registry's events and receipts: why each began, how many served when,
and how the group grew and shrank. Pure."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Reason = Literal["growth", "deploy", "restart"]

SAME_AGAIN = 120.0
"""Seconds after an orderly end in which the same name begins again only if somebody restarts it."""
REPLACED = 1800.0
"""Seconds in which the group replaces an instance that ended otherwise."""
SLOW_WORD = 60.0
"""Seconds by which the registry may hear of an end later than the group."""
IN_TURN = 90.0
"""Seconds after a newcomer is ready in which a rollout drains the one that it is for."""
ONE_STEP = 30.0
"""Seconds in which changes in the same direction are one step of the group."""


@dataclass(frozen=True, slots=True)
class Boot:
    """One life of an instance. Times are in epoch seconds, None: not in the time that is looked at,
    or not known. `ending` is that of its receipt, "" while it lives or nobody knows how it ended;
    `cause` who wanted the end. What nobody knows of the receipt is None. One that does not serve
    runs jobs only, and is none of the group's."""

    boot_id: str
    instance: str
    version: str = ""
    started: float | None = None
    ready: float | None = None
    draining: float | None = None
    ended: float | None = None
    ending: str = ""
    cause: str = ""
    requests_cut: int | None = None
    log_lines_lost: int | None = None
    serves: bool = True

    @property
    def orderly(self) -> bool:
        """Whether it served, and nobody has to be replaced for its end."""
        return self.ready is not None and self.ending in ("drained", "untold")

    def lives(self, at: float) -> bool:
        """Whether it had begun and not ended."""
        return (self.started or 0.0) <= at and (self.ended is None or self.ended > at)


@dataclass(frozen=True, slots=True)
class Start:
    """A boot that began, why, and the one whose place it took."""

    boot: Boot
    at: float
    reason: Reason
    instead_of: Boot | None = None


def starts(boots: Sequence[Boot], since: float, end: float) -> list[Start]:
    """All between the two, in order. Each boot that ended explains one start at most."""
    begun = [(one.started, one) for one in boots if one.started is not None]
    found: list[Start] = []
    others = _Others(boots)
    for at, boot in sorted(begun, key=lambda pair: pair[0]):
        if not since <= at < end:
            continue
        start = _why(boot, at, others)
        if start.instead_of is not None:
            others.taken.add(start.instead_of.boot_id)
        found.append(start)
    return found


class _Others:
    """Boots that may explain a start, but for those that explain one already. There may be
    thousands: each question goes to those alone that it is about."""

    def __init__(self, boots: Sequence[Boot]) -> None:
        self.taken: set[str] = set()
        self.ended = [one for one in boots if one.ended is not None]
        self.drained = [one for one in boots if one.draining is not None]
        self.named: dict[str, list[Boot]] = {}
        self.versions: dict[str, list[Boot]] = {}
        for one in boots:
            self.named.setdefault(one.instance, []).append(one)
            self.versions.setdefault(one.version, []).append(one)

    def of(self, some: Iterable[Boot], boot: Boot) -> Iterator[Boot]:
        """Those of `some` that may explain this one's start."""
        return (one for one in some if one is not boot and one.boot_id not in self.taken)


def _why(boot: Boot, at: float, others: _Others) -> Start:
    if before := _predecessor(boot, at, others.of(others.named[boot.instance], boot)):
        return Start(boot, at, "deploy" if _differ(boot, before) else "restart", before)
    ended = others.of(others.ended, boot)
    if lost := next((one for one in ended if _is_replaced(one, at)), None):
        return Start(boot, at, "restart", lost)
    drained = others.of(others.drained, boot)
    if in_turn := next((one for one in drained if _makes_room(one, boot)), None):
        return Start(boot, at, "deploy", in_turn)
    if gives_way := _first_to_leave(boot, at, others):
        return Start(boot, at, "deploy", gives_way)
    return Start(boot, at, "growth")


def _first_to_leave(boot: Boot, at: float, others: _Others) -> Boot | None:
    """Of those of other releases that were there about then."""
    differ = [some for some in others.versions.values() if _differ(boot, some[0])]
    old = (one for some in differ for one in others.of(some, boot) if _leaves_about(one, at))
    return min(old, key=_leaving, default=None)


def _leaving(boot: Boot) -> tuple[float, float]:
    """When it ended, and where that is the same, when it began."""
    return math.inf if boot.ended is None else boot.ended, boot.started or 0.0


def _predecessor(boot: Boot, at: float, others: Iterable[Boot]) -> Boot | None:
    """The boot before of the same instance, if it ended so lately that this is it again."""
    gone = [
        one
        for one in others
        if one.instance == boot.instance
        and one.ended is not None
        and one.ended - SLOW_WORD <= at <= one.ended + (SAME_AGAIN if one.orderly else REPLACED)
        and (one.started or 0.0) < at
    ]
    return max(gone, key=lambda one: one.ended or 0.0, default=None)


def _is_replaced(one: Boot, at: float) -> bool:
    if one.ended is None or one.orderly or (one.started or 0.0) >= at:
        return False
    return one.ended - SLOW_WORD <= at <= one.ended + REPLACED


def _differ(one: Boot, other: Boot) -> bool:
    return bool(one.version and other.version and one.version != other.version)


def _leaves_about(one: Boot, at: float) -> bool:
    """Whether it lived then, or had left for as long as its successor's machine took to start."""
    began = one.started or 0.0
    return began < at and (one.ended is None or one.ended > at - REPLACED)


def _makes_room(one: Boot, newcomer: Boot) -> bool:
    """Whether it drained as soon as the newcomer was ready."""
    if one.draining is None or newcomer.ready is None or (one.started or 0.0) >= newcomer.ready:
        return False
    return newcomer.ready <= one.draining <= newcomer.ready + IN_TURN


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the group's size: by how many, with which boots, and who wanted it as far as they
    know."""

    at: float
    change: int
    boots: tuple[Boot, ...]
    cause: str = ""


def steps(boots: Sequence[Boot], since: float, end: float) -> list[Step]:
    """How the group grew and shrank; deploys, restarts and losses are none of its steps."""
    # A boot may drain for one that began before, and begin for one that drains later.
    boots = [one for one in boots if one.serves]
    found = starts(boots, since - REPLACED, end + REPLACED)
    given_way = {one.instead_of.boot_id for one in found if one.instead_of is not None}
    first = min((one.ready for one in boots if one.ready is not None), default=0.0)
    # What began before anybody was ready is how the group began.
    moves = [(one.at, 1, one.boot) for one in found if one.reason == "growth" and one.at > first]
    moves += [
        (one.draining, -1, one)
        for one in boots
        if one.draining is not None and one.boot_id not in given_way
    ]
    joined: list[Step] = []
    for at, change, boot in sorted(moves, key=lambda move: move[0]):
        if not since <= at < end:
            continue
        last = joined[-1] if joined else None
        if last is not None and last.change * change > 0 and at - last.at <= ONE_STEP:
            joined[-1] = Step(last.at, last.change + change, (*last.boots, boot), last.cause)
        else:
            joined.append(Step(at, change, (boot,), boot.cause if change < 0 else ""))
    return joined


def sizes(boots: Sequence[Boot], since: float, end: float) -> list[tuple[float, int]]:
    """(epoch seconds, instances that serve) at `since` and after each change until `end`."""
    moves = []
    for one in boots:
        if one.ready is None or not one.serves:
            continue
        moves.append((max(one.ready, since), 1))
        leaves = min((at for at in (one.draining, one.ended) if at is not None), default=None)
        if leaves is not None:
            moves.append((max(leaves, one.ready, since), -1))
    size, found = 0, [(since, 0)]
    for at, change in sorted(moves):
        if at >= end:
            break
        size += change
        if at == found[-1][0]:
            found[-1] = (at, size)
        else:
            found.append((at, size))
    return found


def time_at_sizes(changes: Sequence[tuple[float, int]], end: float) -> dict[int, float]:
    """Seconds at each number of instances."""
    spent: dict[int, float] = {}
    for (at, size), (until, _) in pairwise([*changes, (end, 0)]):
        spent[size] = spent.get(size, 0.0) + until - at
    return dict(sorted(spent.items()))


def instance_seconds(boots: Iterable[Boot], since: float, end: float) -> float:
    """That instances existed for, from start to end."""
    lives = (
        min(end if one.ended is None else one.ended, end) - max(one.started or since, since)
        for one in boots
    )
    return sum(max(0.0, seconds) for seconds in lives)

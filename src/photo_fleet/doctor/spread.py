"""Whether requests are spread over instances as chance would, and by how much they are not.

Each instance is held against an equal share of what was asked for while it was in service, so that
one that came an hour later may have less.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

IMPROBABLE = 1e-4
"""How seldom chance alone may spread requests like that."""
LEAST_EXPECTED = 30.0
"""Requests of each instance, fewer than which tell nothing."""


Part = tuple[float, float, float]
"""Requests that an instance got in some time, an equal share of all, and by how many the two may be
off for having been counted at other times."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some time, and the requests that each instance got in it. `serving` are those that were in
    service for all of it, also without any request. `blurred`: counters were not read at its very
    begin and end, so that some of its requests came while others served, or are missing."""

    requests: Mapping[str, float]
    serving: frozenset[str]
    blurred: bool = False


@dataclass(frozen=True, slots=True)
class Share:
    """What one instance got, and what an equal share would have been. `sure` is the ratio of the
    two that is left when all that is blurred speaks for an equal share, `halves` the same in each
    half of the requests."""

    instance: str
    requests: float
    expected: float
    sure: float
    halves: tuple[float, float]

    @property
    def ratio(self) -> float:
        """1 is an equal share."""
        return self.requests / self.expected

    def is_off(self, effect: float) -> bool:
        """Whether it differs by more than `effect` (0.5: half an equal share), and in the same
        direction all the time: a burst of one client is none."""
        off = [ratio - 1 for ratio in (self.sure, *self.halves)]
        return abs(off[0]) > effect and (min(off) > effect / 2 or max(off) < -effect / 2)


@dataclass(frozen=True, slots=True)
class Spread:
    """Shares, the largest first. `probability`: how often chance spreads requests at least as
    unevenly."""

    shares: tuple[Share, ...]
    probability: float

    @property
    def requests(self) -> float:
        """Of all instances together."""
        return sum(share.requests for share in self.shares)

    def off(self, effect: float) -> tuple[Share, ...]:
        """Those that are off by so much; none where chance explains it."""
        if self.probability >= IMPROBABLE:
            return ()
        return tuple(share for share in self.shares if share.is_off(effect))


def spread_of(slices: Sequence[Slice]) -> Spread | None:
    """None where too little was asked for, or where no two instances served at the same time."""
    parts: defaultdict[str, list[Part]] = defaultdict(list)
    for one in slices:
        if len(one.serving) > 1:
            equal = sum(one.requests.get(name, 0.0) for name in one.serving) / len(one.serving)
            for name in one.serving:
                own = one.requests.get(name, 0.0)
                parts[name].append((own, equal, max(own, equal) if one.blurred else 0.0))
    shares = [_share(name, own) for name, own in parts.items()]
    if len(shares) < 2 or min(share.expected for share in shares) < LEAST_EXPECTED:
        return None
    distance = sum((one.sure - 1) ** 2 * one.expected for one in shares)
    probability = beyond(distance, len(shares) - 1)
    return Spread(tuple(sorted(shares, key=lambda one: -one.ratio)), probability)


def beyond(chi_square: float, freedom: int) -> float:
    """The probability that a chi-square variable is larger: Wilson and Hilferty's approximation
    (1931), which is within 0.01 of the exact one, and near 0 by far closer."""
    spread = 2 / (9 * freedom)
    root = ((chi_square / freedom) ** (1 / 3) - (1 - spread)) / sqrt(spread)
    return NormalDist().cdf(-root)


def _share(name: str, parts: Sequence[Part]) -> Share:
    """Of the parts in order of time."""
    whole = _added(parts)
    half, due = 0, 0.0
    while due < whole[1] / 2:
        due += parts[half][1]
        half += 1
    sure = _sure(*whole, otherwise=1.0)
    halves = [_sure(*_added(some), otherwise=sure) for some in (parts[:half], parts[half:])]
    return Share(name, whole[0], whole[1], sure, (halves[0], halves[1]))


def _added(parts: Sequence[Part]) -> Part:
    got, due, unsure = (sum(part[place] for part in parts) for place in range(3))
    return got, due, unsure


def _sure(got: float, due: float, unsure: float, otherwise: float) -> float:
    """One slice may have all requests: then nothing is known of the other half."""
    if due <= 0:
        return otherwise
    off = max(0.0, abs(got - due) - unsure)
    return 1 + (off if got > due else -off) / due

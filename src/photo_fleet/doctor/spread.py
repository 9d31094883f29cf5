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


@dataclass(frozen=True, slots=True)
class Slice:
    """Some time, and the requests that each instance got in it. `serving` are those that were in
    service for all of it, also without any request."""

    requests: Mapping[str, float]
    serving: frozenset[str]


@dataclass(frozen=True, slots=True)
class Share:
    """What one instance got, and what an equal share would have been. `halves` are the ratios of
    the two in each half of the requests."""

    instance: str
    requests: float
    expected: float
    halves: tuple[float, float]

    @property
    def ratio(self) -> float:
        """1 is an equal share."""
        return self.requests / self.expected

    def is_off(self, effect: float) -> bool:
        """Whether it differs by more than `effect` (0.5: half an equal share), and in the same
        direction all the time: a burst of one client is none."""
        off = [ratio - 1 for ratio in (self.ratio, *self.halves)]
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
    parts: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in slices:
        if len(one.serving) > 1:
            total = sum(one.requests.get(name, 0.0) for name in one.serving)
            for name in one.serving:
                parts[name].append((one.requests.get(name, 0.0), total / len(one.serving)))
    shares = [_share(name, own) for name, own in parts.items()]
    if len(shares) < 2 or min(share.expected for share in shares) < LEAST_EXPECTED:
        return None
    distance = sum((one.requests - one.expected) ** 2 / one.expected for one in shares)
    probability = beyond(distance, len(shares) - 1)
    return Spread(tuple(sorted(shares, key=lambda one: -one.ratio)), probability)


def beyond(chi_square: float, freedom: int) -> float:
    """The probability that a chi-square variable is larger: Wilson and Hilferty's approximation
    (1931), which is within 0.01 of the exact one, and near 0 by far closer."""
    spread = 2 / (9 * freedom)
    root = ((chi_square / freedom) ** (1 / 3) - (1 - spread)) / sqrt(spread)
    return NormalDist().cdf(-root)


def _share(name: str, parts: Sequence[tuple[float, float]]) -> Share:
    """Of (requests, an equal share) of each slice in order."""
    got, due = sum(own for own, _ in parts), sum(equal for _, equal in parts)
    first_got = first_due = 0.0
    for own, equal in parts:
        if first_due >= due / 2:
            break
        first_got, first_due = first_got + own, first_due + equal
    whole = _ratio(got, due, 1.0)
    halves = _ratio(first_got, first_due, whole), _ratio(got - first_got, due - first_due, whole)
    return Share(name, got, due, halves)


def _ratio(got: float, due: float, otherwise: float) -> float:
    """One slice may have all requests: then nothing is known of the other half."""
    return got / due if due > 0 else otherwise

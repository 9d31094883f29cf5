"""What chance explains of a spread of requests, and what it does not."""

import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from photo_fleet.doctor.spread import Slice, Spread, beyond, spread_of

FOUR = frozenset("abcd")


def spread(*slices: Slice) -> Spread:
    found = spread_of(slices)
    assert found is not None
    return found


def by_chance(seed: int, requests: int, weights: Sequence[float], slices: int = 12) -> Spread:
    chance = random.Random(seed)
    names = sorted(FOUR)[: len(weights)]
    return spread(
        *(
            Slice(Counter(chance.choices(names, weights, k=requests // slices)), frozenset(names))
            for _ in range(slices)
        )
    )


@pytest.mark.parametrize(("value", "freedom"), [(3.84, 1), (10.83, 1), (6.0, 2), (18.4, 2)])
def test_the_probability_of_a_chi_square(value: float, freedom: int) -> None:
    exact = math.erfc(math.sqrt(value / 2)) if freedom == 1 else math.exp(-value / 2)
    assert beyond(value, freedom) == pytest.approx(exact, abs=0.005)


def test_chance_is_never_called_uneven() -> None:
    """Two thousand fleets whose balancer throws dice, also with few requests."""
    for seed in range(2000):
        requests = random.Random(seed).choice((150, 300, 1200))
        assert by_chance(seed, requests, (1, 1, 1, 1)).off(0.25) == ()


@pytest.mark.parametrize("weights", [(2, 1, 1, 1), (1, 1, 1, 0), (4, 1), (1, 1, 0.3)])
def test_what_is_uneven_is_found(weights: Sequence[float]) -> None:
    for seed in range(50):
        assert by_chance(seed, 1200, weights).off(0.25) != ()


def test_many_requests_make_no_small_difference_a_large_one() -> None:
    found = by_chance(1, 1_000_000, (1.1, 1, 1, 1))
    assert found.probability < 1e-9
    assert found.off(0.25) == ()


def test_too_few_tell_nothing() -> None:
    few = Slice({"a": 60, "b": 30, "c": 1}, frozenset("abcd"))
    assert spread_of([few]) is None
    assert spread_of([]) is None
    assert spread_of([Slice({"a": 900}, frozenset("a"))]) is None, "nobody else served"


def test_one_that_came_late_is_held_against_its_own_time() -> None:
    early = Slice({"a": 300, "b": 300, "c": 300}, frozenset("abc"))
    late = Slice({"a": 75, "b": 75, "c": 75, "d": 75}, FOUR)
    found = spread(early, early, late)
    assert {share.instance: share.ratio for share in found.shares} == dict.fromkeys("abcd", 1)
    assert [share.requests for share in found.shares if share.instance == "d"] == [75]
    gone = Slice({"a": 300, "b": 300, "d": 40}, frozenset("ab"))
    assert spread(gone).off(0.1) == (), "what one got that was leaving counts for nobody"


def test_a_burst_is_no_lasting_difference() -> None:
    even = Slice({"a": 100, "b": 100}, frozenset("ab"))
    burst = Slice({"a": 900, "b": 100}, frozenset("ab"))
    assert spread(*[even] * 6, burst).off(0.25) == ()
    assert spread(burst, burst).off(0.25) != ()

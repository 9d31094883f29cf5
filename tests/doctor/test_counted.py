"""What Prometheus counts of instances that come late, or of which it hears late."""

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from photo_fleet.dashboard.readings import Series
from photo_fleet.doctor.seen import Seen
from photo_fleet.doctor.spread import Slice, spread_of
from photo_fleet.doctor.traffic import uneven
from photo_fleet.spec.fleet import Fleet, Metrics
from tests.doctor.test_traffic_rules import NOW, STEP, boot, seen, target

POINTS = 20


@dataclass
class Scraped:
    """An instance that is ready since `came`, and is scraped every `interval` seconds, as often
    as `late` after the others. Requests come at `times`; before the first it has no sum of them."""

    number: int
    came: float
    interval: float
    late: float
    times: Sequence[float]

    def series(self, what: str) -> Series:
        values = []
        for place in range(POINTS):
            at = NOW - STEP * (POINTS - 1 - place)
            scrape = at - (at - self.late) % self.interval
            asked = bisect_right(self.times, scrape)
            if scrape >= self.came and (what == "ready" or asked):
                values.append((at, 1.0 if what == "ready" else float(asked)))
        return Series(target(self.number), tuple(values))


def fleet_seen(instances: Sequence[Scraped], scrapes: float = 15, *, pushed: bool = False) -> Seen:
    """`scrapes` is the time between two of them; what is pushed is as late as it was pushed."""
    series = {
        "info": [Series(target(one.number, boot_id=f"b{one.number}"), ()) for one in instances],
        "pushed": [
            Series(target(one.number), ((NOW, NOW - one.late),)) for one in instances if pushed
        ],
    }
    series |= {name: [one.series(name) for one in instances] for name in ("ready", "requests")}
    fleet = Fleet(metrics=Metrics(interval=scrapes))
    return seen([boot(one.number, since=NOW - one.came) for one in instances], series, fleet)


def in_turn(seed: int, interval: float) -> list[Scraped]:
    """Four instances, of which the last comes while others are asked: a burst of some seconds, one
    after the other of those that are in service."""
    chance = random.Random(seed)
    came = NOW - chance.uniform(20, 120)
    begin = came + chance.uniform(-5, 60)
    admitted = came + chance.uniform(1, 8)
    lasts, rate = chance.uniform(1, 30), chance.choice((50, 400))
    times: dict[int, list[float]] = {1: [], 2: [], 3: [], 4: []}
    for place in range(int(lasts * rate)):
        if (at := begin + place / rate) < NOW:
            times[place % (4 if at >= admitted else 3) + 1].append(at)
    return [
        Scraped(n, came if n == 4 else NOW - 3000, interval, chance.uniform(0, interval), own)
        for n, own in times.items()
    ]


@pytest.mark.parametrize(("interval", "pushed"), [(3, False), (15, False), (15, True), (50, True)])
def test_who_takes_turns_is_even_whenever_it_is_looked_at(interval: float, pushed: bool) -> None:
    for seed in range(150):
        told = fleet_seen(in_turn(seed, interval), 3 if pushed else interval, pushed=pushed)
        assert list(uneven(told)) == [], seed


def test_one_that_has_twice_as_much_is_found_soon() -> None:
    """Within three minutes."""
    for seed in range(50):
        chance = random.Random(seed)
        instances = []
        for number in (1, 2, 3, 4):
            rate = 4 if number == 1 else 2
            times = [NOW - 180 + place / rate for place in range(180 * rate)]
            late = chance.uniform(0, 15)
            instances.append(Scraped(number, NOW - 3000, 15, late, times))
        [found] = uneven(fleet_seen(instances))
        assert "10.0.1.1" in found.subjects


def test_what_is_blurred_proves_nothing_alone() -> None:
    names = frozenset("ab")
    uneven_at_the_edge = Slice({"a": 400.0}, names, blurred=True)
    even = Slice({"a": 300.0, "b": 300.0}, names)
    found = spread_of([even, uneven_at_the_edge])
    assert found is not None
    assert (found.shares[0].ratio, found.shares[0].sure) == (1.4, 1.0)
    assert found.off(0.1) == ()
    sure = spread_of([uneven_at_the_edge, *[Slice({"a": 300.0}, names)] * 6])
    assert sure is not None
    assert len(sure.off(0.5)) == 2

"""Bounds against published and exactly computed values, percentiles, phases, pieces of time."""

from dataclasses import replace
from fractions import Fraction
from math import comb

import pytest

from photo_fleet.drill.records import Fault, Outcome
from photo_fleet.drill.statistics import (
    AFTERMATH,
    Ending,
    Phase,
    duration,
    intervals,
    latencies,
    percentile,
    phase,
    recovery,
    upper_bound,
)
from tests.drill.handmade import BEGAN, ENDED, Requests, bad, quiet_run

make = Requests().make


def at_most(events: int, trials: int, share: float) -> float:
    """The binomial distribution, exactly."""
    p = Fraction(share)
    terms = (comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(events + 1))
    return float(sum(terms))


@pytest.mark.parametrize(
    ("events", "trials", "upper"),
    [
        # Two-sided 95 % intervals of Clopper and Pearson in statistical tables: their upper ends.
        (0, 10, 0.3085),
        (1, 10, 0.4450),
        (5, 10, 0.8129),
        (10, 100, 0.1762),
        (10, 10, 1.0),
    ],
)
def test_the_bound_agrees_with_published_tables(events: int, trials: int, upper: float) -> None:
    assert upper_bound(events, trials, 0.975) == pytest.approx(upper, abs=5e-5)


@pytest.mark.parametrize(("events", "trials"), [(1, 10), (2, 20), (3, 400), (39, 40), (150, 300)])
def test_at_the_bound_so_few_events_have_a_chance_of_5_percent(events: int, trials: int) -> None:
    assert at_most(events, trials, upper_bound(events, trials)) == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize("trials", [3, 10, 100, 100_000])
def test_none_of_n_is_told_as_3_over_n(trials: int) -> None:
    assert upper_bound(0, trials) == 3 / trials
    exact = 1 - 0.05 ** (1 / trials)
    assert exact <= upper_bound(0, trials) <= exact * 1.6
    if trials >= 100:
        assert upper_bound(0, trials) == pytest.approx(exact, rel=0.02)


def test_the_bound_grows_with_events_and_shrinks_with_trials() -> None:
    by_events = [upper_bound(events, 1000) for events in range(0, 1001, 50)]
    assert by_events == sorted(by_events)
    by_trials = [upper_bound(3, trials) for trials in (3, 10, 100, 10_000, 1_000_000)]
    assert by_trials == sorted(by_trials, reverse=True)


def test_without_trials_nothing_is_known() -> None:
    assert upper_bound(0, 0) == 1
    assert upper_bound(0, 1) == 1
    for events, trials in ((-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="trials"):
            upper_bound(events, trials)


def test_a_large_drill_is_bounded_at_once() -> None:
    assert upper_bound(40_000, 200_000) == pytest.approx(0.2, abs=0.002)
    assert upper_bound(5, 10_000_000) == pytest.approx(10.513e-7, rel=1e-3), "as Poisson's"


def test_a_percentile_is_a_value_that_occurred() -> None:
    assert percentile([], 0.5) is None
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([4, 1, 3, 2], 0.5) == 2
    hundred = [float(number) for number in range(1, 101)]
    assert (percentile(hundred, 0.5), percentile(hundred, 0.99)) == (50, 99)
    assert percentile(hundred, 1) == 100


def test_a_fault_has_what_was_due_or_under_way_in_it() -> None:
    record = quiet_run()
    assert phase(record, make(BEGAN - 1)) is Phase.BEFORE
    assert phase(record, make(BEGAN - 1, BEGAN)) is Phase.DURING
    assert phase(record, make(ENDED + 60, due=ENDED)) is Phase.DURING
    assert phase(record, make(BEGAN)) is Phase.DURING
    assert phase(record, make(ENDED + AFTERMATH)) is Phase.DURING
    assert phase(record, make(ENDED + AFTERMATH + 0.1)) is Phase.AFTER
    assert phase(replace(record, faults=()), make(BEGAN)) is Phase.BEFORE


def test_a_kill_is_over_at_once_and_its_effects_are_not() -> None:
    record = quiet_run(fault=Fault("kill-instance", BEGAN, BEGAN))
    assert phase(record, make(BEGAN + AFTERMATH - 1)) is Phase.DURING


def test_latency_is_that_of_answers_of_the_service_and_not_of_slow_clients() -> None:
    slow = make(1, 9, kind="slow_upload", method="POST")
    lost = make(1, 61, **bad(Outcome.LOST))
    store = make(1, 9, target="store")
    waited = make(1.5, 2, due=1.0)
    before = latencies(quiet_run(slow, lost, store, waited))[0]
    assert (before.phase, before.count) == (Phase.BEFORE, 11)
    assert before.p99 == pytest.approx(1.0)
    assert before.p50 == pytest.approx(0.02)


def test_recovery_lasts_until_the_last_request_that_went_unserved() -> None:
    rare = make(ENDED + 9, kind="sign_up")
    during = make(ENDED - 1, kind="sign_up", **bad(Outcome.REFUSED, 503))
    assert recovery(quiet_run(rare, during)) == pytest.approx(0.52), "nobody was refused since"
    refused = make(ENDED + 1, kind="login", **bad(Outcome.REFUSED, 503))
    wrong = make(ENDED + 2, kind="login", **bad(Outcome.REFUSED, 401))
    again = make(ENDED + 6, kind="login")
    assert recovery(quiet_run()) == pytest.approx(0.52)
    assert recovery(quiet_run(refused)) is None
    assert recovery(quiet_run(refused, again)) == pytest.approx(1.0), "logins are rare"
    assert recovery(quiet_run(refused, wrong)) == pytest.approx(1.0), "it answered sensibly"
    assert recovery(quiet_run(requests=())) == 0
    slow = make(ENDED + 2, ENDED + 32, kind="list", **bad(Outcome.FAILED, 504))
    assert recovery(quiet_run(slow)) == pytest.approx(2.0), "what was sent later was served"


def test_every_request_is_in_one_piece_of_time() -> None:
    record = quiet_run(make(12, 72, **bad(Outcome.LOST)), make(-0.1, -0.05))
    pieces = intervals(record)
    assert sum(sum(piece.endings.values()) for piece in pieces) == len(record.requests)
    assert [piece.at for piece in pieces] == list(range(73))
    assert pieces[72].endings == {Ending.LOST: 1}
    assert pieces[72].p99 is None
    assert duration(record) == 72
    coarse = intervals(record, most=10)
    assert {piece.width for piece in coarse} == {8}
    assert sum(sum(piece.endings.values()) for piece in coarse) == len(record.requests)


def test_a_run_without_anything_has_one_empty_piece() -> None:
    empty = quiet_run(requests=(), faults=(), samples=())
    assert duration(replace(empty, faults=())) == 0
    assert [piece.endings for piece in intervals(empty)] == [{}]

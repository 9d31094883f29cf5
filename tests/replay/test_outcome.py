"""The metrics of a run, on runs that one can judge by hand."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from photo_fleet.replay.outcome import Outcome, Run, Worst, outcome_of
from photo_fleet.replay.station import Station

STATION = Station(40, 2, 0.2)


def judged(
    demand: list[int | None], supply: list[int], offered: list[float | None] | None = None
) -> Outcome:
    rates = offered or [None if needed is None else needed * 60.0 for needed in demand]
    return outcome_of(Run("x", 60, rates, demand, supply), STATION, 0.5)


def test_a_run_that_follows_exactly_lacks_nothing() -> None:
    done = judged([2, 3, 4, 2], [2, 3, 4, 2])
    assert (done.theta_under, done.theta_over, done.tau_under, done.tau_over) == (0, 0, 0, 0)
    assert (done.upsilon_opposite, done.upsilon_differs) == (0, 0)
    assert (done.changes, done.minutes_over) == (3, 0)


def test_shares_of_the_demand_and_of_the_time() -> None:
    done = judged([4, 4, 2, 2], [3, 4, 3, 2])
    assert done.theta_under == pytest.approx(100 / 4 * 1 / 4)
    assert done.theta_over == pytest.approx(100 / 4 * 1 / 2)
    assert (done.tau_under, done.tau_over) == (25, 25)
    assert done.minutes_over == 1


def test_both_readings_of_upsilon() -> None:
    """Demand up, up, down; supply down, still, down."""
    done = judged([2, 3, 4, 3], [4, 3, 3, 2])
    assert done.upsilon_opposite == pytest.approx(100 / 3)
    assert done.upsilon_differs == pytest.approx(200 / 3)


def test_hours_and_their_price() -> None:
    done = judged([2] * 60, [4] * 60)
    assert (done.instance_hours, done.cost) == (4, 2)


def test_what_is_not_known_is_neither_short_nor_beyond_but_paid() -> None:
    done = judged([2, None, None, 2], [2, 9, 1, 2])
    assert (done.theta_under, done.theta_over, done.upsilon_differs) == (0, 0, 0)
    assert done.instance_hours == pytest.approx(14 / 60)
    assert done.changes == 3


def test_the_worst_step_is_the_one_with_most_late_requests() -> None:
    done = judged([2, 3, 3], [2, 2, 3], [100.0, 155.0, 170.0])
    assert done.worst == Worst(1, STATION.late(155, 2))
    saturated = judged([9, 9, 9], [2, 2, 3], [200.0, 700.0, 900.0])
    assert saturated.worst == Worst(1, 1.0)


@example([(3, 2)] * 11)
@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(2, 12)), st.integers(2, 10)), min_size=1
    ).filter(lambda steps: any(needed for needed, _ in steps))
)
def test_shares_are_shares(steps: list[tuple[int | None, int]]) -> None:
    done = judged([needed for needed, _ in steps], [had for _, had in steps])
    assert 0 <= done.theta_under <= done.tau_under <= 100
    assert 0 <= done.tau_over <= 100
    assert done.tau_under + done.tau_over <= 100 + 1e-9, "rounded twice"
    assert 0 <= done.upsilon_opposite <= done.upsilon_differs <= 100
    assert (done.theta_over > 0) is (done.tau_over > 0)

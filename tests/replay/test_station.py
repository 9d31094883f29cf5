"""How many instances a load needs, by the queue M/M/c."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_fleet.replay.station import LATE, MOST_BUSY, Station, Unreachable

STATION = Station(40, 2, 0.2)
RATES = st.floats(0, 3000)
STATIONS = st.builds(
    Station,
    service_rate=st.floats(20, 200),
    workers=st.integers(1, 8),
    objective=st.floats(0.2, 5),
)


def test_one_worker_is_the_queue_m_m_1() -> None:
    """P(T > t) = e^(−(μ−λ)·t), a formula of its own."""
    alone = Station(40, 1, 0.2)
    for rate in (0.0, 10.0, 30.0, 39.0):
        assert alone.late(rate, 1) == pytest.approx(math.exp(-(40 - rate) * 0.2))
        assert alone.in_flight(rate, 1) == pytest.approx(rate / (40 - rate))


def test_two_workers_are_the_queue_m_m_2() -> None:
    """Its mean number is 2ρ / (1 − ρ²)."""
    for rate in (8.0, 40.0, 72.0):
        used = rate / 80
        assert STATION.in_flight(rate, 1) == pytest.approx(2 * used / (1 - used**2))


def test_where_the_formula_divides_by_zero_it_is_continuous() -> None:
    """c − 1 − a = 0 at a = 3 of four workers."""
    assert STATION.late(120, 2) == pytest.approx(STATION.late(120 + 1e-6, 2), rel=1e-6)


def test_a_saturated_queue_is_late_with_all() -> None:
    assert STATION.late(80, 1) == 1
    assert STATION.in_flight(80, 1) == math.inf


@given(STATIONS, RATES)
def test_demand_is_the_fewest_that_are_in_time(station: Station, rate: float) -> None:
    needed = station.demand(rate)
    assert station.late(rate, needed) <= LATE
    assert needed == 1 or station.late(rate, needed - 1) > LATE


@given(STATIONS, RATES, RATES)
def test_demand_grows_with_the_load(station: Station, one: float, other: float) -> None:
    assert station.demand(min(one, other)) <= station.demand(max(one, other))


@given(st.floats(21, 100), st.floats(0, 900), st.floats(1, 2), st.floats(1, 3))
def test_faster_or_more_patient_needs_no_more(
    service_rate: float, rate: float, faster: float, more_patient: float
) -> None:
    needed = Station(service_rate, 2, 0.2).demand(rate)
    assert Station(service_rate * faster, 2, 0.2).demand(rate) <= needed
    assert Station(service_rate, 2, 0.2 * more_patient).demand(rate) <= needed


@given(STATIONS, st.lists(RATES, max_size=50))
def test_all_rates_at_once_need_what_each_needs(station: Station, rates: list[float]) -> None:
    assert station.demands(rates) == {rate: station.demand(rate) for rate in rates}


def test_many_levels_cost_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    demand = Station.demand

    def counted(station: Station, rate: float) -> int:
        nonlocal looks
        looks += 1
        return demand(station, rate)

    monkeypatch.setattr(Station, "demand", counted)
    STATION.demands(rate / 50 for rate in range(32_000))
    assert looks < 10 * 2 * 16


def test_an_objective_that_no_number_reaches_is_refused_with_what_to_do() -> None:
    with pytest.raises(Unreachable, match=r"14% .* 50 ms .*: raise the objective"):
        Station(40, 2, 0.05)


def test_a_load_beyond_counting_is_refused() -> None:
    assert STATION.demand(40 * MOST_BUSY) > MOST_BUSY / 2
    for rate in (40.1 * MOST_BUSY, math.inf, math.nan):
        with pytest.raises(Unreachable, match="lower the peak"):
            STATION.demand(rate)

"""The rules that the spec's are compared with do what their makers write."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_fleet.replay.making import Replay
from photo_fleet.replay.predictive import Predictive
from photo_fleet.replay.rivals import Hpa, Kpa, Static, Step, TargetTracking
from photo_fleet.replay.simulation import Conditions, Policy, Seen, demand_of, simulate
from photo_fleet.replay.station import Station
from photo_fleet.replay.traffic import Traffic
from photo_fleet.spec.fleet import Group

STATION = Station(40, 2, 0.2)  # 80 requests a second saturate an instance
CONDITIONS = Conditions(STATION, 2, 10, 120)
Rates = Sequence[float | None]
POLICIES: dict[str, Callable[[float], Policy]] = {
    "static": lambda every: Static(4),
    "step": lambda every: Step(STATION, every),
    "target-tracking": lambda every: TargetTracking(STATION, every),
    "hpa": lambda every: Hpa(STATION, every),
    "kpa": lambda every: Kpa(STATION, every),
    "predictive": lambda every: Predictive(CONDITIONS, every),
}


def supply(
    policy: Policy, rates: Rates, every: float = 60, conditions: Conditions = CONDITIONS
) -> list[int]:
    traffic = Traffic(rates, every)
    demand = demand_of(traffic, conditions)
    return list(simulate(traffic, demand, policy, conditions).supply)


def seen(policy: Policy, used: Sequence[float | None], ready: int, every: float = 60) -> list[int]:
    """What it wants after each of these uses of so many instances, were that not done."""
    rates = [None if one is None else one * ready * STATION.capacity for one in used]
    return [
        policy.want(Seen((n + 1) * every, rate, [0.0] * ready, ready, True))
        for n, rate in enumerate(rates)
    ]


@pytest.mark.parametrize("name", POLICIES)
@given(
    rates=st.lists(st.one_of(st.none(), st.floats(0, 5000)), min_size=1, max_size=120),
    every=st.sampled_from([1.0, 15.0, 60.0, 300.0]),
    boot=st.sampled_from([0.0, 45.0, 120.0, 700.0]),
    bounds=st.tuples(st.integers(1, 5), st.integers(0, 8)),
)
@settings(max_examples=30, deadline=None)
def test_every_policy_stays_within_the_bounds_and_holds_where_nothing_is_known(
    name: str, rates: list[float | None], every: float, boot: float, bounds: tuple[int, int]
) -> None:
    least, most = bounds[0], bounds[0] + bounds[1]
    conditions = Conditions(STATION, least, most, boot)
    found = supply(POLICIES[name](every), [*rates, 1.0, *[None] * 50], every, conditions)
    assert found[0] == least
    assert all(least <= one <= most for one in found)
    arrived = len(rates) + 1 + int(boot // every) + 2
    assert len(set(found[arrived:])) <= 1


@pytest.mark.parametrize("name", POLICIES)
def test_a_constant_load_is_met_and_then_left_alone(name: str) -> None:
    """Of 250 requests a second, which four instances serve in time."""
    found = supply(POLICIES[name](60), [250.0] * 3000)
    assert all(one >= 4 for one in found[60:])
    assert len(set(found[60:])) == 1


@pytest.mark.parametrize("name", ["step", "target-tracking", "hpa", "kpa", "predictive"])
def test_a_load_that_goes_is_let_go_of(name: str) -> None:
    assert supply(POLICIES[name](60), [600.0] * 120 + [1.0] * 300)[-1] == 2


def test_what_is_asked_for_is_ready_after_the_boot_and_what_leaves_leaves_at_once() -> None:
    """Of three that boot two leave before they are ready."""

    class Wishes:
        name = "wishes"
        wishes = iter([2, 5, 3, 3, 3, 2, 2])

        def want(self, seen: Seen) -> int:
            return next(self.wishes)

    assert supply(Wishes(), [1.0] * 7) == [2, 2, 2, 3, 3, 3, 2]


def test_step_adds_one_after_five_minutes_and_rests_for_five() -> None:
    assert seen(Step(STATION, 60), [0.71] * 11, 4) == [4] * 4 + [5] + [4] * 4 + [5, 4]
    assert seen(Step(STATION, 60), [0.7] * 20, 4) == [4] * 20


def test_step_removes_one_after_ten_minutes() -> None:
    assert seen(Step(STATION, 60), [0.29] * 11, 4) == [4] * 9 + [3, 4]
    assert seen(Step(STATION, 60), [0.3] * 20, 4) == [4] * 20


def test_step_counts_anew_after_a_minute_that_was_not_beyond_or_not_known() -> None:
    for between in (0.5, None):
        used = [0.9] * 4 + [between] + [0.9] * 4
        assert seen(Step(STATION, 60), used, 4) == [4] * 9


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=300))
@settings(max_examples=30, deadline=None)
def test_step_never_acts_within_its_cooldown(rates: list[float]) -> None:
    found = supply(Step(STATION, 60), [1.0, *rates], conditions=Conditions(STATION, 2, 10, 0))
    moments = [n for n in range(1, len(found)) if found[n] != found[n - 1]]
    assert all(later - sooner >= 5 for sooner, later in pairwise(moments))


def test_target_tracking_goes_out_after_three_minutes_to_what_the_target_needs() -> None:
    assert seen(TargetTracking(STATION, 60), [0.9] * 3, 4) == [4, 4, 6]
    assert seen(TargetTracking(STATION, 60), [0.6] * 30, 4) == [4] * 30


def test_target_tracking_comes_in_after_fifteen_to_the_highest_of_them() -> None:
    assert seen(TargetTracking(STATION, 60), [0.5] + [0.1] * 15, 8) == [8] * 14 + [7, 2]
    assert seen(TargetTracking(STATION, 60), [0.54] * 30, 8) == [8] * 30


@given(st.floats(0.54, 0.66), st.integers(1, 100))
def test_the_hpa_does_nothing_within_its_tolerance(used: float, ready: int) -> None:
    assert seen(Hpa(STATION, 60), [used] * 10, ready) == [ready] * 10


def test_the_hpa_goes_up_at_once_and_at_most_twofold_or_by_four_in_15_seconds() -> None:
    assert seen(Hpa(STATION, 60), [0.9], 4) == [6]
    station, full = Station(40, 2, 0.2), 100.0
    for every, most in ((15.0, 6), (30.0, 12), (60.0, 48)):
        eager = Hpa(station, every)
        eager.target = 0.01
        assert eager.want(Seen(every, full * 80, [0.0] * 2, 2, True)) == most


def test_the_hpa_comes_down_to_the_highest_of_the_last_five_minutes() -> None:
    assert seen(Hpa(STATION, 60), [0.5, *[0.3] * 6], 10) == [9, 9, 9, 9, 9, 5, 5]


def test_the_hpa_goes_by_what_is_ready_and_not_by_what_boots() -> None:
    """Of 20, of which 14 are ready, 21 are asked for: 1.05 of the target, were all counted."""
    need, capacity = 21 * 0.6, STATION.capacity
    lately = [Seen(60.0 * n, need * capacity, [0.0] * 14, 20, False) for n in range(1, 8)]
    hpa = Hpa(STATION, 60)
    assert [hpa.want(one) for one in lately] == [21] * 7
    hpa, few = Hpa(STATION, 60), [replace(one, rate=10 * capacity) for one in lately]
    hpa.want(lately[0])
    assert [hpa.want(one) for one in few] == [20] * 4 + [17] * 3, "they are given up after 300 s"


def test_the_hpa_does_not_come_down_while_nothing_is_known() -> None:
    assert seen(Hpa(STATION, 60), [0.3] * 6 + [None] * 3, 10)[6:] == [10] * 3


def test_the_kpa_aims_at_seven_tenths_of_what_an_instance_can_do() -> None:
    assert seen(Kpa(STATION, 60), [0.7, 0.71], 4) == [4, 5]


def test_the_kpa_comes_down_to_half_at_most() -> None:
    assert seen(Kpa(STATION, 60), [0.0], 9) == [4]


def test_the_kpa_s_stable_window_is_a_minute_and_its_panic_window_six_seconds() -> None:
    """Of seconds: 54 calm ones hold the stable window down, and the last six start a panic."""
    calm, rush = [0.1] * 54, [2.0] * 6
    wanted = seen(Kpa(STATION, 1), [*calm, *rush], 4, every=1)
    assert wanted[53] == 2
    assert wanted[-1] == 12
    after = seen(Kpa(STATION, 1), [*calm, *rush, *[0.1] * 69], 4, every=1)
    assert min(after[60:110]) >= 4, "never down in panic"
    assert after[-1] == 2


def test_predictive_knows_the_second_day_what_comes_on_the_first() -> None:
    """Every day at noon all come at once, for half an hour; from the fifth day on at six."""
    noon = [60.0] * 720 + [500.0] * 30 + [60.0] * 690
    evening = [60.0] * 1080 + [500.0] * 30 + [60.0] * 330
    found = supply(Predictive(CONDITIONS, 60), noon * 4 + evening * 16)
    days = [found[at : at + 1440] for at in range(0, 20 * 1440, 1440)]
    missing = [sum(one < 7 for one in day[720:750]) for day in days[:4]]
    assert missing[0] > 3 * missing[1]
    missing = [sum(one < 7 for one in day[1080:1110]) for day in days[4:]]
    assert missing[0] > 3 * missing[-1], "it learns"
    assert max(days[4][720:750]) > 5
    assert max(days[-1][720:750]) < 4, "and forgets"


@pytest.mark.parametrize("bounds", [(1, 3), (2, 4), (4, 9), (6, 9)])
def test_static_4_is_four_whatever_the_bounds(bounds: tuple[int, int]) -> None:
    replay = Replay(Traffic([100.0] * 9, 60), Conditions(STATION, *bounds, 120), None)
    run, outcome = next(replay.rivals())
    assert (run.policy, outcome.policy) == ("static-4", "static-4")
    assert set(run.supply[2:]) == {4}
    assert run.supply[0] == min(4, bounds[0])


def test_a_replay_has_all_policies_and_judges_them_alike() -> None:
    replay = Replay(Traffic([100.0, 400.0, 100.0], 60), CONDITIONS, 0.5)
    outcomes = [outcome for _, outcome in (replay.spec(Group()), *replay.rivals())]
    names = [one.policy for one in outcomes]
    assert names == ["spec", "static-4", *list(POLICIES)[1:]]
    assert all(one.cost == one.instance_hours / 2 for one in outcomes)

"""When a group grows and shrinks, on a clock that only these tests move."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_fleet.group.choice import Candidate, first_to_leave
from photo_fleet.group.policy import PolicyEngine, period, scaled
from photo_fleet.group.replacement import Backoff, Liveness
from photo_fleet.group.samples import Reading
from photo_fleet.spec.fleet import Group, Policy

OUT = Policy("cpu", 70, 300, +1, 300)
IN = Policy("cpu", 30, 600, -1, 300)
GROUP = Group(min=2, max=10, desired=3, warm_up=60, policies=(OUT, IN))

Load = Callable[[float, int], float]


@dataclass
class Simulation:
    """A group whose instances are ready `boot` seconds after they were asked for. `load` gives the
    CPU of one instance at a time, with so many of them at work; None is silence."""

    group: Group = GROUP
    interval: float = 10.0
    boot: float = 20.0
    now: float = 0.0
    desired: int = 3
    changes: list[tuple[float, int]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = PolicyEngine(self.group, self.interval, 60.0)
        self.ready = {f"i{number}": -1000.0 for number in range(self.desired)}

    def tick(self, values: Iterable[float | None]) -> int:
        """One observation; instances beyond the values have none."""
        self.now += self.interval
        given = list(values)
        given += [None] * (len(self.ready) - len(given))
        readings = [
            Reading(name, since, {} if value is None else {"cpu": value})
            for (name, since), value in zip(self.ready.items(), given, strict=False)
            if since <= self.now
        ]
        settled = all(since <= self.now for since in self.ready.values())
        decision = self.engine.step(self.now, self.desired, readings, settled)
        self.reasons.append(decision.reason)
        if decision.change:
            self.changes.append((self.now, decision.change))
            self._resize(decision.change)
        return decision.change

    def run(self, seconds: float, load: Load) -> None:
        for _ in range(int(seconds / self.interval)):
            working = sum(since <= self.now for since in self.ready.values())
            self.tick([load(self.now, working)] * len(self.ready))

    def _resize(self, change: int) -> None:
        self.desired += change
        for _ in range(abs(change)):
            if change > 0:
                self.ready[f"i{len(self.ready)}-{self.now}"] = self.now + self.boot
            else:
                self.ready.popitem()


def constant(value: float) -> Load:
    return lambda now, working: value


def shared(demand: float) -> Load:
    """Work worth so many per cent of one instance, shared by all."""
    return lambda now, working: min(100.0, demand / max(1, working))


def test_a_load_above_the_threshold_adds_one_only_after_the_whole_duration() -> None:
    group = Simulation()
    group.run(300, constant(80))
    assert group.changes == []
    group.run(10, constant(80))
    assert group.changes == [(310.0, +1)]
    assert group.reasons[-1] == "cpu 80 % on average of 3, above 70 % for 300 s: 3 → 4"


def test_a_load_below_the_threshold_removes_one_only_after_the_whole_duration() -> None:
    group = Simulation()
    group.run(600, constant(10))
    assert group.changes == []
    group.run(10, constant(10))
    assert group.changes == [(610.0, -1)]


def test_one_average_that_is_not_beyond_begins_the_window_anew() -> None:
    group = Simulation()
    group.run(290, constant(80))
    group.run(60, constant(40))
    group.run(300, constant(80))
    assert group.changes == []
    group.run(60, constant(80))
    assert len(group.changes) == 1


@pytest.mark.parametrize("value", [70.0, 30.0])
def test_a_load_exactly_at_a_threshold_does_nothing(value: float) -> None:
    group = Simulation()
    group.run(7200, constant(value))
    assert group.changes == []


@given(st.floats(30, 70), st.integers(2, 10))
@settings(max_examples=25, deadline=None)
def test_a_constant_load_between_the_thresholds_never_acts(value: float, size: int) -> None:
    group = Simulation(desired=size)
    group.run(3600, constant(value))
    assert group.changes == []


@given(st.lists(st.floats(30, 70), min_size=30, max_size=120))
@settings(max_examples=25, deadline=None)
def test_any_load_between_the_thresholds_never_acts(values: list[float]) -> None:
    group = Simulation()
    for value in values * 5:
        group.tick([value] * 3)
    assert group.changes == []


@given(st.floats(0, 1000))
@settings(max_examples=25, deadline=None)
def test_a_constant_demand_moves_the_group_in_one_direction_only_and_then_leaves_it(
    demand: float,
) -> None:
    group = Simulation(interval=30)
    group.run(6 * 3600, shared(demand))
    signs = {math.copysign(1, change) for _, change in group.changes}
    assert len(signs) <= 1
    before = list(group.changes)
    group.run(3600, shared(demand))
    assert group.changes == before


@given(st.floats(0.01, 5), st.integers(1, 60), st.sampled_from([70.0, 30.0]))
@settings(max_examples=25, deadline=None)
def test_a_sawtooth_on_the_boundary_does_not_flap(
    height: float, half_period: int, threshold: float
) -> None:
    """Demand swings around what loads three instances exactly to the threshold."""
    group = Simulation()
    for step in range(1000):
        swing = height if step // half_period % 2 else -height
        working = sum(since <= group.now for since in group.ready.values())
        group.tick([min(100.0, 3 * (threshold + swing) / working)] * len(group.ready))
    signs = {math.copysign(1, change) for _, change in group.changes}
    assert len(signs) <= 1
    assert len(group.changes) <= 1


def test_after_a_change_the_window_begins_anew_and_the_cooldown_is_waited_for() -> None:
    hasty = replace(GROUP, policies=(replace(OUT, duration=60, cooldown=600), IN))
    group = Simulation(hasty)
    group.run(2000, constant(90))
    moments = [moment for moment, _ in group.changes]
    assert len(moments) == 4
    assert all(later - earlier == 600 for earlier, later in pairwise(moments))
    patient = Simulation(replace(GROUP, policies=(replace(OUT, duration=600, cooldown=60), IN)))
    patient.run(1300, constant(90))
    assert len(patient.changes) == 2, "the second needs a whole window of its own"


def test_a_change_by_hand_begins_windows_and_cooldowns_anew() -> None:
    group = Simulation()
    group.run(300, constant(80))
    group.engine.changed(group.now)
    group.run(300, constant(80))
    assert group.changes == []
    group.run(10, constant(80))
    assert len(group.changes) == 1


def test_the_group_stays_within_its_bounds_and_says_so() -> None:
    large = Simulation(replace(GROUP, max=4), desired=4)
    large.run(900, constant(95))
    assert large.changes == []
    assert large.reasons[-1].endswith("but the group's max is 4")
    small = Simulation(desired=2)
    small.run(1800, constant(1))
    assert small.changes == []
    assert small.reasons[-1].endswith("but the group's min is 2")


def test_a_step_beyond_the_bound_is_cut_to_it() -> None:
    group = Simulation(replace(GROUP, max=4, policies=(replace(OUT, step=3), IN)))
    group.run(320, constant(95))
    assert group.changes == [(310.0, +1)]


def test_nothing_is_decided_while_the_group_is_on_its_way() -> None:
    group = Simulation(boot=100_000)
    group.run(320, constant(95))
    assert len(group.changes) == 1
    group.run(7200, constant(95))
    assert len(group.changes) == 1


def test_an_instance_that_warms_up_does_not_count() -> None:
    group = Simulation()
    group.ready["young"] = 0.0
    group.desired = 4
    for _ in range(5):
        group.tick([60, 60, 60, 0])
    assert group.engine.averages == {"cpu": 60.0}
    group.tick([60, 60, 60, 0])
    assert group.engine.averages == {"cpu": 45.0}


def test_a_silent_instance_counts_as_idle_when_adding_is_the_question() -> None:
    group = Simulation()
    for _ in range(100):  # (90 + 90 + 0) / 3 = 60
        group.tick([90, 90, None])
    assert group.changes == []
    for _ in range(40):
        group.tick([90, 90, 90])
    assert [change for _, change in group.changes] == [+1]


def test_a_silent_instance_counts_as_loaded_when_removing_is_the_question() -> None:
    group = Simulation()
    for _ in range(200):  # (10 + 10 + 100) / 3 = 40
        group.tick([10, 10, None])
    assert group.changes == []


def test_a_silent_instance_forbids_removal_by_a_metric_without_a_full_load() -> None:
    rules = (Policy("in_flight", 20, 60, +1, 0), Policy("in_flight", 5, 60, -1, 0))
    engine = PolicyEngine(replace(GROUP, policies=rules), 10)
    for now in range(0, 600, 10):
        readings = [Reading("a", -99, {"in_flight": 0}), Reading("b", -99), Reading("c", -99)]
        assert engine.step(now, 3, readings).change == 0


def test_two_missed_samples_do_not_make_an_instance_silent_but_three_do() -> None:
    group = Simulation()
    group.tick([60, 60, 60])
    for _ in range(2):
        group.tick([60, 60])
        assert group.engine.averages == {"cpu": 60.0}
    group.tick([60, 60])
    assert group.engine.averages == {"cpu": 40.0}


def test_without_any_sample_nothing_is_decided_and_what_held_is_forgotten() -> None:
    group = Simulation()
    group.run(250, constant(80))
    for _ in range(4):
        group.tick([])
    group.run(300, constant(80))
    assert group.changes == []


def test_a_gap_in_the_observations_begins_the_window_anew() -> None:
    group = Simulation()
    group.run(290, constant(80))
    group.now += 300
    group.run(100, constant(80))
    assert group.changes == []


def test_adding_wins_over_removing() -> None:
    rules = (Policy("queue_age", 30, 60, +1, 0), Policy("cpu", 30, 60, -1, 0))
    engine = PolicyEngine(replace(GROUP, policies=rules), 10)
    changes = []
    for now in range(0, 130, 10):
        values = {"cpu": 5.0, "queue_age": 100.0 if now < 70 else 31.0}
        changes.append(engine.step(now, 3, [Reading("a", -99, values)]).change)
    assert sum(changes) > 0
    assert min(changes) == 0


def test_nothing_is_removed_while_a_rule_for_adding_is_beyond_its_threshold() -> None:
    rules = (Policy("queue_age", 30, 9999, +1, 0), Policy("cpu", 30, 60, -1, 0))
    engine = PolicyEngine(replace(GROUP, policies=rules), 10)
    for now in range(0, 600, 10):
        reading = Reading("a", -99, {"cpu": 5.0, "queue_age": 31.0})
        assert engine.step(now, 3, [reading]).change == 0


def test_a_day_of_demand_is_followed_without_much_missing_or_flapping() -> None:
    """Demand swings between two and eight instances' worth in four hours."""
    group = Simulation(replace(GROUP, policies=(replace(OUT, cooldown=120), IN)))
    short = total = 0.0
    for _ in range(int(8 * 3600 / group.interval)):
        demand = 350 + 250 * math.sin(2 * math.pi * group.now / (4 * 3600))
        working = sum(since <= group.now for since in group.ready.values())
        group.tick([min(100.0, demand / working)] * len(group.ready))
        short += max(0.0, demand / 100 - working) * group.interval
        total += demand / 100 * group.interval
    assert short / total < 0.02
    turns = [change for _, change in group.changes]
    reversals = sum(a * b < 0 for a, b in pairwise(turns))
    assert reversals <= 4, "two waves: up, down, up, down"


def test_a_time_scale_shortens_windows_cooldowns_and_warm_up_and_nothing_else() -> None:
    shortened = scaled(GROUP, 60)
    assert shortened.warm_up == 1
    assert [(rule.duration, rule.cooldown) for rule in shortened.policies] == [(5, 5), (10, 5)]
    assert replace(shortened, warm_up=60, policies=GROUP.policies) == GROUP
    assert period(1, 1) == 60
    assert period(1, 60) == 3, "so that missed samples are seen as missed"


def test_who_leaves_is_failing_else_unready_else_of_the_oldest_release_else_the_newest() -> None:
    oldest = Candidate("oldest", release=2, boot=1, ready=True)
    newest = Candidate("newest", release=2, boot=4, ready=True)
    outdated = Candidate("outdated", release=1, boot=2, ready=True)
    starting = Candidate("starting", release=2, boot=5, ready=False)
    failing = Candidate("failing", release=2, boot=3, ready=True, failing=True)
    candidates = [oldest, newest, outdated, starting, failing]
    left = []
    while candidates:
        name = first_to_leave(candidates)
        left.append(name)
        candidates = [item for item in candidates if item.name != name]
    assert left == ["failing", "starting", "outdated", "newest", "oldest"]


def test_only_three_failures_in_a_row_replace_an_instance() -> None:
    looks = Liveness()
    assert [looks.heard(ok) for ok in (False, False, True, False, False)] == [False] * 5
    assert looks.heard(False)


def test_the_first_replacement_comes_at_once_and_those_of_early_deaths_ever_later() -> None:
    backoff = Backoff()
    assert [backoff.died(0, 1.0) for _ in range(8)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert not backoff.allows(29.9)
    assert backoff.allows(30.0)
    assert backoff.died(100, 31.0) == 0, "it had lived long enough"
    backoff.died(100, 1.0)
    backoff.died(100, 1.0)
    assert not backoff.allows(100)
    backoff.forget()
    assert backoff.allows(100)


def test_starts_that_come_to_nothing_come_ever_later_however_long_each_took() -> None:
    backoff = Backoff()
    assert [backoff.failed(now) for now in range(0, 1000, 125)] == [0, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.failed_starts == 8
    backoff.arrived()
    assert (backoff.failed_starts, backoff.allows(900)) == (0, False)
    backoff.failed(1000)
    backoff.forget()
    assert (backoff.failed_starts, backoff.allows(1000)) == (0, True)

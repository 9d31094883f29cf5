"""The spec's rules in a replay are those of the local group: one engine, the same decisions."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_base.processes import Running
from photo_fleet.group import local
from photo_fleet.group.choice import first_to_leave
from photo_fleet.group.instance import Instance, Release
from photo_fleet.group.local import LocalGroup
from photo_fleet.group.policy import PolicyEngine
from photo_fleet.group.registry_view import Registry
from photo_fleet.replay.outcome import Run
from photo_fleet.replay.simulation import Conditions, Seen, demand_of, simulate
from photo_fleet.replay.spec_policy import NEVER, SpecPolicy
from photo_fleet.replay.station import Station
from photo_fleet.replay.traffic import Traffic
from photo_fleet.spec.fleet import Fleet, Group, Policy

STATION = Station(40, 2, 0.2)
GROUP = Group(
    min=2,
    max=6,
    desired=2,
    warm_up=10,
    policies=(
        Policy("cpu", 70, 40, +1, 30),
        Policy("in_flight", 8, 5, +2, 90),
        Policy("cpu", 30, 60, -1, 45),
    ),
)
BOOT = 20
RELEASE = Release(1, "one", ("photo-api",))


def replayed(group: Group, rates: Sequence[float | None], every: float, boot: float) -> Run:
    traffic = Traffic(rates, every)
    conditions = Conditions(STATION, group.min, group.max, boot)
    policy = SpecPolicy("spec", group, STATION, every)
    return simulate(traffic, demand_of(traffic, conditions), policy, conditions)


@dataclass
class Driven:
    """A local group whose clock, load and starts are a test's. What it decides is its own."""

    group: LocalGroup
    clock: SimpleNamespace

    def second(self, number: int, rate: float | None) -> int:
        """How many served in it; afterwards the group decides, and its wish is carried out."""
        items = self.group.staying
        for item in items:
            if item.ready_since is None and number - item.started >= BOOT:
                item.state, item.ready_since = "ready", float(number)
        ready = [item for item in items if item.ready]
        for item in ready:
            item.cpu = item.in_flight = None
            if rate is not None:
                item.cpu = min(100.0, 100 * rate / (len(ready) * STATION.capacity))
                item.in_flight = STATION.in_flight(rate, len(ready))
        self.clock.now = number + 1.0
        self.group._decide(None)
        while len(self.group.staying) < self.group.desired:
            self.add(float(number))
        while len(self.group.staying) > self.group.desired:
            del self.group.instances[first_to_leave([i.candidate() for i in self.group.staying])]
        return len(ready)

    def add(self, now: float) -> None:
        self.group._boots += 1
        own = cast(Running, SimpleNamespace(pid=os.getpid()))
        name = self.group._new_name()
        self.group.instances[name] = Instance(name, self.group._boots, RELEASE, own, 1.0, now)


def driven(group: Group, rates: Sequence[float | None]) -> list[int]:
    """How many instances of a local group served in each second of a trace."""
    clock, nothing = SimpleNamespace(now=0.0), cast(Any, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "time", SimpleNamespace(monotonic=lambda: clock.now))
        world = Driven(
            LocalGroup(
                *(Fleet(group=group), nothing, cast(Registry, nothing), nothing, lambda *_: None),
                release=RELEASE,
            ),
            clock,
        )
        for _ in range(group.min):
            world.add(-1000.0)
        for item in world.group.instances.values():
            item.state, item.ready_since = "ready", -1000.0
        return [world.second(number, rate) for number, rate in enumerate(rates)]


def sample_trace() -> list[float | None]:
    """Calm, a rush, a lull of which nothing is known, a swing on a threshold, the night."""
    rates: list[float | None] = [100.0] * 90 + [300.0] * 240 + [None] * 30 + [310.0] * 60
    rates += [224.0 + 8 * (second // 20 % 2) for second in range(240)]
    return [*rates, *[20.0] * 600, *[150.0] * 120, *[None] * 5, *[10.0] * 300]


def test_a_trace_gives_the_local_group_and_a_replay_the_same_decisions() -> None:
    rates = sample_trace()
    lived = driven(GROUP, rates)
    assert len(set(lived)) > 3, "nothing would have been shown"
    assert list(replayed(GROUP, rates, every=1, boot=BOOT).supply) == lived


LEVELS = st.one_of(
    st.none(), st.sampled_from([0.0, 48.0, 65.0, 90.0, 112.0, 168.0, 300.0]), st.floats(0, 500)
)
STRETCHES = st.lists(st.tuples(LEVELS, st.integers(1, 15)), min_size=1, max_size=25)
SLOW = Group(
    min=2, max=6, warm_up=120, policies=(Policy("cpu", 70, 180, +2, 300), GROUP.policies[2])
)


@given(st.lists(st.tuples(LEVELS, st.integers(1, 90)), min_size=1, max_size=10))
@settings(max_examples=25, deadline=None)
def test_any_trace_gives_both_the_same_decisions(
    stretches: list[tuple[float | None, int]],
) -> None:
    """The rules are so fast that a newcomer counts before a whole minute of it is known."""
    hasty = replace(
        GROUP, policies=tuple(replace(one, duration=5, cooldown=8) for one in GROUP.policies)
    )
    rates = [rate for rate, seconds in stretches for _ in range(seconds)] + [1.0]
    assert list(replayed(hasty, rates, every=1, boot=BOOT).supply) == driven(hasty, rates)


@given(STRETCHES, st.sampled_from([Group(), SLOW, GROUP]), st.sampled_from([60.0, 300.0]))
@settings(deadline=None)
def test_steps_that_the_engine_is_not_told_of_change_nothing(
    stretches: list[tuple[float | None, int]], group: Group, every: float
) -> None:
    rates = [rate for rate, steps in stretches for _ in range(steps)] + [1.0]
    run = replayed(group, rates, every, boot=120)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SpecPolicy, "calm", lambda *_: NEVER)
        whole = replayed(group, rates, every, boot=120)
    assert run.supply == whole.supply


def test_five_minutes_of_one_minute_steps_are_five_steps() -> None:
    """What is seen in the fifth is ready two minutes after its begin."""
    run = replayed(Group(), [10.0] * 3 + [150.0] * 30, 60, boot=120)
    assert run.supply[:9] == [2] * 9
    assert run.supply[9] == 3


def test_minutes_tell_what_seconds_tell_and_act_up_to_two_minutes_sooner() -> None:
    minutes = [20.0] * 10 + [150.0] * 20 + [300.0] * 30 + [20.0] * 60
    coarse = replayed(Group(), minutes, 60, boot=120).supply
    fine = replayed(Group(), [rate for rate in minutes for _ in range(60)], 1, boot=120).supply
    changes = [n for n in range(1, len(minutes)) if coarse[n] != coarse[n - 1]]
    seconds = [n / 60 for n in range(1, len(fine)) if fine[n] != fine[n - 1]]
    assert len(changes) == len(seconds) > 4
    drift = [later - sooner for sooner, later in zip(changes, seconds, strict=True)]
    assert all(0 <= late <= 2 for late in drift)


def test_a_rule_for_the_queue_of_jobs_never_acts() -> None:
    rule = Policy("queue_age", 30, 60, +1, 0)
    run = replayed(Group(policies=(rule,)), [500.0] * 60, 60, boot=120)
    assert set(run.supply) == {2}


def test_a_month_of_minutes_costs_the_engine_few_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nights at the least size, days between the thresholds: it is not told of what changes
    nothing, so that a month of minutes is no matter of many seconds."""
    day = [10.0] * 700 + [250.0] * 40 + [180.0] * 300 + [220.0] * 100 + [10.0] * 300
    looks, step = 0, PolicyEngine.step

    def counted(engine: PolicyEngine, *given: Any) -> Any:
        nonlocal looks
        looks += 1
        return step(engine, *given)

    monkeypatch.setattr(PolicyEngine, "step", counted)
    run = replayed(Group(), day * 31, 60, boot=120)
    assert len(run.supply) == 44_640
    assert max(run.supply) > 3
    assert looks < 44_640 / 8


def test_those_that_were_ready_for_long_enough_are_one_reading_and_others_their_own() -> None:
    """As long as the warm-up and the minute that is averaged, here 70 s."""
    policy = SpecPolicy("spec", GROUP, STATION, 1)
    found = policy._readings(Seen(100.0, 1.0, [-math.inf, 30.0, 31.0, 95.0], 4, True), {})
    assert [(one.ready_since, one.alike) for one in found] == [(-math.inf, 2), (31, 1), (95, 1)]

"""The scenarios: what there is, how long it takes, how it is chosen."""

from collections import Counter
from inspect import signature

import pytest

from photo_fleet.drill.catalogue import (
    UnknownScenario,
    chosen,
    listing,
)
from photo_fleet.drill.clients.mix import EVERYDAY
from photo_fleet.drill.faults.available import AVAILABLE
from photo_fleet.drill.gates import STORE_FAULT, Gate
from photo_fleet.drill.scenario import FROM_OUTSIDE, Scenario
from photo_fleet.drill.scenarios import CORE, FURTHER, SCENARIOS
from photo_fleet.drill.scenarios_on_swift import KEYSTONE, SCENARIOS_ON_SWIFT
from photo_fleet.drill.stage.demands import LARGEST

LONGEST_CORE, LONGEST_ALL, LONGEST_SHORT = 20 * 60.0, 75 * 60.0, 3 * 60.0
"""Seconds that the core, all and the short subset may take."""

GATED = {
    Gate.LOSSLESS: {
        "scale-in-idle", "scale-in", "scale-in-slow", "deploy", "resize", "stop-while-starting",
        "boots", "rotate-keys", "rotate-credentials", "deregister-first", "steady", "hang-up",
        "upgrade",
        "skew-clock", "balancer-kill", "two-balancers", "registry-lost", "balancer-cut-registry",
        "sinks-down", "sinks-slow", "sinks-refuse", "tokens-expire", "keystone-down",
    },
    Gate.KILL: {
        "kill-instance", "kill-worker", "vanish-instance", "worker-death-in-lame-duck",
    },
    Gate.PROXY_KILL: {"kill-proxy-worker"},
    Gate.FREEZE: {"freeze-instance", "database-cut-one", "balancer-cut-instance"},
    Gate.PAUSE: {"balancer-pause"},
    Gate.OUTAGE: {
        "database-restart", "database-stop", "database-freeze", "database-limit", "store-restart",
        "store-errors", "store-hang", "store-throttle", "store-slow", "store-full",
        "store-readonly", "commit-unanswered", "standby-promoted", "keystone-down-boot",
        "tokens-expire-alone", "store-stop",
    },
    Gate.FAILOVER: {"lagging-standby-promoted"},
    Gate.EDGE: {"cdn-down", "edge-alone"},
    Gate.COMPARISON: {"health-only"},
}  # fmt: skip


EVERY = (*SCENARIOS, *KEYSTONE)


def named(name: str) -> Scenario:
    return next(item for item in SCENARIOS if item.name == name)


def test_every_scenario_has_its_gate() -> None:
    found: dict[Gate, set[str]] = {}
    for item in EVERY:
        found.setdefault(item.gate, set()).add(item.name)
    assert found == GATED


def test_the_drill_takes_no_longer_than_it_may() -> None:
    assert sum(item.estimate for item in CORE) <= LONGEST_CORE
    assert sum(item.estimate for item in SCENARIOS) <= LONGEST_ALL
    assert sum(item.estimate for item in SCENARIOS if item.short) <= LONGEST_SHORT


def test_scenarios_are_whole() -> None:
    names = Counter(item.name for item in EVERY)
    assert names.most_common(1)[0][1] == 1
    for item in EVERY:
        assert item.core == (item in CORE), item.name
        assert item.core or not item.short, item.name
        assert item.steps, item.name
        moments = [step.at for step in item.steps]
        assert moments == sorted(moments), item.name
        assert moments[0] >= 5, "it takes some load before the fault to compare with"
        assert item.load.rate > 0, item.name
        assert set(item.load.weights) <= set(EVERYDAY), item.name


def test_faults_are_known_end_in_time_and_are_all_used() -> None:
    used = {step.fault for item in EVERY for step in item.steps}
    assert used == set(AVAILABLE)
    assert set(AVAILABLE) >= FROM_OUTSIDE
    for item in EVERY:
        for step in item.steps:
            signature(AVAILABLE[step.fault]).bind("the scene", **step.arguments)
            if step.fault != "skew-clock":
                lasts = step.arguments.get("seconds", 0)
                assert step.at + lasts + 5 <= item.seconds, "and some load after it"


def test_a_fault_is_the_store_s_exactly_if_it_is_named_so() -> None:
    """A gate goes by this."""
    for item in EVERY:
        of_store = item.name.startswith("store-")
        assert all(step.fault.startswith(STORE_FAULT) == of_store for step in item.steps)


def test_removal_by_health_has_the_time_that_it_takes_and_its_opposite_beside_it() -> None:
    removal, beside = named("health-only"), named("deregister-first")
    assert removal.health_only
    assert not beside.health_only
    assert removal.seconds - removal.steps[0].at >= 95, "30 s × 3, with probes that hang 5 s"
    assert (removal.instances, removal.load) == (beside.instances, beside.load)


def largest(scenario: Scenario) -> int:
    """The most instances that it has at a time, those that leave not counted."""
    asked = [step.arguments.get("to", scenario.instances) for step in scenario.steps]
    asked += [scenario.instances + step.arguments.get("count", 0) for step in scenario.steps]
    return int(max(asked))


def test_no_scenario_is_larger_than_a_stage() -> None:
    assert max(map(largest, SCENARIOS)) == largest(named("boots")) == LARGEST


def test_the_core_is_the_default_and_all_adds_to_it() -> None:
    assert chosen(SCENARIOS) == list(CORE)
    assert chosen(SCENARIOS, everything=True) == [*CORE, *FURTHER]
    short = chosen(SCENARIOS, short=True)
    assert {item.gate for item in short} == {Gate.LOSSLESS, Gate.KILL, Gate.OUTAGE}


def test_scenarios_can_be_chosen_by_name_in_the_catalogue_s_order() -> None:
    assert [item.name for item in chosen(SCENARIOS, only=["steady", "scale-in"])] == [
        "scale-in",
        "steady",
    ]
    with pytest.raises(UnknownScenario, match="scale-inn: the scenarios here are scale-in-idle,"):
        chosen(SCENARIOS, only=["scale-inn"])


def test_a_foreign_fleet_is_held_only_to_what_needs_its_address_alone() -> None:
    assert [item.name for item in chosen(SCENARIOS, outside=True)] == ["steady", "hang-up"]
    with pytest.raises(UnknownScenario, match="kill-worker"):
        chosen(SCENARIOS, only=["kill-worker"], outside=True)


def test_a_drill_on_swift_has_scenarios_of_keystone_and_none_that_is_done_to_seaweedfs() -> None:
    left_out = [item for item in SCENARIOS if item not in SCENARIOS_ON_SWIFT]
    assert left_out == [named("rotate-credentials")]
    assert chosen(SCENARIOS_ON_SWIFT) == list(CORE)
    with pytest.raises(UnknownScenario, match="keystone-down"):
        chosen(SCENARIOS, only=["keystone-down"])


def test_the_listing_names_all_with_their_gates() -> None:
    lines = listing(SCENARIOS).splitlines()
    assert len(lines) == len(SCENARIOS) + 2
    assert lines[2].split()[:4] == ["scale-in", "core,short", "lossless", "52"]
    assert "An instance leaves under load" in lines[2]
    assert lines[-1].startswith("core: about 19 min; with --all: about ")
    assert [line.split()[0] for line in lines if ",target" in line] == ["steady", "hang-up"]

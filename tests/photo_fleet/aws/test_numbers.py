"""How the numbers that AWS gets follow from those of the spec."""

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_base.capacity import DEPLOYED
from photo_fleet.render.aws import numbers
from photo_fleet.spec.aws import hook_timeout, whole
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet, Policy
from photo_fleet.spec.targets import for_target


def fleet(**changes: Any) -> Fleet:
    return for_target(
        changed(Fleet(), {k.replace("__", "."): v for k, v in changes.items()}), "aws"
    )


@pytest.mark.parametrize(("duration", "values"), [(60, 1), (61, 2), (300, 5), (600, 10), (0, 1)])
def test_a_rule_waits_no_shorter_than_it_says(duration: float, values: int) -> None:
    assert numbers.periods(Policy("cpu", 70, duration, 1, 300)) == values


def test_what_leaves_keeps_its_requests_as_long_as_it_serves() -> None:
    slow = fleet(drain__lame_duck=10.2, drain__in_flight_wait=20.1)
    assert numbers.deregistration_delay(slow) == 31
    assert numbers.deregistration_delay(fleet()) <= fleet().drain.grace
    assert hook_timeout(fleet(drain__kill_delay=90.001)) == 91
    assert whole(0.1 + 0.2 + 29.7) == 30


@given(st.integers(1, 10_000))
def test_the_largest_group_has_one_more_in_a_deploy_or_a_hundredth(most: int) -> None:
    percent = numbers.most_healthy(fleet(group__max=most))
    assert 100 < percent <= 110
    assert ceil(most * percent / 100) - most <= max(DEPLOYED, ceil(most / 100))


def test_a_deploy_waits_until_the_alarm_has_seen_the_newest() -> None:
    asked = fleet(health_check__interval=30.0)
    unready, _ = numbers.refresh_alarms(asked)
    check = asked.health_check
    sound = numbers.BOOT + check.healthy * check.interval + check.timeout
    assert unready["EvaluationPeriods"] * unready["Period"] > sound
    seen = check.unhealthy * check.interval + unready["EvaluationPeriods"] * unready["Period"]
    assert numbers.refresh(asked)["InstanceWarmup"] == seen + numbers.METRIC_DELAY == 510
    assert numbers.refresh(fleet(group__warm_up=3600.0))["InstanceWarmup"] == 3720


def test_instances_count_when_they_have_booted_and_are_warm() -> None:
    assert numbers.group(fleet(group__warm_up=60.0))["DefaultInstanceWarmup"] == 180


def test_what_takes_a_deploy_back_is_what_pages() -> None:
    _, errors = numbers.refresh_alarms(fleet(objectives__reads=99.9, objectives__writes=99.5))
    assert errors["Threshold"] == 7.2

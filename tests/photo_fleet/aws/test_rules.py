"""What AWS cannot do of a spec is found, with its numbers, and every way mends it."""

from collections.abc import Mapping
from typing import Any

import pytest

from photo_fleet.rules.checks import check
from photo_fleet.rules.findings import Finding
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet, Policy
from photo_fleet.spec.targets import for_target


def on_aws(changes: Mapping[str, Any]) -> Fleet:
    return for_target(changed(Fleet(), changes), "aws")


def findings(fleet: Fleet) -> dict[str, Finding]:
    return {found.code: found for found in check(fleet) if found.code.startswith("aws-")}


OUT, IN = Policy("cpu", 70, 300, 1, 300), Policy("cpu", 30, 600, -1, 300)
QUEUE = Policy("queue_age", 60, 300, 1, 300)
PLAIN = {
    "balancer.buffer_uploads": False,
    "health_check.interval": 5.0,
    "health_check.timeout": 2.0,
    "health_check.unhealthy": 2,
}
"""What of a spec is left to AWS as it is."""

BROKEN: Mapping[str, tuple[str, Mapping[str, Any], str]] = {
    "too often": (
        "aws-health-check",
        {"health_check.interval": 4.0},
        "health_check.interval 4s is not a whole number from 5 to 300",
    ),
    "in between": ("aws-health-check", {"health_check.interval": 7.5}, "interval 7.5s"),
    "too seldom": (
        "aws-health-check",
        {"health_check.interval": 301.0, "drain.lame_duck": 600.0},
        "from 5 to 300",
    ),
    "hasty": ("aws-health-check", {"health_check.timeout": 1.0}, "timeout 1s"),
    "one failure": ("aws-health-check", {"health_check.unhealthy": 1}, "unhealthy 1 is not"),
    "many successes": ("aws-health-check", {"health_check.healthy": 11}, "from 2 to 10"),
    "a short hook": (
        "aws-hook",
        {"drain.kill_delay": 29.9, "drain.grace": 20.0, "drain.in_flight_wait": 0.0},
        "drain.kill_delay 29.9s < 30s",
    ),
    "silent": (
        "aws-idle-timeout",
        {"balancer.keep_alive": 29.0},
        "balancer.keep_alive 29s < service.longest_request 30s",
    ),
    "no metric": (
        "aws-metric",
        {"group.policies": (OUT, IN, QUEUE)},
        'group.policies[2].metric is "queue_age"',
    ),
    "half minutes": (
        "aws-alarm",
        {"group.policies": (Policy("cpu", 70, 90, 1, 300), IN)},
        "group.policies[0].duration 90s is no multiple of 60s",
    ),
    "at once": (
        "aws-alarm",
        {"group.policies": (Policy("cpu", 70, 0, 1, 300), IN)},
        "group.policies[0].duration 0s",
    ),
    "seldom": (
        "aws-rate",
        {"balancer.rate_limits.auth.rate": 0.01, "balancer.rate_limits.auth.burst": 3},
        "0.01/s × 600s + burst 3 = 9 < 10",
    ),
    "hops": ("aws-trusted-hops", {"balancer.trusted_hops": ("10.0.0.0/8",)}, "10.0.0.0/8"),
    "held back": ("aws-buffering", {"balancer.buffer_uploads": True}, "buffer_uploads is true"),
    "passed through": (
        "aws-store",
        {"balancer.store": "http://10.0.0.5:8333"},
        'balancer.store "http://10.0.0.5:8333"',
    ),
}

SOUND: Mapping[str, Mapping[str, Any]] = {
    "least": {**PLAIN, "health_check.healthy": 2},
    "most": {
        "health_check.interval": 300.0,
        "health_check.timeout": 120.0,
        "health_check.healthy": 10,
        "health_check.unhealthy": 10,
        "drain.removal": "health-only",
    },
    "a hook of half a minute": {"drain.kill_delay": 30.0},
    "an answer in time": {"balancer.keep_alive": 30.0},
    "minutes": {"group.policies": (Policy("cpu", 70, 60, 1, 300), IN)},
    "no rules": {"group.policies": ()},
    "ten in ten minutes": {
        "balancer.rate_limits.auth.rate": 0.01,
        "balancer.rate_limits.auth.burst": 4,
    },
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_aws_cannot_do_is_found_and_can_be_mended(name: str) -> None:
    code, changes, numbers = BROKEN[name]
    fleet = on_aws({**PLAIN, **changes})
    found = findings(fleet)[code]
    assert numbers in found.numbers
    assert found.ways
    for way in found.ways:
        assert code not in findings(changed(fleet, way)), way


@pytest.mark.parametrize("name", SOUND)
def test_what_aws_can_do_just_so_is_not_found(name: str) -> None:
    assert findings(on_aws({**PLAIN, **SOUND[name]})) == {}


@pytest.mark.parametrize("name", BROKEN)
def test_another_group_is_not_asked_for_it(name: str) -> None:
    _, changes, _ = BROKEN[name]
    assert findings(changed(Fleet(), {**PLAIN, **changes})) == {}


def test_the_default_spec_has_no_error_there() -> None:
    found = findings(on_aws({}))
    assert {code: one.level for code, one in found.items()} == {"aws-buffering": "warning"}

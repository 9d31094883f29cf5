"""The CloudFormation template: its exact text, what cfn-lint says of it, and every number of it
against AWS's own models and documents."""

import importlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_fleet.render.aws import firewall
from photo_fleet.render.aws.template import LARGEST, files, template
from photo_fleet.rules import aws
from photo_fleet.rules.checks import check
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet, Policy
from photo_fleet.spec.settings import settings as settings_of
from photo_fleet.spec.targets import for_target
from tests.photo_fleet.aws.api_calls import (
    attributes,
    documented_range,
    faults,
    model,
)
from tests.photo_fleet.aws.stack import Stack
from tests.photo_fleet.golden_files import assert_golden

yaml: Any = importlib.import_module("yaml")  # has no types

DEFAULT = for_target(Fleet(), "aws")

CHOSEN: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "roles": {
        "name": "a",
        "service.store_credentials": "role",
        "balancer.algorithm": "least-connections",
        "balancer.bucket": "bucket-of-photos",
        "group.policies": (),
    },
    "slow": {
        "health_check.interval": 300.0,
        "health_check.timeout": 120.0,
        "health_check.healthy": 10,
        "health_check.unhealthy": 10,
        "drain.removal": "health-only",
        "drain.lame_duck": 600.0,
        "drain.in_flight_wait": 600.0,
        "drain.grace": 3600.0,
        "drain.kill_delay": 3600.0,
        "service.keep_alive": 3600.0,
        "balancer.keep_alive": 3500.0,
        "group.warm_up": 86_400.0,
        "group.policies": (Policy("cpu", 90, 86_400, 100, 0), Policy("cpu", 1, 60, -100, 0)),
    },
    "swift": {
        "store.kind": "swift",
        "group.min": 1,
        "group.max": 10_000,
        "group.desired": 1,
        "balancer.rate_limits.auth.rate": 0.01,
        "balancer.rate_limits.auth.burst": 4,
        "metrics.path": "/",
    },
}
PARAMETERS = {
    "Size": "desired",
    "TargetCpu": 60,
    "SecretsArn": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:photo-api/*",
    "PrometheusSecurityGroup": "sg-0b",
    "IpAddressType": "dualstack",
}


def of(name: str) -> Fleet:
    return for_target(changed(Fleet(), CHOSEN[name]), "aws")


def data(fleet: Fleet) -> dict[str, Any]:
    """The template as what reads it does."""
    read: dict[str, Any] = yaml.safe_load(files(fleet)["template.yaml"])
    return read


def stack(fleet: Fleet, **parameters: Any) -> dict[str, dict[str, Any]]:
    return Stack(data(fleet), **parameters).resources()


def test_exact_text() -> None:
    assert_golden("aws", files(DEFAULT))
    assert data(DEFAULT) == json.loads(json.dumps(template(DEFAULT)))


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("parameters", [{}, PARAMETERS], ids=("least", "all"))
def test_aws_takes_every_number(name: str, parameters: dict[str, Any]) -> None:
    assert faults(stack(of(name), **parameters)) == []


def lint(text: str) -> list[str]:
    """What cfn-lint says of a template, as it does by default: errors and warnings."""
    from cfnlint.api import ManualArgs
    from cfnlint.api import lint as findings

    found = findings(text, config=ManualArgs(regions=["us-east-1"]))
    return [f"{one.rule.id} {one.message}" for one in found]


def attribute(key: str, value: str) -> dict[str, str]:
    return {"Key": key, "Value": value}


def _hook(resources: dict[str, Any]) -> None:
    resources["Group"]["Properties"]["LifecycleHookSpecificationList"][0]["HeartbeatTimeout"] = 5


def _attributes(*pairs: dict[str, str]) -> Callable[[dict[str, Any]], None]:
    def change(resources: dict[str, Any]) -> None:
        resources["Targets"]["Properties"]["TargetGroupAttributes"] = list(pairs)

    return change


OUTSTANDING = attribute("load_balancing.algorithm.type", "least_outstanding_requests")
MISSED: Mapping[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a hook of 5 s": (_hook, "HeartbeatTimeout 5 is not in its documented range (30, 7200)"),
    "an unknown attribute": (
        _attributes(attribute("deregistration.seconds", "45")),
        "no attribute",
    ),
    "a wrong algorithm": (
        _attributes(attribute("load_balancing.algorithm.type", "least_connections")),
        "least_connections is none of",
    ),
    "slow start with least outstanding": (
        _attributes(attribute("slow_start.duration_seconds", "30"), OUTSTANDING),
        "does not go with",
    ),
    "an attribute of another balancer": (
        _attributes(attribute("target_health_state.unhealthy.draining_interval_seconds", "9")),
        "not for an Application Load Balancer",
    ),
    "a delay of two hours": (
        _attributes(attribute("deregistration_delay.timeout_seconds", "7200")),
        "not between 0 and 3600",
    ),
}
"""What cfn-lint does not see, and what the models say of it."""


def broken(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    found = data(DEFAULT)
    change(found["Resources"])
    return found


def test_cfn_lint_finds_nothing() -> None:
    assert lint(files(DEFAULT)["template.yaml"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(CHOSEN) - {"default"}))
def test_cfn_lint_finds_nothing_in_other_specs(name: str) -> None:
    assert lint(files(of(name))["template.yaml"]) == []


@pytest.mark.parametrize("name", MISSED)
def test_the_models_find_what_cfn_lint_misses(name: str) -> None:
    change, expected = MISSED[name]
    found = faults(Stack(broken(change)).resources())
    assert found
    assert all(expected in fault for fault in found)


@pytest.mark.slow
def test_cfn_lint_misses_it() -> None:
    """Where it does not any more, it may be left to it."""

    def at_once(resources: dict[str, Any]) -> None:
        targets = resources["Targets"]["Properties"]
        pairs: list[dict[str, str]] = []
        for name, (change, _) in MISSED.items():
            change(resources)
            pairs += targets["TargetGroupAttributes"] if name != "a wrong algorithm" else []
        targets["TargetGroupAttributes"] = list({pair["Key"]: pair for pair in pairs}.values())

    assert lint(yaml.safe_dump(broken(at_once))) == []
    assert lint(yaml.safe_dump(broken(MISSED["a wrong algorithm"][0]))) == []


def _size(resources: dict[str, Any]) -> None:
    policy = resources["Group"]["Properties"]["InstanceMaintenancePolicy"]
    policy["MaxHealthyPercentage"] = 300


def _period(resources: dict[str, Any]) -> None:
    resources["Rule1Alarm"]["Properties"]["Period"] = 45


def _window(resources: dict[str, Any]) -> None:
    rule = resources["Firewall"]["Properties"]["Rules"][0]["Statement"]["RateBasedStatement"]
    rule["EvaluationWindowSec"] = 90


def _type(resources: dict[str, Any]) -> None:
    resources["Targets"]["Properties"]["HealthCheckIntervalSeconds"] = "30s"


def _member(resources: dict[str, Any]) -> None:
    resources["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["Metadata"] = {}


@pytest.mark.parametrize("change", [_size, _period, _window, _type, _member])
def test_the_models_see_other_faults_too(change: Callable[[dict[str, Any]], None]) -> None:
    assert faults(Stack(broken(change)).resources())


def test_the_ranges_of_the_rules_are_those_of_aws() -> None:
    shape = model("elbv2", "CreateTargetGroup").members
    api = {
        "interval": "HealthCheckIntervalSeconds",
        "timeout": "HealthCheckTimeoutSeconds",
        "healthy": "HealthyThresholdCount",
        "unhealthy": "UnhealthyThresholdCount",
    }
    for name, known in aws.HEALTH_CHECK.items():
        assert known == (shape[api[name]].metadata["min"], shape[api[name]].metadata["max"])
    hook = model("autoscaling", "PutLifecycleHook").members["HeartbeatTimeout"]
    assert documented_range(hook) == aws.HOOK
    rate = model("wafv2", "CreateWebACL").members["Rules"].member.members["Statement"]
    limit = rate.members["RateBasedStatement"].members
    assert limit["Limit"].metadata["min"] == firewall.LEAST
    listed = re.search(
        r"Valid settings are ([\d, and]+)", limit["EvaluationWindowSec"].documentation
    )
    assert listed is None or "60" in listed[1]
    assert "1-4000" in attributes("LoadBalancerAttribute")["idle_timeout.timeout_seconds"].text


SECONDS = st.floats(0.1, 4000).map(lambda number: round(number, 2))
POLICIES = st.builds(
    Policy,
    metric=st.sampled_from(("cpu", "cpu", "in_flight")),
    threshold=st.floats(0, 100),
    duration=st.sampled_from((0.0, 60.0, 300.0)) | SECONDS,
    step=st.integers(-100, 100).filter(bool),
    cooldown=SECONDS,
)
ODD: Mapping[str, st.SearchStrategy[Any]] = {
    "name": st.from_regex("[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    "service.port": st.integers(1, 65_535),
    "service.longest_request": SECONDS,
    "health_check.path": st.from_regex("/[A-Za-z0-9/_.~-]{0,40}", fullmatch=True),
    "health_check.interval": st.sampled_from((5.0, 30.0, 300.0)) | SECONDS,
    "health_check.timeout": st.sampled_from((2.0, 4.0, 29.0)) | SECONDS,
    "health_check.healthy": st.integers(1, 100),
    "health_check.unhealthy": st.integers(1, 100),
    "drain.lame_duck": st.floats(5, 20),
    "drain.in_flight_wait": st.floats(29, 35),
    "drain.kill_delay": st.floats(1, 3600),
    "balancer.keep_alive": st.integers(1, 3600).map(float),
    "balancer.algorithm": st.sampled_from(("round-robin", "least-connections")),
    "group.min": st.integers(1, 4),
    "group.max": st.integers(3, 10_000),
    "group.warm_up": st.floats(0, 86_400),
    "group.policies": st.lists(POLICIES, max_size=4).map(tuple),
    "objectives.reads": st.floats(95, 99.999),
    "objectives.least_missed": st.integers(1, 100_000),
    "balancer.rate_limits.auth.rate": st.floats(0.01, 100_000),
    "balancer.rate_limits.auth.burst": st.integers(0, 100_000),
    "balancer.rate_limits.read.rate": st.floats(0.01, 1),
    "balancer.rate_limits.read.burst": st.integers(0, 20),
}


@settings(max_examples=80, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted(ODD)), st.none(), min_size=1, max_size=4).flatmap(
        lambda keys: st.fixed_dictionaries({key: ODD[key] for key in keys})
    )
)
def test_an_odd_spec_gives_a_template_that_aws_takes_or_an_error(changes: dict[str, Any]) -> None:
    fleet = for_target(changed(Fleet(), {"database.pooler": "transaction", **changes}), "aws")
    refused = {found.code for found in check(fleet) if found.level == "error"}
    if not refused:
        assert faults(Stack(template(fleet)).resources()) == [], changes


def test_sizes_have_a_bound() -> None:
    many = tuple(Policy("cpu", 70, 300, 1, 300) for _ in range(60))
    with pytest.raises(ValueError, match=f"AWS takes {LARGEST}"):
        files(changed(DEFAULT, {"group.policies": many}))


def test_what_instances_are_told_is_what_the_group_is_called() -> None:
    (hook,) = stack(DEFAULT)["Group"]["Properties"]["LifecycleHookSpecificationList"]
    told = settings_of(DEFAULT)
    assert told["PHOTO_API_AUTOSCALING_GROUP"] == "photo-api"
    assert told["PHOTO_API_LIFECYCLE_HOOK"] == hook["LifecycleHookName"]
    assert told["PHOTO_API_LIFECYCLE_HEARTBEAT"] == str(hook["HeartbeatTimeout"])
    user_data = stack(DEFAULT)["LaunchTemplate"]["Properties"]["LaunchTemplateData"]["UserData"]
    assert "PHOTO_API_LIFECYCLE_HOOK=photo-api-terminating" in user_data
    assert not {name for name in settings_of(Fleet()) if "LIFECYCLE" in name}

"""Which requests the template's balancer and firewall let through, and what an instance may do."""

import re
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

import pytest

from photo_fleet.render.aws.firewall import limit_of
from photo_fleet.render.aws.template import template
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet, RateLimit
from photo_fleet.spec.targets import for_target
from tests.photo_fleet.aws.stack import ATTRIBUTES, Stack


def stack(changes: dict[str, Any] | None = None, **parameters: Any) -> dict[str, dict[str, Any]]:
    fleet = for_target(changed(Fleet(), changes or {}), "aws")
    return Stack(template(fleet), **parameters).resources()


def holds(statement: dict[str, Any], method: str, path: str) -> bool:
    """Whether WAF's statement is true of a request."""
    ((kind, inner),) = statement.items()
    match kind:
        case "AndStatement":
            return all(holds(one, method, path) for one in inner["Statements"])
        case "OrStatement":
            return any(holds(one, method, path) for one in inner["Statements"])
        case "NotStatement":
            return not holds(inner["Statement"], method, path)
    field = method if "Method" in inner["FieldToMatch"] else path
    (change,) = inner["TextTransformations"]
    text = unquote(field) if change["Type"] == "URL_DECODE" else field
    return re.search(inner["RegexString"], text) is not None


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", "/api/auth/login", "auth"),
        ("GET", "/api/auth/register/", "auth"),
        ("POST", "/api/auth/%6Cogin", "auth"),
        ("GET", "/api/auth/me", "read"),
        ("GET", "/api/photos/1-2/image", "image"),
        ("GET", "/api/share/abc/photos/1-2/image", "image"),
        ("GET", "/api/share/abc", "share"),
        ("POST", "/api/photos/", "upload"),
        ("POST", "/api/photos/presigned-url", "upload"),
        ("POST", "/api/photos/confirm", "upload"),
        ("GET", "/api/photos/", "read"),
        ("PATCH", "/api/photos/1-2", "edit"),
        ("DELETE", "/api/albums/1", "edit"),
        ("GET", "/docs", "read"),
        ("PUT", "/anything/else", "edit"),
    ],
)
def test_a_request_is_counted_once_and_as_what_it_is(method: str, path: str, name: str) -> None:
    rules = stack()["Firewall"]["Properties"]["Rules"]
    counted = [
        rule["Name"]
        for rule in rules
        if holds(rule["Statement"]["RateBasedStatement"]["ScopeDownStatement"], method, path)
    ]
    assert counted == [name]


def test_rates_become_counts_of_the_shortest_window_that_waf_takes() -> None:
    assert limit_of(RateLimit(5, 20)) == (320, 60)
    assert limit_of(RateLimit(0.05, 3)) == (18, 300)
    assert limit_of(RateLimit(0.01, 4)) == (10, 600)
    assert limit_of(RateLimit(0.01, 3)) is None
    rules = stack({"balancer.rate_limits.auth.rate": 0.01, "balancer.rate_limits.auth.burst": 0})
    rate = rules["Firewall"]["Properties"]["Rules"][0]["Statement"]["RateBasedStatement"]
    assert (rate["Limit"], rate["EvaluationWindowSec"]) == (10, 600)


@pytest.mark.parametrize(
    ("path", "is_hidden"),
    [
        ("/metrics", True),
        ("/metrics/", True),
        ("/health/detailed", True),
        ("/api/health/detailed", True),
        ("/health", False),
        ("/api/health", False),
        ("/api/photos/", False),
        ("/", False),
    ],
)
def test_what_is_for_operators_is_hidden(path: str, is_hidden: bool) -> None:
    found = stack({"metrics.path": "/"})["Hidden"]["Properties"]
    (condition,) = found["Conditions"]
    patterns = condition["PathPatternConfig"]["Values"]
    assert any(fnmatchcase(path, pattern) for pattern in patterns) == is_hidden
    assert found["Actions"][0]["FixedResponseConfig"]["StatusCode"] == "404"


def allowed(resources: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {
        action: statement["Resource"]
        for policy in resources["Role"]["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }


def test_an_instance_may_answer_its_hook_leave_its_target_group_and_no_more() -> None:
    group = (
        "arn:aws:autoscaling:eu-west-1:123456789012"
        ":autoScalingGroup:*:autoScalingGroupName/photo-api"
    )
    hook = {
        "autoscaling:CompleteLifecycleAction": group,
        "autoscaling:RecordLifecycleActionHeartbeat": group,
        "autoscaling:DescribeLoadBalancerTargetGroups": "*",
        "elasticloadbalancing:DeregisterTargets": ATTRIBUTES["Arn"],
    }
    assert allowed(stack()) == hook
    secrets = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:photo-api/*"
    assert allowed(stack(SecretsArn=secrets)) == {**hook, "secretsmanager:GetSecretValue": secrets}
    by_role = allowed(stack({"service.store_credentials": "role"}))
    assert {action.partition(":")[0] for action in set(by_role) - set(hook)} == {"s3"}
    assert {by_role[action] for action in set(by_role) - set(hook)} == {
        "arn:aws:s3:::photos",
        "arn:aws:s3:::photos/*",
    }
    assert not any("*" in action for action in by_role)
    everywhere = {action for action, resource in by_role.items() if resource == "*"}
    assert everywhere == {"autoscaling:DescribeLoadBalancerTargetGroups"}


def test_instances_are_reached_at_their_port_by_balancer_and_each_other_alone() -> None:
    def let_in(resources: dict[str, dict[str, Any]]) -> list[str]:
        return [name for name, one in resources.items() if one["Type"].endswith("Ingress")]

    resources = stack({"service.port": 8123})
    assert "SecurityGroupIngress" not in resources["InstanceSecurityGroup"]["Properties"]
    assert let_in(resources) == ["FromBalancer", "FromInstances"]
    assert {
        (resources[name]["Properties"]["FromPort"], resources[name]["Properties"]["ToPort"])
        for name in let_in(resources)
    } == {(8123, 8123)}
    assert "FromPrometheus" in let_in(stack(PrometheusSecurityGroup="sg-0b"))


def test_the_group_is_scaled_by_rules_or_holds_a_target() -> None:
    by_rules, by_target = set(stack()), set(stack(TargetCpu=60))
    assert by_rules - by_target == {"Rule1", "Rule1Alarm", "Rule2", "Rule2Alarm"}
    assert by_target - by_rules == {"HoldsTarget"}
    of_jobs = stack({"group.policies[0].metric": "queue_age"})
    assert [name for name in of_jobs if name.startswith("Rule")] == ["Rule2", "Rule2Alarm"]


def test_a_deploy_leaves_the_size_alone_unless_it_is_asked_for() -> None:
    """Else it would end what the group's rules have added."""
    assert "DesiredCapacity" not in stack()["Group"]["Properties"]
    assert stack(Size="desired")["Group"]["Properties"]["DesiredCapacity"] == "3"


def test_machines_tell_their_metadata_to_themselves_alone() -> None:
    launched = stack()["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
    assert launched["MetadataOptions"]["HttpTokens"] == "required"
    assert launched["MetadataOptions"]["HttpPutResponseHopLimit"] == 1

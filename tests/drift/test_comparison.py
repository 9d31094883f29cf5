"""`photo-fleet check --against aws` on what botocore's models allow: each number in turn."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.validate import validate_parameters

from photo_fleet.drift.asking import Aws, Unread
from photo_fleet.drift.comparing import IMPLIED, USER_DATA, compared
from photo_fleet.drift.consequences import ANY, KINDS
from photo_fleet.drift.findings import drift, findings_of, read
from photo_fleet.drift.group import NoGroup
from photo_fleet.drift.mending import DEPLOY, THEN_AGAIN
from photo_fleet.drift.reading import GROUP, TARGET_GROUP, Thing
from photo_fleet.drift.template import flat
from photo_fleet.render.aws.template import files
from photo_fleet.rules.findings import UNREAD, Finding
from tests.drift.altering import altered, with_another
from tests.drift.answers import answers, plain, stubbed
from tests.drift.command_line import parsed
from tests.drift.conftest import FLEET, TEMPLATE

OPERATOR_S = {
    "LaunchTemplateData.ImageId",
    "LaunchTemplateData.InstanceType",
    "LaunchTemplateData.IamInstanceProfile.Arn",
    "LaunchTemplateData.SecurityGroupIds",
    "IpAddressType",
    "Certificates[0].CertificateArn",
}
"""Paths that are parameters of the template, or what it makes besides: nobody compares them."""


def _things() -> list[Thing]:
    things = read(stubbed(answers(TEMPLATE)), TEMPLATE, FLEET.name).things()
    return [replace(one, live=_complete(one)) for one in things]


def _complete(thing: Thing) -> Any:
    """With what AWS answers by default, too."""
    assert isinstance(thing.live, dict), thing.name
    live: dict[str, Any] = dict(thing.live)
    for path, value in IMPLIED.get(thing.type, {}).items():
        if thing.type == TARGET_GROUP:
            key = path.partition("[")[2].partition("]")[0]
            pair = {"Key": key, "Value": value}
            live["TargetGroupAttributes"] = [*live["TargetGroupAttributes"], pair]
        else:
            live.setdefault(path, value)
    return live


def test_a_group_that_is_as_the_spec_says_has_no_finding() -> None:
    assert drift(FLEET, stubbed(answers(TEMPLATE))) == []


def test_all_that_the_template_says_is_compared_but_for_what_the_operator_chooses() -> None:
    things = _things()
    assert {one.type for one in things} == set(KINDS) - {"AWS::AutoScaling::ScheduledAction"}
    found_by = {
        *("AutoScalingGroupName", "DesiredCapacity", "VPCZoneIdentifier", "VpcId", "Subnets"),
        *("SecurityGroups", "LifecycleHookName", "AlarmName", "Scope", "Port", "Priority"),
    }
    for thing in things:
        paths = {path for path, _ in flat(thing.wanted)} - {path for path, _ in compared(thing)}
        assert paths <= OPERATOR_S | found_by, thing.name


def test_each_number_that_differs_is_one_finding_with_both_values_and_a_command() -> None:
    """All that is compared, as the comparison itself names it."""
    aws, numbers = plain(), 0
    for thing in _things():
        for path, wanted in compared(thing):
            live = with_another(thing.live, path)
            found = findings_of(replace(thing, live=live))
            if path.startswith("LaunchTemplate."):
                found = (one for one in found if one.code != "aws-old-instances")
            [finding] = found
            _is_told(finding, thing, path, wanted)
            _can_be_done(aws, finding.remedy)
            numbers += 1
    assert numbers > 150


def _is_told(finding: Finding, thing: Thing, path: str, wanted: Any) -> None:
    assert (finding.level, finding.code) == ("error", f"aws-{KINDS[thing.type]}")
    assert finding.consequence != ANY, path
    if path == USER_DATA:
        assert "user data" in finding.numbers
        assert "#cloud-config" not in finding.numbers + finding.remedy
    elif not isinstance(wanted, list | dict | bool):
        in_spec, in_aws = finding.numbers.split(" in the spec, ")
        assert in_spec.endswith(f": {wanted}")
        assert in_aws == f"{altered(wanted)} in AWS" or path.endswith("[]")


def _can_be_done(aws: Aws, remedy: str) -> None:
    """AWS's command line has each option, and botocore takes its value."""
    if remedy != DEPLOY:
        service, operation, parameters = parsed(aws, remedy.removesuffix(THEN_AGAIN))
        meta = aws.client(service).meta
        model = meta.service_model.operation_model(meta.method_to_api_mapping[operation])
        validate_parameters(parameters, model.input_shape)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("hook", "the hook mine, which"),
        ("policy", "the policy mine, which"),
        ("schedule", "the schedule nightly, which"),
        ("alarm", "the alarm mine, which"),
        ("rule", "the rule 7 of Https, which"),
        ("version", "the launch-template version 4 of"),
    ],
)
def test_what_is_too_many_is_told_with_the_command_that_removes_it(change: str, told: str) -> None:
    found = drift(FLEET, stubbed(_with_one_more(change)))
    [finding] = found
    assert told in finding.numbers
    assert finding.level == "error"
    _can_be_done(plain(), finding.remedy)
    assert "delete-" in finding.remedy


def _with_one_more(what: str) -> dict[str, list[tuple[str, Any]]]:
    given = answers(TEMPLATE)
    _, hooks, schedules, policies = (answer for _, answer in given["autoscaling"])
    if what == "hook":
        hooks["LifecycleHooks"].append({"LifecycleHookName": "mine"})
    if what == "schedule":
        schedules["ScheduledUpdateGroupActions"].append({"ScheduledActionName": "nightly"})
    if what == "policy":
        mine = {"PolicyName": "mine", "PolicyARN": "arn:mine", "PolicyType": "SimpleScaling"}
        policies["ScalingPolicies"].append(mine)
    if what == "alarm":
        given["cloudwatch"][1][1]["MetricAlarms"].append({"AlarmName": "mine"})
    if what == "rule":
        [rules] = [answer for name, answer in given["elbv2"] if "Rules" in answer][:1]
        rules["Rules"].append({"RuleArn": "arn", "IsDefault": False, "Priority": "7"})
    if what == "version":
        versions = given["ec2"][0][1]["LaunchTemplateVersions"]
        open_to_all = {"MetadataOptions": {"HttpTokens": "optional"}}
        data = {"LaunchTemplateData": versions[0]["LaunchTemplateData"] | open_to_all}
        versions.append(versions[0] | {"VersionNumber": 4, "DefaultVersion": False} | data)
    return given


@pytest.mark.parametrize(
    ("answer", "key", "told", "command"),
    [
        (1, "LifecycleHooks", "the hook photo-api-terminating", "put-lifecycle-hook"),
        (3, "ScalingPolicies", "the policy Rule1", "REVERT_DRIFT"),
    ],
)
def test_what_is_missing_is_told(answer: int, key: str, told: str, command: str) -> None:
    given = answers(TEMPLATE)
    given["autoscaling"][answer][1][key].clear()
    if key == "ScalingPolicies":
        del given["cloudwatch"][1:]
    found = drift(FLEET, stubbed(given))
    assert any(told in one.numbers and "has none" in one.numbers for one in found)
    assert any(command in one.remedy for one in found)


def test_a_firewall_of_somebody_else_is_not_ours() -> None:
    given = answers(TEMPLATE)
    given["wafv2"][0][1]["WebACL"]["Name"] = "of-the-company"
    [finding] = drift(FLEET, stubbed(given))
    assert (finding.code, finding.remedy) == ("aws-firewall", DEPLOY)


def test_a_load_balancer_without_a_firewall_is_told() -> None:
    given = answers(TEMPLATE)
    given["wafv2"] = [("get_web_acl_for_resource", {})]
    codes = {one.code for one in drift(FLEET, stubbed(given))}
    assert codes == {"aws-firewall", "aws-firewall-association"}


def test_instances_of_an_older_version_are_a_warning() -> None:
    given = answers(TEMPLATE)
    [group] = given["autoscaling"][0][1]["AutoScalingGroups"]
    group["Instances"][0]["LaunchTemplate"] = group["LaunchTemplate"] | {"Version": "2"}
    [finding] = drift(FLEET, stubbed(given))
    assert (finding.level, finding.code) == ("warning", "aws-old-instances")
    assert "1 of 3 instances" in finding.numbers
    rendered = {f"aws/{path}": text for path, text in files(FLEET).items()}
    asked = json.loads(rendered[finding.remedy.partition("file://")[2]])
    model = plain().client("autoscaling").meta.service_model
    validate_parameters(asked, model.operation_model("StartInstanceRefresh").input_shape)


def test_a_group_that_says_latest_is_compared_by_the_version_that_this_is() -> None:
    given = answers(TEMPLATE)
    [group] = given["autoscaling"][0][1]["AutoScalingGroups"]
    group["LaunchTemplate"] = group["LaunchTemplate"] | {"Version": "$Latest"}
    assert drift(FLEET, stubbed(given)) == []


def test_a_topic_that_somebody_added_to_an_alarm_stays() -> None:
    given, topic = answers(TEMPLATE), "arn:aws:sns:us-east-1:123456789012:on-call"
    alarm = given["cloudwatch"][0][1]["MetricAlarms"][0]
    alarm["AlarmActions"] = [*alarm["AlarmActions"], topic]
    assert drift(FLEET, stubbed(given)) == []
    alarm["Threshold"] = 99.0
    [finding] = drift(FLEET, stubbed(given))
    assert topic in finding.remedy


CALLS = [
    (service, place)
    for service, of_service in answers(TEMPLATE).items()
    for place, _ in enumerate(of_service)
    if (service, place) != ("autoscaling", 0)
]


@pytest.mark.parametrize(("service", "place"), CALLS)
@pytest.mark.parametrize("code", ["AccessDenied", "Throttling", "InternalFailure"])
def test_what_was_not_answered_is_unknown_and_neither_missing_nor_fine(
    service: str, place: int, code: str
) -> None:
    given = answers(TEMPLATE)
    operation = given[service][place][0]
    given[service][place] = (operation, {"Error": {"Code": code}})
    found = drift(FLEET, stubbed(given))
    assert {one.code for one in found} == {UNREAD}
    assert all("unknown: " in one.numbers for one in found)
    if code == "AccessDenied":
        action = operation.replace("_", "")
        assert all(action in one.remedy.lower() for one in found)


def test_a_group_that_cannot_be_asked_for_or_is_not_there_ends_the_comparison() -> None:
    denied = answers(TEMPLATE)
    denied["autoscaling"][0] = ("describe_auto_scaling_groups", {"Error": {"Code": "AccessDenied"}})
    with pytest.raises(NoGroup, match="may not autoscaling:DescribeAutoScalingGroups"):
        drift(FLEET, stubbed(denied))
    nothing = answers(TEMPLATE)
    nothing["autoscaling"][0] = ("describe_auto_scaling_groups", {"AutoScalingGroups": []})
    with pytest.raises(NoGroup, match="no Auto Scaling group photo-api in this account and region"):
        drift(FLEET, stubbed(nothing))


def test_a_list_without_end_is_unread() -> None:
    given = answers(TEMPLATE)
    given["autoscaling"][2][1]["ScheduledUpdateGroupActions"] = [
        {"ScheduledActionName": str(number)} for number in range(2001)
    ]
    [finding] = drift(FLEET, stubbed(given))
    assert finding.code == UNREAD
    assert "more than 2000" in finding.numbers


def test_a_value_of_aws_moves_no_terminal() -> None:
    thing = next(one for one in _things() if one.type == GROUP)
    live = dict(thing.live) if not isinstance(thing.live, Unread) and thing.live else {}
    [finding] = findings_of(replace(thing, live=live | {"HealthCheckType": "\x1b[2J" + "x" * 999}))
    assert "\x1b" not in finding.numbers
    assert len(finding.numbers) < 400


@pytest.mark.parametrize("guide", ["docs/clouds.md", "docs/ko/clouds.md"])
def test_the_documents_allow_what_is_asked_and_no_more(guide: str) -> None:
    [policy] = re.findall(
        r"```json\n(\{\n  \"Version\".*?Describe.*?)```", Path(guide).read_text(), re.S
    )
    [statement] = json.loads(policy)["Statement"]
    given = answers(TEMPLATE)
    asked = [operation for of_service in given.values() for operation, _ in of_service]
    actions = {action.partition(":")[2].lower() for action in statement["Action"]}
    # To tell which list stands before a balancer AWS wants the permission to read the list.
    assert actions - {"getwebacl"} == {name.replace("_", "") for name in asked}

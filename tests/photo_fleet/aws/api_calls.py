"""The calls of AWS's API that CloudFormation makes for a stack, and what is wrong with them by the
models of botocore: types, required members, enumerations, patterns and ranges. Where a model has no
range, its documentation has: "The range is from 30 to 7200 seconds"."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from html import unescape
from typing import Any

import botocore.session
from botocore.validate import ParamValidator

Call = tuple[str, str, dict[str, Any]]
"""Service, operation, parameters."""

RANGE = re.compile(r"range is(?: from)? ([\d,]+)\s*(?:-|–|to)\s*([\d,]+)")
ONE_OF = re.compile(r"Valid settings are ([\d, ]+and \d+)")
PERIODS = "Valid values are 10, 20, 30, and any multiple of 60"
LONGEST_ALARM = 86_400
"""Seconds of all periods of an alarm whose period is less than an hour (PutMetricAlarm, Period)."""


@cache
def model(service: str, operation: str) -> Any:
    """The shape of its input."""
    loaded = _service(service)
    return loaded.operation_model(operation).input_shape


@cache
def _service(name: str) -> Any:
    return botocore.session.get_session().get_service_model(name)


def text_of(shape: Any) -> str:
    """Its documentation without tags."""
    return unescape(re.sub(r"<[^>]+>", "", shape.documentation or ""))


def documented_range(shape: Any) -> tuple[int, int] | None:
    found = RANGE.search(text_of(shape))
    return (_number(found[1]), _number(found[2])) if found else None


def _number(text: str) -> int:
    return int(text.replace(",", ""))


@dataclass(frozen=True, slots=True)
class Attribute:
    """What may be set of a balancer or a target group, and for which kind of balancer."""

    kinds: str
    text: str


@cache
def attributes(shape: str) -> dict[str, Attribute]:
    """By key, from the documentation of `TargetGroupAttribute` or `LoadBalancerAttribute`."""
    html = _service("elbv2").shape_for(shape).members["Key"].documentation
    found = {}
    for part in re.split(r"<p>(?=The following attributes? )", html)[1:]:
        kinds = text_of_html(part.partition("<ul>")[0])
        for key, text in re.findall(r"<code>([a-z0-9_.]+)</code> [-–] (.*?)</li>", part, re.S):
            if "." in key:
                found[key] = Attribute(kinds, text_of_html(text))
    return found


def text_of_html(html: str) -> str:
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html)))


def calls(resources: Mapping[str, Mapping[str, Any]]) -> Iterator[Call]:
    """Those of a stack. Raises KeyError for a kind of resource that is not known here."""
    for name, resource in resources.items():
        make = MAKERS[resource["Type"]]
        yield from make(name, dict(resource["Properties"]), resource)


def _group(_: str, found: dict[str, Any], resource: Mapping[str, Any]) -> Iterator[Call]:
    name = found["AutoScalingGroupName"]
    sizes = ("MinSize", "MaxSize", "DesiredCapacity")
    found |= {size: int(found[size]) for size in sizes if size in found}
    found["VPCZoneIdentifier"] = ",".join(found["VPCZoneIdentifier"])
    yield "autoscaling", "CreateAutoScalingGroup", found
    for hook in found["LifecycleHookSpecificationList"]:
        yield "autoscaling", "PutLifecycleHook", {"AutoScalingGroupName": name, **hook}
    refresh = resource["UpdatePolicy"]["AutoScalingInstanceRefresh"]
    yield "autoscaling", "StartInstanceRefresh", {"AutoScalingGroupName": name, **refresh}


def _policy(name: str, found: dict[str, Any], _: Any) -> Iterator[Call]:
    yield "autoscaling", "PutScalingPolicy", {"PolicyName": name, **found}


def _alarm(_: str, found: dict[str, Any], __: Any) -> Iterator[Call]:
    yield "cloudwatch", "PutMetricAlarm", found


def _launch_template(name: str, found: dict[str, Any], _: Any) -> Iterator[Call]:
    yield "ec2", "CreateLaunchTemplate", {"LaunchTemplateName": name, **found}


def _balancer(name: str, found: dict[str, Any], _: Any) -> Iterator[Call]:
    changed = {"LoadBalancerArn": name, "Attributes": found.pop("LoadBalancerAttributes")}
    yield "elbv2", "CreateLoadBalancer", {"Name": name, **found}
    yield "elbv2", "ModifyLoadBalancerAttributes", changed


def _targets(name: str, found: dict[str, Any], _: Any) -> Iterator[Call]:
    changed = {"TargetGroupArn": name, "Attributes": found.pop("TargetGroupAttributes")}
    yield "elbv2", "CreateTargetGroup", {"Name": name, **found}
    yield "elbv2", "ModifyTargetGroupAttributes", changed


def _listener(_: str, found: dict[str, Any], __: Any) -> Iterator[Call]:
    yield "elbv2", "CreateListener", found


def _listener_rule(_: str, found: dict[str, Any], __: Any) -> Iterator[Call]:
    yield "elbv2", "CreateRule", found


def _firewall(name: str, found: dict[str, Any], _: Any) -> Iterator[Call]:
    yield "wafv2", "CreateWebACL", {"Name": name, **found}


def _association(_: str, found: dict[str, Any], __: Any) -> Iterator[Call]:
    yield "wafv2", "AssociateWebACL", found


def _permission(found: dict[str, Any]) -> dict[str, Any]:
    given = {key: found[key] for key in ("IpProtocol", "FromPort", "ToPort")}
    if source := found.get("SourceSecurityGroupId"):
        return {**given, "UserIdGroupPairs": [{"GroupId": source}]}
    if network := found.get("CidrIpv6"):
        return {**given, "Ipv6Ranges": [{"CidrIpv6": network}]}
    return {**given, "IpRanges": [{"CidrIp": found["CidrIp"]}]}


def _security_group(name: str, found: dict[str, Any], _: Any) -> Iterator[Call]:
    made = {"GroupName": name, "Description": found["GroupDescription"], "VpcId": found["VpcId"]}
    yield "ec2", "CreateSecurityGroup", made
    if let_in := found.get("SecurityGroupIngress"):
        rules = {"GroupId": "sg-0a", "IpPermissions": [_permission(one) for one in let_in]}
        yield "ec2", "AuthorizeSecurityGroupIngress", rules


def _ingress(_: str, found: dict[str, Any], __: Any) -> Iterator[Call]:
    rules = {"GroupId": found["GroupId"], "IpPermissions": [_permission(found)]}
    yield "ec2", "AuthorizeSecurityGroupIngress", rules


def _role(name: str, found: dict[str, Any], _: Any) -> Iterator[Call]:
    trust = json.dumps(found["AssumeRolePolicyDocument"])
    yield "iam", "CreateRole", {"RoleName": name, "AssumeRolePolicyDocument": trust}
    for policy in found["Policies"]:
        text = json.dumps(policy["PolicyDocument"])
        given = {"RoleName": name, "PolicyName": policy["PolicyName"], "PolicyDocument": text}
        yield "iam", "PutRolePolicy", given


def _profile(name: str, _: dict[str, Any], __: Any) -> Iterator[Call]:
    yield "iam", "CreateInstanceProfile", {"InstanceProfileName": name}


MAKERS = {
    "AWS::AutoScaling::AutoScalingGroup": _group,
    "AWS::AutoScaling::ScalingPolicy": _policy,
    "AWS::CloudWatch::Alarm": _alarm,
    "AWS::EC2::LaunchTemplate": _launch_template,
    "AWS::EC2::SecurityGroup": _security_group,
    "AWS::EC2::SecurityGroupIngress": _ingress,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _balancer,
    "AWS::ElasticLoadBalancingV2::TargetGroup": _targets,
    "AWS::ElasticLoadBalancingV2::Listener": _listener,
    "AWS::ElasticLoadBalancingV2::ListenerRule": _listener_rule,
    "AWS::IAM::InstanceProfile": _profile,
    "AWS::IAM::Role": _role,
    "AWS::WAFv2::WebACL": _firewall,
    "AWS::WAFv2::WebACLAssociation": _association,
}


def faults(resources: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Everything that AWS would refuse of these resources."""
    found = []
    for service, operation, parameters in calls(resources):
        shape = model(service, operation)
        report = ParamValidator().validate(parameters, shape)
        problems = [report.generate_report()] if report.has_errors() else []
        if not problems:
            problems = [*_bounds(shape, parameters, ""), *_beyond_models(operation, parameters)]
        found += [f"{operation}: {problem}" for problem in problems]
    return found


def _bounds(shape: Any, value: Any, path: str) -> Iterator[str]:
    """What the validator of botocore lets pass: most, patterns, enumerations, documented ranges."""
    if shape.type_name == "structure":
        for key, inner in value.items():
            yield from _bounds(shape.members[key], inner, f"{path}.{key}")
    elif shape.type_name == "list":
        yield from _size(shape, len(value), path)
        for item in value:
            yield from _bounds(shape.member, item, path)
    elif shape.type_name == "map":
        for key, inner in value.items():
            yield from _bounds(shape.key, key, path)
            yield from _bounds(shape.value, inner, path)
    elif shape.type_name == "string":
        yield from _size(shape, len(value), path)
        yield from _text(shape, value, path)
    elif shape.type_name in ("integer", "long", "double", "float"):
        yield from _size(shape, value, path)
        if (known := documented_range(shape)) and not known[0] <= value <= known[1]:
            yield f"{path} {value} is not in its documented range {known}"
        if (listed := ONE_OF.search(text_of(shape))) and str(value) not in listed[1]:
            yield f"{path} {value} is none of {listed[1]}"


def _size(shape: Any, value: float, path: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if (least is not None and value < least) or (most is not None and value > most):
        yield f"{path} {value} is not between {least} and {most}"


def _text(shape: Any, value: str, path: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        yield f"{path} {value} is none of {shape.enum}"
    pattern = shape.metadata.get("pattern", "")
    # Java's, of which Python knows neither classes of characters nor surrogates.
    is_known = pattern and "\\p" not in pattern and "\\uD" not in pattern
    if is_known and not re.search(f"^(?:{pattern})$", value, re.S):
        yield f"{path} {value!r} is not of the pattern {pattern}"


def _beyond_models(operation: str, found: Mapping[str, Any]) -> Iterator[str]:
    """What only sentences of the documentation say."""
    match operation:
        case "PutMetricAlarm":
            yield from _alarm_times(found)
        case "CreateAutoScalingGroup":
            policy = found["InstanceMaintenancePolicy"]
            yield from _percentages(policy)
            desired = found.get("DesiredCapacity", found["MinSize"])
            if not found["MinSize"] <= desired <= found["MaxSize"]:
                yield "its sizes are out of order"
        case "StartInstanceRefresh":
            yield from _percentages(found["Preferences"])
        case "ModifyTargetGroupAttributes":
            yield from _attributes("TargetGroupAttribute", found["Attributes"])
        case "ModifyLoadBalancerAttributes":
            yield from _attributes("LoadBalancerAttribute", found["Attributes"])
        case "CreateTargetGroup":
            if found["HealthCheckTimeoutSeconds"] >= found["HealthCheckIntervalSeconds"]:
                yield "a probe outlasts its interval"


def _alarm_times(found: Mapping[str, Any]) -> Iterator[str]:
    shape = model("cloudwatch", "PutMetricAlarm").members["Period"]
    assert PERIODS in text_of(shape), "the documentation says something else by now"
    periods = [found["Period"]] if "Period" in found else []
    periods += [
        one["MetricStat"]["Period"] for one in found.get("Metrics", ()) if "MetricStat" in one
    ]
    for period in periods:
        if period not in (10, 20, 30) and period % 60:
            yield f"Period {period} is no multiple of 60"
        if period * found["EvaluationPeriods"] > LONGEST_ALARM:
            yield f"{found['EvaluationPeriods']} periods of {period} s are more than a day"


def _percentages(found: Mapping[str, int]) -> Iterator[str]:
    """InstanceMaintenancePolicy: "the difference between them cannot be greater than 100"."""
    if not 0 <= found["MaxHealthyPercentage"] - found["MinHealthyPercentage"] <= 100:
        yield "MinHealthyPercentage and MaxHealthyPercentage are more than 100 apart"


def _attributes(shape: str, pairs: list[dict[str, str]]) -> Iterator[str]:
    known = attributes(shape)
    given = {pair["Key"]: pair["Value"] for pair in pairs}
    for key, value in given.items():
        if key not in known:
            yield f"{key} is no attribute"
            continue
        text = known[key].text
        if "all load balancers" not in known[key].kinds and "Application" not in known[key].kinds:
            yield f"{key} is not for an Application Load Balancer: {known[key].kinds}"
        if bounds := RANGE.search(text):
            least, most = _number(bounds[1]), _number(bounds[2])
            if not value.isdigit() or not least <= int(value) <= most:
                yield f"{key} {value} is not between {least} and {most}"
        elif re.search(r"\btrue\b.*\bfalse\b", text):
            if value not in ("true", "false"):
                yield f"{key} {value} is neither true nor false"
        elif f" {value}" not in text:
            yield f"{key} {value} is none of: {text}"
    # "Slow start mode", Elastic Load Balancing user guide.
    outstanding = given.get("load_balancing.algorithm.type") == "least_outstanding_requests"
    if outstanding and given.get("slow_start.duration_seconds", "0") != "0":
        yield "slow_start.duration_seconds does not go with least_outstanding_requests"

"""What AWS would answer of a group that is as its template says, all that moto lacks included. Each
answer is held to botocore's model of it by its Stubber."""

import base64
from collections.abc import Mapping
from functools import cache
from typing import Any

from botocore.stub import Stubber

from photo_fleet.drift import reading as types
from photo_fleet.drift.asking import Aws
from photo_fleet.drift.template import resolved

Answer = tuple[str, dict[str, Any]]
_ELB = "arn:aws:elasticloadbalancing:us-east-1:123456789012"
KNOWN: dict[str, Any] = {
    "Group": "photo-api",
    "LaunchTemplate": "lt-0123456789abcdef0",
    "LaunchTemplate.LatestVersionNumber": "3",
    "Balancer": f"{_ELB}:loadbalancer/app/photo-Balan-1/1",
    "Balancer.LoadBalancerFullName": "app/photo-Balan-1/1",
    "Targets": f"{_ELB}:targetgroup/photo-Targe-1/1",
    "Targets.TargetGroupFullName": "targetgroup/photo-Targe-1/1",
    "Https": f"{_ELB}:listener/app/photo-Balan-1/1/443",
    "Http": f"{_ELB}:listener/app/photo-Balan-1/1/80",
    "Firewall.Arn": "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/photo-api-Firewall-1/1",
    "Rule1": "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:1",
    "Rule2": "arn:aws:autoscaling:us-east-1:123456789012:scalingPolicy:2",
    "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1",
    "IpAddressType": "ipv4",
    "ImageId": "ami-0123456789abcdef0",
    "InstanceType": "m7i.large",
    "InstanceProfile.Arn": "arn:aws:iam::123456789012:instance-profile/photo-api",
    "InstanceSecurityGroup.GroupId": "sg-0123456789abcdef0",
    "BalancerSecurityGroup.GroupId": "sg-0123456789abcdef1",
    "VpcId": "vpc-0123456789abcdef0",
    "BalancerSubnets": [],
    "InstanceSubnets": [],
}
"""What the template's references mean."""


def answers(template: Mapping[str, Any]) -> dict[str, list[Answer]]:
    """By service, in the order in which they are asked for."""
    said: dict[str, dict[str, Any]] = {}
    for key, resource in template["Resources"].items():
        if resource["Type"] in _COMPARED and resource.get("Condition") != "ByTarget":
            of_type = said.setdefault(resource["Type"], {})
            of_type[key] = resolved(resource.get("Properties", {}), KNOWN)
    return {
        "autoscaling": _of_autoscaling(said),
        "ec2": [("describe_launch_template_versions", _versions(said[types.LAUNCH_TEMPLATE]))],
        "elbv2": _of_balancing(said),
        "wafv2": [("get_web_acl_for_resource", {"WebACL": _firewall(said[types.FIREWALL])})],
        "cloudwatch": _alarms(said[types.ALARM], len(said[types.POLICY])),
    }


_COMPARED = frozenset(
    value for name, value in vars(types).items() if str(value).startswith("AWS::")
)


_active: list[Stubber] = []


@cache
def plain() -> Aws:
    """Without an answer. botocore takes a second to make the clients: they are made once."""
    return Aws("us-east-1", total=1e9)


def stubbed(told: Mapping[str, list[Answer]]) -> Aws:
    """Who answers this, until another is made."""
    while _active:
        _active.pop().deactivate()
    for service, of_service in told.items():
        stubber = Stubber(plain().client(service))
        for operation, answer in of_service:
            if "Error" in answer:
                stubber.add_client_error(operation, answer["Error"]["Code"])
            else:
                stubber.add_response(operation, answer)
        stubber.activate()
        _active.append(stubber)
    return plain()


def _of_autoscaling(said: dict[str, dict[str, Any]]) -> list[Answer]:
    [group] = said[types.GROUP].values()
    hooks = group.pop("LifecycleHookSpecificationList")
    group |= {size: int(group[size]) for size in ("MinSize", "MaxSize")}
    group["DesiredCapacity"] = group["MinSize"]  # what scaling has made of it
    group |= {"VPCZoneIdentifier": "subnet-1", "AvailabilityZones": [], "DefaultCooldown": 300}
    group |= {"HealthCheckGracePeriod": 0, "CreatedTime": 0, "SuspendedProcesses": []}
    group["Instances"] = [_instance(number, group["LaunchTemplate"]) for number in range(3)]
    policies = [
        {"PolicyName": f"photo-api-{key}-1", "PolicyARN": KNOWN[key], "Enabled": True, **policy}
        for key, policy in said[types.POLICY].items()
    ]
    return [
        ("describe_auto_scaling_groups", {"AutoScalingGroups": [group]}),
        ("describe_lifecycle_hooks", {"LifecycleHooks": hooks}),
        ("describe_scheduled_actions", {"ScheduledUpdateGroupActions": []}),
        ("describe_policies", {"ScalingPolicies": policies}),
    ]


def _instance(number: int, template: dict[str, str]) -> dict[str, Any]:
    return {
        "InstanceId": f"i-{number}",
        "AvailabilityZone": "us-east-1a",
        "LifecycleState": "InService",
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": False,
        "LaunchTemplate": template,
    }


def _versions(said: dict[str, Any]) -> dict[str, Any]:
    [properties] = said.values()
    data = dict(properties["LaunchTemplateData"])
    data["UserData"] = base64.b64encode(data["UserData"].encode()).decode()
    version = {"VersionNumber": 3, "DefaultVersion": True, "LaunchTemplateData": data}
    return {"LaunchTemplateVersions": [version]}


def _of_balancing(said: dict[str, dict[str, Any]]) -> list[Answer]:
    [targets], [balancer] = said[types.TARGET_GROUP].values(), said[types.BALANCER].values()
    of_targets = targets.pop("TargetGroupAttributes")
    of_balancer = balancer.pop("LoadBalancerAttributes")
    for subnet in ("Subnets",):
        balancer.pop(subnet)
    arns = {"TargetGroupArn": KNOWN["Targets"], "LoadBalancerArns": [KNOWN["Balancer"]]}
    listeners = [{"ListenerArn": KNOWN[key], **one} for key, one in said[types.LISTENER].items()]
    rules = [{"RuleArn": "r", "IsDefault": False, **one} for one in said[types.RULE].values()]
    for rule in rules:
        rule["Priority"] = str(rule["Priority"])
        del rule["ListenerArn"]
    default = {"RuleArn": "d", "IsDefault": True, "Priority": "default"}
    return [
        ("describe_target_groups", {"TargetGroups": [targets | arns]}),
        ("describe_target_group_attributes", {"Attributes": of_targets}),
        (
            "describe_load_balancers",
            {"LoadBalancers": [{**balancer, "LoadBalancerArn": KNOWN["Balancer"]}]},
        ),
        ("describe_load_balancer_attributes", {"Attributes": of_balancer}),
        ("describe_listeners", {"Listeners": listeners}),
        ("describe_rules", {"Rules": [*rules, default]}),
        ("describe_rules", {"Rules": [default]}),
    ]


def _firewall(said: dict[str, Any]) -> dict[str, Any]:
    [acl] = said.values()
    del acl["Scope"]
    return {**acl, "Name": "photo-api-Firewall-1", "Id": "1", "ARN": KNOWN["Firewall.Arn"]}


def _alarms(said: dict[str, Any], policies: int) -> list[Answer]:
    alarms = [{"ActionsEnabled": True, "AlarmActions": [], **one} for one in said.values()]
    acting = [("describe_alarms", {"MetricAlarms": alarms[at : at + 1]}) for at in range(policies)]
    return [("describe_alarms", {"MetricAlarms": alarms}), *acting]

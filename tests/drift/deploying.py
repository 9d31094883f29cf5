"""A template's resources as calls of AWS's direct API: what CloudFormation does with them, of whose
work moto's own drops half. Whatever the template refers to has to be there, or the call fails."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from photo_fleet.drift import reading as types
from photo_fleet.drift.template import UNKNOWN, flat, resolved

Client = Callable[[str], Any]


def deploy(template: Mapping[str, Any], client: Client) -> dict[str, Any]:
    """Make all that `check` compares, named as CloudFormation does; what references mean."""
    known = _parameters(client)
    resources = template["Resources"]
    for of in ORDER:
        for key, resource in resources.items():
            if resource["Type"] == of and resource.get("Condition") != "ByTarget":
                said = resolved(resource.get("Properties", {}), known)
                if "DesiredCapacity" in said:  # a parameter says whether it is told
                    said["DesiredCapacity"] = said["MinSize"]
                unknown = [path for path, value in flat(said) if _is_unknown(value)]
                assert unknown == [], (key, unknown)
                known |= ORDER[of](client, key, f"photo-api-{key}-1A2B3C", said)
    return known


def _is_unknown(value: Any) -> bool:
    return value is UNKNOWN or (isinstance(value, list) and UNKNOWN in value)


def _parameters(client: Client) -> dict[str, Any]:
    ec2 = client("ec2")
    subnets = ec2.describe_subnets()["Subnets"][:2]
    names = [one["SubnetId"] for one in subnets]
    return {
        "VpcId": subnets[0]["VpcId"],
        "BalancerSubnets": names,
        "InstanceSubnets": names,
        "ImageId": "ami-0123456789abcdef0",
        "InstanceType": "m7i.large",
        "IpAddressType": "ipv4",
        "CertificateArn": client("acm").request_certificate(DomainName="photos.example.org")[
            "CertificateArn"
        ],
        "InstanceProfile.Arn": "arn:aws:iam::123456789012:instance-profile/photo-api",
    }


def _security_group(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    made = client("ec2").create_security_group(
        GroupName=name, Description=said["GroupDescription"], VpcId=said["VpcId"]
    )
    return {f"{key}.GroupId": made["GroupId"]}


def _balancer(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    attributes = said.pop("LoadBalancerAttributes")
    [made] = client("elbv2").create_load_balancer(Name=name[:32], **said)["LoadBalancers"]
    arn = made["LoadBalancerArn"]
    client("elbv2").modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
    return {key: arn, f"{key}.LoadBalancerFullName": arn.partition(":loadbalancer/")[2]}


def _target_group(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    attributes = said.pop("TargetGroupAttributes")
    [made] = client("elbv2").create_target_group(Name=name[:32], **said)["TargetGroups"]
    arn = made["TargetGroupArn"]
    client("elbv2").modify_target_group_attributes(TargetGroupArn=arn, Attributes=attributes)
    return {key: arn, f"{key}.TargetGroupFullName": arn.rpartition(":")[2]}


def _listener(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    [made] = client("elbv2").create_listener(**said)["Listeners"]
    return {key: made["ListenerArn"]}


def _rule(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    client("elbv2").create_rule(**said)
    return {}


def _firewall(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    made = client("wafv2").create_web_acl(Name=name, **said)["Summary"]
    return {f"{key}.Arn": made["ARN"]}


def _association(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    client("wafv2").associate_web_acl(**said)
    return {}


def _launch_template(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    data = dict(said["LaunchTemplateData"])
    data["UserData"] = base64.b64encode(data["UserData"].encode()).decode()
    made = client("ec2").create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
    return {
        key: made["LaunchTemplate"]["LaunchTemplateId"],
        f"{key}.LatestVersionNumber": str(made["LaunchTemplate"]["LatestVersionNumber"]),
    }


def _group(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    hooks = said.pop("LifecycleHookSpecificationList")
    sizes = {size: int(said.pop(size)) for size in ("MinSize", "MaxSize", "DesiredCapacity")}
    subnets = ",".join(said.pop("VPCZoneIdentifier"))
    called = said["AutoScalingGroupName"]
    api = client("autoscaling")
    api.create_auto_scaling_group(**said, **sizes, VPCZoneIdentifier=subnets)
    for hook in hooks:
        api.put_lifecycle_hook(AutoScalingGroupName=called, **hook)
    return {key: called}


def _policy(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    api = client("autoscaling")
    api.put_scaling_policy(PolicyName=name, **said)
    [made] = api.describe_policies(PolicyNames=[name])["ScalingPolicies"]  # moto does not answer it
    return {key: made["PolicyARN"]}


def _alarm(client: Client, key: str, name: str, said: dict[str, Any]) -> dict[str, Any]:
    client("cloudwatch").put_metric_alarm(**said)
    return {key: said["AlarmName"]}


ORDER: dict[str, Callable[[Client, str, str, dict[str, Any]], dict[str, Any]]] = {
    "AWS::EC2::SecurityGroup": _security_group,
    types.BALANCER: _balancer,
    types.TARGET_GROUP: _target_group,
    types.LISTENER: _listener,
    types.RULE: _rule,
    types.FIREWALL: _firewall,
    types.ASSOCIATION: _association,
    types.LAUNCH_TEMPLATE: _launch_template,
    types.GROUP: _group,
    types.POLICY: _policy,
    types.ALARM: _alarm,
}
"""Whoever is referred to first."""

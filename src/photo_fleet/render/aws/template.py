"""AWS: the CloudFormation template of the group, its balancer and alarms."""

import json
from typing import Final

from photo_fleet.render.aws import access, balancer, firewall, group, numbers, scaling
from photo_fleet.render.aws.intrinsics import Resource, attribute, ref
from photo_fleet.render.yaml_text import Node, dump
from photo_fleet.spec.aws import group_name
from photo_fleet.spec.fleet import Fleet

LARGEST: Final = 51_200
"""Bytes of a template that a call can bring along ("CloudFormation quotas")."""


def files(fleet: Fleet) -> dict[str, str]:
    """`template.yaml`, and `instance-refresh.json`, by which instances are renewed that no change
    of the template renews. Raises ValueError when the template is larger than AWS takes."""
    text = "# Rendered from the fleet spec: change it there.\n" + dump(template(fleet))
    if (size := len(text.encode())) > LARGEST:
        raise ValueError(f"the template has {size} bytes; AWS takes {LARGEST}")
    asked = {
        "AutoScalingGroupName": group_name(fleet),
        "Strategy": "Rolling",
        "Preferences": numbers.refresh(fleet),
    }
    return {"template.yaml": text, "instance-refresh.json": json.dumps(asked, indent=2) + "\n"}


def template(fleet: Fleet) -> Resource:
    """The whole as data."""
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Photo API: the instances of {fleet.name} and their balancer",
        "Parameters": _PARAMETERS,
        "Conditions": {
            "HasPrometheus": _is_given("PrometheusSecurityGroup"),
            "HasSecrets": _is_given("SecretsArn"),
            "IsSized": {"Fn::Equals": [ref("Size"), "desired"]},
            "ByRules": {"Fn::Equals": [ref("TargetCpu"), 0]},
            "ByTarget": {"Fn::Not": [{"Condition": "ByRules"}]},
        },
        "Resources": {
            **access.resources(fleet),
            **balancer.resources(fleet),
            **firewall.resources(fleet),
            **group.resources(fleet),
            **scaling.resources(fleet),
        },
        "Outputs": {
            "BalancerName": _output(
                "The name that the service's own name is an alias of",
                attribute("Balancer", "DNSName"),
            ),
            "BalancerZone": _output(
                "The zone of that name, for an alias record",
                attribute("Balancer", "CanonicalHostedZoneID"),
            ),
            "InstanceSecurityGroup": _output(
                "Whom the database's security group lets in",
                attribute("InstanceSecurityGroup", "GroupId"),
            ),
            "TargetGroup": _output("For the health of its targets", ref("Targets")),
        },
    }


def notes(fleet: Fleet) -> list[str]:
    """What the template cannot do by itself, a sentence each."""
    return [
        "AWS: network, image, machine type, certificate and secrets are parameters of"
        " aws/template.yaml (docs/clouds.md says which)",
        "AWS: cooldown belongs to simple scaling, which AWS advises against; the template's rules"
        " act again each minute while their alarm lasts, except that machines which start or end"
        f" count already ({numbers.group(fleet)['DefaultInstanceWarmup']} s after a start)",
        "AWS: an Application Load Balancer waits 10 s for a connection, takes uploads of any size"
        " and does not hold them back, listens on 80 and 443, and has no balancer.server_name,"
        " .client_keep_alive or .tls: these values of the spec change nothing there",
    ]


def _is_given(parameter: str) -> Node:
    return {"Fn::Not": [{"Fn::Equals": [ref(parameter), ""]}]}


def _output(what: str, value: Node) -> Node:
    return {"Description": what, "Value": value}


def _parameter(kind: str, what: str, **more: Node) -> Node:
    return {"Type": kind, "Description": what, **more}


_PARAMETERS: Final[Resource] = {
    "VpcId": _parameter("AWS::EC2::VPC::Id", "The network of balancer and instances"),
    "BalancerSubnets": _parameter(
        "List<AWS::EC2::Subnet::Id>",
        "Public subnets of the balancer, in two availability zones or more",
    ),
    "InstanceSubnets": _parameter(
        "List<AWS::EC2::Subnet::Id>",
        "Subnets of the instances, in the same zones, with a way to the package index",
    ),
    "ImageId": _parameter(
        "AWS::EC2::Image::Id", "Debian or Ubuntu with cloud-init and the program for the secrets"
    ),
    "InstanceType": _parameter("String", "The machines' type, such as m7i.large"),
    "CertificateArn": _parameter(
        "String",
        "The balancer's certificate in ACM",
        AllowedPattern="arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+",
    ),
    "IpAddressType": _parameter(
        "String",
        "dualstack when the balancer's subnets have IPv6",
        Default="ipv4",
        AllowedValues=["ipv4", "dualstack"],
    ),
    "SecretsArn": _parameter(
        "String",
        "Secrets in Secrets Manager that the program for the secrets reads by the instance's role,"
        " such as arn:aws:secretsmanager:REGION:ACCOUNT:secret:photo-api/*; empty: none",
        Default="",
        AllowedPattern="(arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+)?",
    ),
    "PrometheusSecurityGroup": _parameter(
        "String",
        "The security group of who scrapes the instances; empty: nobody does",
        Default="",
        AllowedPattern="(sg-[0-9a-f]+)?",
    ),
    "Size": _parameter(
        "String",
        "desired: the group gets the spec's group.desired, as at the first deploy; kept: it stays"
        " as large as it is",
        Default="kept",
        AllowedValues=["kept", "desired"],
    ),
    "TargetCpu": _parameter(
        "Number",
        "Percent of CPU that target tracking holds, in place of the spec's rules; 0: the rules",
        Default=0,
        MinValue=0,
        MaxValue=95,
    ),
}

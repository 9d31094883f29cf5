"""The Application Load Balancer: TLS, what it passes on, and the targets behind it."""

from typing import Final

from photo_api.contract import API_PREFIX, METRICS_PATH
from photo_fleet.render.aws import numbers
from photo_fleet.render.aws.intrinsics import Resource, attribute, ref
from photo_fleet.render.nginx_errors import edge_error, refusal_body
from photo_fleet.render.yaml_text import Node
from photo_fleet.spec.fleet import Fleet

TLS_POLICY: Final = "ELBSecurityPolicy-TLS13-1-2-2021-06"
"""TLS 1.2 and 1.3, with forward secrecy."""

DETAILED: Final = "/health/detailed"


def resources(fleet: Fleet) -> Resource:
    """By their names in the template."""
    return {
        "Balancer": _balancer(fleet),
        "Targets": _targets(fleet),
        "Https": {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "LoadBalancerArn": ref("Balancer"),
                "Protocol": "HTTPS",
                "Port": 443,
                "SslPolicy": TLS_POLICY,
                "Certificates": [{"CertificateArn": ref("CertificateArn")}],
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": ref("Targets")}],
            },
        },
        "Http": _http(),
        "Hidden": _hidden(fleet),
    }


def _balancer(fleet: Fleet) -> Resource:
    return {
        "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
        "Properties": {
            "Type": "application",
            "Scheme": "internet-facing",
            "IpAddressType": ref("IpAddressType"),
            "Subnets": ref("BalancerSubnets"),
            "SecurityGroups": [attribute("BalancerSecurityGroup", "GroupId")],
            "LoadBalancerAttributes": _pairs(numbers.balancer_attributes(fleet)),
        },
    }


def _targets(fleet: Fleet) -> Resource:
    return {
        "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
        "Properties": {
            "VpcId": ref("VpcId"),
            **numbers.target_group(fleet),
            "TargetGroupAttributes": _pairs(numbers.target_group_attributes(fleet)),
        },
    }


def _http() -> Resource:
    to_https: Node = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    return {
        "Type": "AWS::ElasticLoadBalancingV2::Listener",
        "Properties": {
            "LoadBalancerArn": ref("Balancer"),
            "Protocol": "HTTP",
            "Port": 80,
            "DefaultActions": [{"Type": "redirect", "RedirectConfig": to_https}],
        },
    }


def _hidden(fleet: Fleet) -> Resource:
    """What only operators ask, who reach instances themselves. Instances want the operator's token
    for it besides, however an address is written."""
    paths = (METRICS_PATH, DETAILED, API_PREFIX + DETAILED)
    return {
        "Type": "AWS::ElasticLoadBalancingV2::ListenerRule",
        "Properties": {
            "ListenerArn": ref("Https"),
            "Priority": 1,
            "Conditions": [
                {
                    "Field": "path-pattern",
                    "PathPatternConfig": {"Values": [f"{path}*" for path in paths]},
                }
            ],
            "Actions": [
                {
                    "Type": "fixed-response",
                    "FixedResponseConfig": {
                        "StatusCode": "404",
                        "ContentType": "application/json",
                        "MessageBody": refusal_body(edge_error(fleet.balancer, 404)),
                    },
                }
            ],
        },
    }


def _pairs(attributes: dict[str, str]) -> Node:
    return [{"Key": key, "Value": value} for key, value in attributes.items()]

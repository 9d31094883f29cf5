"""What changes the group's size, and what takes a deploy back: policies and CloudWatch alarms."""

from photo_fleet.render.aws import numbers
from photo_fleet.render.aws.intrinsics import Resource, attribute, ref
from photo_fleet.render.yaml_text import Node
from photo_fleet.spec.fleet import Fleet

REFRESH_ALARMS = ("DeployUnready", "DeployErrors")
"""Their names in the template, in the order of their numbers."""

_BALANCER: Node = {"Name": "LoadBalancer", "Value": attribute("Balancer", "LoadBalancerFullName")}
_TARGETS: Node = {"Name": "TargetGroup", "Value": attribute("Targets", "TargetGroupFullName")}


def resources(fleet: Fleet) -> Resource:
    """By their names in the template: the spec's rules, or one that holds a target."""
    found: Resource = {}
    for rule in numbers.scaling_rules(fleet):
        name = f"Rule{rule.place + 1}"
        found[name] = {
            "Type": "AWS::AutoScaling::ScalingPolicy",
            "Condition": "ByRules",
            "Properties": {"AutoScalingGroupName": ref("Group"), **rule.policy},
        }
        found[f"{name}Alarm"] = {
            "Type": "AWS::CloudWatch::Alarm",
            "Condition": "ByRules",
            "Properties": {**rule.alarm, "AlarmActions": [ref(name)]},
        }
    return {**found, "HoldsTarget": _holds_target(), **_refresh_alarms(fleet)}


def _holds_target() -> Resource:
    metric: Node = {"PredefinedMetricType": "ASGAverageCPUUtilization"}
    return {
        "Type": "AWS::AutoScaling::ScalingPolicy",
        "Condition": "ByTarget",
        "Properties": {
            "AutoScalingGroupName": ref("Group"),
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingConfiguration": {
                "PredefinedMetricSpecification": metric,
                "TargetValue": ref("TargetCpu"),
            },
        },
    }


def _refresh_alarms(fleet: Fleet) -> Resource:
    unready, errors = numbers.refresh_alarms(fleet)
    unready["Dimensions"] = [_BALANCER, _TARGETS]
    errors["Metrics"] = _failed(fleet)
    return {
        name: {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm}
        for name, alarm in zip(REFRESH_ALARMS, (unready, errors), strict=True)
    }


def _failed(fleet: Fleet) -> Node:
    """Percent of the requests of a minute that failed, of instances and of the balancer itself;
    0 when they are so few that nobody is woken either."""
    least = fleet.objectives.least_missed
    # A sum of several passes over what has no value: without a failure there is none.
    bad, all_of_them = "SUM([of_targets, of_balancer])", "SUM([requests, of_balancer])"
    share = f"IF({bad} >= {least}, 100 * {bad} / {all_of_them}, 0)"
    return [
        {"Id": "failed", "Expression": share, "ReturnData": True},
        _sum("requests", "RequestCount"),
        _sum("of_targets", "HTTPCode_Target_5XX_Count"),
        _sum("of_balancer", "HTTPCode_ELB_5XX_Count"),
    ]


def _sum(name: str, metric: str) -> Node:
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/ApplicationELB",
                "MetricName": metric,
                "Dimensions": [_BALANCER],
            },
            "Period": numbers.PERIOD,
            "Stat": "Sum",
        },
        "ReturnData": False,
    }

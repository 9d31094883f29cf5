"""Every number of the spec that AWS is told, as its API's parameters have them: CloudFormation's
properties of the same resources have the same names. The template is made of these, and what runs
is compared with them.

From the API references of EC2 Auto Scaling (2011-01-01), Elastic Load Balancing (2015-12-01) and
CloudWatch (2010-08-01).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from photo_fleet.spec.aws import group_name, hook_name, hook_timeout, whole
from photo_fleet.spec.fleet import Fleet, Objectives, Policy

Parameters = dict[str, Any]

PERIOD: Final = 60
"""Seconds of one value of a metric, with detailed monitoring; without it they are 300."""

BOOT: Final = 120
"""Seconds from a machine's start, when AWS counts it as in service, until its instance is ready.
`photo-fleet replay` reckons with the same."""

METRIC_DELAY: Final = 120
"""Seconds until a value of a metric has reached an alarm, and the alarm what it stops."""

ALGORITHMS: Final = {
    "round-robin": "round_robin",
    "least-connections": "least_outstanding_requests",
}

FAST_BURN: Final = 14.4
"""Times the error budget: where the alert pages, a deploy is taken back."""

REFUSED_PERIODS: Final = 3


def group(fleet: Fleet) -> Parameters:
    """CreateAutoScalingGroup. The health of the group is the machine's alone: readiness, which the
    balancer looks at, fails on all instances when the database does, and would replace them all."""
    bounds = fleet.group
    return {
        "AutoScalingGroupName": group_name(fleet),
        "MinSize": bounds.min,
        "MaxSize": bounds.max,
        "DesiredCapacity": bounds.desired,
        "DefaultInstanceWarmup": BOOT + whole(bounds.warm_up),
        "HealthCheckType": "EC2",
        "InstanceMaintenancePolicy": {
            "MinHealthyPercentage": 100,
            "MaxHealthyPercentage": most_healthy(fleet),
        },
        "InstanceLifecyclePolicy": {"RetentionTriggers": {"TerminateHookAbandon": "retain"}},
    }


def most_healthy(fleet: Fleet) -> int:
    """Percent of the group while instances are replaced, the new one first: AWS's own 110, or less,
    so that the largest group has one more and no more, for which the database has room."""
    return min(110, 100 + max(1, 100 // fleet.group.max))


def hook(fleet: Fleet) -> Parameters:
    """PutLifecycleHook, without the group. What is abandoned is retained, and not killed."""
    return {
        "LifecycleHookName": hook_name(fleet),
        "LifecycleTransition": "autoscaling:EC2_INSTANCE_TERMINATING",
        "HeartbeatTimeout": hook_timeout(fleet),
        "DefaultResult": "ABANDON",
    }


def target_group(fleet: Fleet) -> Parameters:
    """CreateTargetGroup, without its name and network."""
    check = fleet.health_check
    return {
        "Protocol": "HTTP",
        "Port": fleet.service.port,
        "TargetType": "instance",
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPath": check.path,
        "HealthCheckIntervalSeconds": whole(check.interval),
        "HealthCheckTimeoutSeconds": whole(check.timeout),
        "HealthyThresholdCount": check.healthy,
        "UnhealthyThresholdCount": check.unhealthy,
        "Matcher": {"HttpCode": "200"},
    }


def deregistration_delay(fleet: Fleet) -> int:
    """Seconds for which a target that leaves keeps its requests: as long as its instance serves."""
    return whole(fleet.drain.lame_duck + fleet.drain.in_flight_wait)


def target_group_attributes(fleet: Fleet) -> dict[str, str]:
    """ModifyTargetGroupAttributes."""
    return {
        "deregistration_delay.timeout_seconds": str(deregistration_delay(fleet)),
        "load_balancing.algorithm.type": ALGORITHMS[fleet.balancer.algorithm],
        "stickiness.enabled": "false",
    }


def balancer_attributes(fleet: Fleet) -> dict[str, str]:
    """ModifyLoadBalancerAttributes. The balancer closes idle connections before the service does;
    when it cannot ask its firewall, it serves."""
    return {
        "idle_timeout.timeout_seconds": str(whole(fleet.balancer.keep_alive)),
        "routing.http.drop_invalid_header_fields.enabled": "true",
        "waf.fail_open.enabled": "true",
    }


@dataclass(frozen=True, slots=True)
class ScalingRule:
    """A rule of the spec: PutScalingPolicy without group and name, and PutMetricAlarm without what
    it calls. `place` is the rule's among the spec's."""

    place: int
    policy: Parameters
    alarm: Parameters


def scaling_rules(fleet: Fleet) -> list[ScalingRule]:
    """Of the spec's rules those that CloudWatch has a metric for."""
    return [
        ScalingRule(place, _steps(policy), _alarm(fleet, place, policy))
        for place, policy in enumerate(fleet.group.policies)
        if policy.metric == "cpu"
    ]


def _steps(policy: Policy) -> Parameters:
    """Relative to the alarm's threshold. The warm-up is the group's."""
    beyond = "MetricIntervalLowerBound" if policy.is_scale_out else "MetricIntervalUpperBound"
    return {
        "PolicyType": "StepScaling",
        "AdjustmentType": "ChangeInCapacity",
        "MetricAggregationType": "Average",
        "StepAdjustments": [{beyond: 0, "ScalingAdjustment": policy.step}],
    }


def _alarm(fleet: Fleet, place: int, policy: Policy) -> Parameters:
    """Where values are missing it does nothing."""
    comparison = "GreaterThanThreshold" if policy.is_scale_out else "LessThanThreshold"
    return {
        "AlarmName": f"{group_name(fleet)}-rule-{place + 1}",
        "Namespace": "AWS/EC2",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group_name(fleet)}],
        "Statistic": "Average",
        "Period": PERIOD,
        "EvaluationPeriods": periods(policy),
        "ComparisonOperator": comparison,
        "Threshold": policy.threshold,
        "TreatMissingData": "missing",
    }


def periods(policy: Policy) -> int:
    """How many values in a row have to be beyond the threshold."""
    return max(1, ceil(round(policy.duration / PERIOD, 6)))


def unready_periods(fleet: Fleet) -> int:
    """Minutes for which a sound newcomer may fail its health check, and one more."""
    check = fleet.health_check
    return ceil((BOOT + check.healthy * check.interval + check.timeout) / PERIOD) + 1


def refresh_alarms(fleet: Fleet) -> Iterator[Parameters]:
    """PutMetricAlarm of what takes a deploy back, without its dimensions."""
    yield {
        "AlarmName": f"{group_name(fleet)}-deploy-unready",
        "Namespace": "AWS/ApplicationELB",
        "MetricName": "UnHealthyHostCount",
        "Statistic": "Maximum",
        "Period": PERIOD,
        "EvaluationPeriods": unready_periods(fleet),
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "Threshold": 1,
        "TreatMissingData": "notBreaching",
    }
    yield {
        "AlarmName": f"{group_name(fleet)}-deploy-errors",
        "EvaluationPeriods": REFUSED_PERIODS,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": _tolerated(fleet.objectives),
        "TreatMissingData": "notBreaching",
    }


def _tolerated(objectives: Objectives) -> float:
    """Percent of the requests of a minute that may fail."""
    return round(FAST_BURN * (100 - min(objectives.reads, objectives.writes)), 3)


def refresh(fleet: Fleet) -> Parameters:
    """Preferences of an instance refresh. The next instance is replaced when the alarm has had the
    time to see that the one before does not become ready: AWS would count it as healthy."""
    check = fleet.health_check
    seen = check.unhealthy * check.interval + unready_periods(fleet) * PERIOD + METRIC_DELAY
    return {
        "MinHealthyPercentage": 100,
        "MaxHealthyPercentage": most_healthy(fleet),
        "InstanceWarmup": max(whole(seen), BOOT + whole(fleet.group.warm_up)),
        "AlarmSpecification": {"Alarms": [alarm["AlarmName"] for alarm in refresh_alarms(fleet)]},
    }

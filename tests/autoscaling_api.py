"""Amazon's Auto Scaling and Elastic Load Balancing APIs for one machine, as botocore's models
(2011-01-01 and 2015-12-01) describe them.

`tests/test_autoscaling_api.py` has botocore's own client read the answers. What is said of an
action that is not open was seen of the real one (issue 2432 of convox/rack on GitHub quotes it).
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from tests.amazon_models import Answer, Refused, error, read, success


class TerminationHook:
    """Its action for one machine: opened, held open by heartbeats, and ended by a result or by the
    timeout, whose result is ABANDON. Times are monotonic."""

    def __init__(self, group: str = "photos", name: str = "drain", timeout: float = 30.0) -> None:
        self.group, self.name, self.timeout = group, name, timeout
        self.heartbeats: list[float] = []
        self.results: list[str] = []
        self._deadline: float | None = None
        self._busy = threading.Lock()

    def open(self) -> None:
        with self._busy:
            self._deadline = time.monotonic() + self.timeout

    @property
    def is_open(self) -> bool:
        with self._busy:
            return self._is_open()

    def _is_open(self) -> bool:
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.results.append("ABANDON")
            self._deadline = None
        return self._deadline is not None

    def take(self, operation: str, parameters: dict[str, str]) -> bool:
        """Whether there is an action that this can be done to."""
        with self._busy:
            if not self._is_open():
                return False
            if operation == "RecordLifecycleActionHeartbeat":
                self.heartbeats.append(time.monotonic())
                self._deadline = self.heartbeats[-1] + self.timeout
            else:
                self.results.append(parameters["LifecycleActionResult"])
                self._deadline = None
            return True


class TargetGroups:
    """Those of the group, by ARN, with the targets of each. `page` is how many the Auto Scaling API
    tells at once, `left` is called with the ARN when a target was deregistered."""

    def __init__(self) -> None:
        self.targets: dict[str, set[str]] = {}
        self.page = 100
        self.left: Callable[[str], None] = lambda arn: None

    def add(self, name: str, *targets: str) -> str:
        place = "arn:aws:elasticloadbalancing:eu-north-1:123456789012:targetgroup"
        arn = f"{place}/{name}/73e2d6bc24d8a067"
        self.targets[arn] = set(targets)
        return arn

    def told(self, parameters: Mapping[str, Any]) -> str:
        """What DescribeLoadBalancerTargetGroups results in."""
        arns, begin = list(self.targets), int(parameters.get("NextToken", "&0")[1:])
        end = begin + min(self.page, parameters.get("MaxRecords", 100))
        members = "".join(
            f"<member><LoadBalancerTargetGroupARN>{arn}</LoadBalancerTargetGroupARN>"
            "<State>Added</State></member>"
            for arn in arns[begin:end]
        )
        token = f"<NextToken>{escape(f'&{end}')}</NextToken>" if end < len(arns) else ""
        return f"<LoadBalancerTargetGroups>{members}</LoadBalancerTargetGroups>{token}"

    def deregister(self, arn: str, target: str) -> None:
        """One that is not there is deregistered, too ("DeregisterTargets")."""
        self.targets[arn].discard(target)
        self.left(arn)


def of_autoscaling(
    form: Mapping[str, str], hook: TerminationHook, groups: TargetGroups, instance_id: str
) -> Answer:
    """To a request whose signature is right."""
    try:
        operation, parameters = read("autoscaling", form)
    except Refused as refused:
        return error(400, refused.code, refused.message)
    if parameters["AutoScalingGroupName"] != hook.group:
        return error(400, "ValidationError", "AutoScalingGroup name not found - no such group")
    if operation == "DescribeLoadBalancerTargetGroups":
        return success("autoscaling", operation, groups.told(parameters))
    if parameters["LifecycleHookName"] != hook.name:
        return error(400, "ValidationError", f"No Lifecycle Hook found with name {hook.name}")
    if parameters.get("LifecycleActionResult", "CONTINUE") not in ("CONTINUE", "ABANDON"):
        text = "LifecycleActionResult must be CONTINUE or ABANDON"
        return error(400, "ValidationError", text)
    if parameters.get("InstanceId") != instance_id or not hook.take(operation, parameters):
        told = parameters.get("InstanceId", "")
        text = f"No active Lifecycle Action found with instance ID {told}"
        return error(400, "ValidationError", text)
    return success("autoscaling", operation)


def of_load_balancing(form: Mapping[str, str], groups: TargetGroups) -> Answer:
    """To a request whose signature is right."""
    try:
        operation, parameters = read("elbv2", form)
    except Refused as refused:
        return error(400, refused.code, refused.message, "elbv2")
    arn = parameters["TargetGroupArn"]
    if arn not in groups.targets:
        return error(400, "TargetGroupNotFound", "One or more target groups not found", "elbv2")
    for target in parameters["Targets"]:
        groups.deregister(arn, target["Id"])
    return success("elbv2", operation)

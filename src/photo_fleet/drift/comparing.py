"""In what a thing that AWS has differs from the template. Pure."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from photo_fleet.drift.asking import Unread
from photo_fleet.drift.reading import (
    ALARM,
    BALANCER,
    FIREWALL,
    GROUP,
    HOOK,
    LISTENER,
    POLICY,
    RULE,
    TARGET_GROUP,
    Properties,
    Thing,
)
from photo_fleet.drift.template import UNKNOWN, flat, is_same

IMPLIED: Final[Mapping[str, Properties]] = {
    GROUP: {
        "SuspendedProcesses": [],
        "HealthCheckGracePeriod": 0,
        "TerminationPolicies": ["Default"],
        "NewInstancesProtectedFromScaleIn": False,
    },
    TARGET_GROUP: {"TargetGroupAttributes[slow_start.duration_seconds].Value": "0"},
    POLICY: {"Enabled": True},
    ALARM: {"ActionsEnabled": True},
}
"""What holds where a template says nothing, by path: AWS's own defaults."""

NOT_COMPARED: Final = {
    GROUP: frozenset(("AutoScalingGroupName", "DesiredCapacity", "VPCZoneIdentifier")),
    TARGET_GROUP: frozenset(("VpcId",)),
    BALANCER: frozenset(("Subnets", "SecurityGroups")),
    LISTENER: frozenset(("LoadBalancerArn", "Port")),
    RULE: frozenset(("Priority",)),
    HOOK: frozenset(("LifecycleHookName",)),
    POLICY: frozenset(("PolicyName",)),
    ALARM: frozenset(("AlarmName", "AlarmDescription")),
    FIREWALL: frozenset(("Scope",)),  # it stands before a balancer, and so is of its region
}
"""What a thing is found by, what the operator chooses, and what scaling moves."""

USER_DATA: Final = "LaunchTemplateData.UserData"


@dataclass(frozen=True, slots=True)
class Difference:
    """At a path of a thing. `live` None: not set."""

    thing: Thing
    path: str
    wanted: Any
    live: Any

    @property
    def top(self) -> str:
        """The property that the path is of."""
        return top(self.path)


def top(path: str) -> str:
    """The first name of a path."""
    return re.split(r"[.\[]", path)[0]


def compared(thing: Thing) -> Iterator[tuple[str, Any]]:
    """Every path that is compared, with what the template says or implies there."""
    skipped = NOT_COMPARED.get(thing.type, frozenset())
    for path, wanted in {**IMPLIED.get(thing.type, {}), **dict(flat(thing.wanted))}.items():
        is_unknown = wanted is UNKNOWN or (isinstance(wanted, list) and UNKNOWN in wanted[:1])
        if not is_unknown and top(path) not in skipped:
            yield path, wanted


def differences(thing: Thing) -> Iterator[Difference]:
    """All of a thing that was read; a part of it that was not is its value at its path."""
    live, implied = dict(flat(thing.live)), IMPLIED.get(thing.type, {})
    unread = {path: value for path, value in live.items() if isinstance(value, Unread)}
    for path, value in unread.items():
        yield Difference(thing, path, None, value)
    for path, wanted in compared(thing):
        found = live.get(path)
        is_default = found is None and path in implied and implied[path] == wanted
        if top(path) not in unread and not is_default and not is_same(path, wanted, found):
            yield Difference(thing, path, wanted, found)


def of_another_version(group: Properties) -> tuple[int, int]:
    """Instances that were started by another launch template or version than the group has now,
    and all."""
    now, instances = group["LaunchTemplate"], group.get("Instances") or []
    others = [
        one
        for one in instances
        if (used := one.get("LaunchTemplate") or {}).get("LaunchTemplateId")
        != now.get("LaunchTemplateId")
        or used.get("Version") != now.get("Version")
    ]
    return len(others), len(instances)

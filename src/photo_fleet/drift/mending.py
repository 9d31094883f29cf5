"""The command that makes a thing of AWS as the template says it. Pure.

Options are those of AWS's command line: an operation's parameters, of which structures are JSON.
"""

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any, Final

from photo_fleet.drift.comparing import USER_DATA, Difference, differences
from photo_fleet.drift.reading import (
    ALARM,
    BALANCER,
    GROUP,
    HOOK,
    LAUNCH_TEMPLATE,
    LISTENER,
    POLICY,
    RULE,
    SCHEDULE,
    TARGET_GROUP,
    Extra,
    Thing,
)
from photo_fleet.drift.template import UNKNOWN, flat

DEPLOY: Final = (
    "deploy aws/template.yaml again; where the spec is the one that was deployed, by a change set"
    " of the deployment mode REVERT_DRIFT, for CloudFormation sees nothing to do otherwise"
)
REFRESH: Final = (
    "aws autoscaling start-instance-refresh --cli-input-json file://aws/instance-refresh.json"
)
"""With the rendered file, which says how carefully."""

THEN_AGAIN: Final = ", and check again, which tells the group of it"

IMMUTABLE: Final = frozenset(
    ("Port", "Protocol", "ProtocolVersion", "TargetType", "IpAddressType", "Scheme", "Type")
)
"""Properties of a target group or balancer with which it was made."""

MODIFIED: Final = {TARGET_GROUP: "target-group", LISTENER: "listener", RULE: "rule"}
"""What is changed property by property."""

ACTIONS: Final = ("AlarmActions", "OKActions", "InsufficientDataActions")


def mending(difference: Difference) -> str:
    """What to do about one difference."""
    thing = difference.thing
    value: Any = thing.wanted.get(difference.top)
    if thing.type == GROUP:
        return _of_group(difference)
    if thing.type == LAUNCH_TEMPLATE:
        return _of_launch_template(difference)
    if difference.top in ("TargetGroupAttributes", "LoadBalancerAttributes"):
        key = difference.path.partition("[")[2].partition("]")[0]
        pair = [{"Key": key, "Value": str(difference.wanted)}]
        of = "target-group" if thing.type == TARGET_GROUP else "load-balancer"
        which = {f"{of}-arn": thing.handle, "attributes": pair}
        return command("elbv2", f"modify-{of}-attributes", **which)
    if thing.type in (TARGET_GROUP, BALANCER) and difference.top in IMMUTABLE:
        return DEPLOY
    if thing.type in MODIFIED and not _has_unknown(value):
        of = MODIFIED[thing.type]
        which = {f"{of}-arn": thing.handle, option(difference.top): value}
        return command("elbv2", f"modify-{of}", **which)
    return made(thing)


def made(thing: Thing) -> str:
    """What to do about a thing that is not there, or that is put as a whole."""
    said = {option(key): value for key, value in thing.wanted.items()}
    if _has_unknown(thing.wanted):
        return DEPLOY
    if thing.type == HOOK:
        return command("autoscaling", "put-lifecycle-hook", **_of(thing), **said)
    if thing.type == POLICY and thing.live is not None:
        said |= {"policy-name": thing.handle, "enabled": True}
        return command("autoscaling", "put-scaling-policy", **_of(thing), **said)
    if thing.type == ALARM:
        said |= {option(key): _with_more(thing, key) for key in ACTIONS if _with_more(thing, key)}
        return command("cloudwatch", "put-metric-alarm", **{**said, "actions-enabled": True})
    if thing.type == RULE and thing.of:
        return command("elbv2", "create-rule", **{"listener-arn": thing.of, **said})
    return DEPLOY


def removing(extra: Extra, group: str) -> str:
    """The command that removes what the template does not have."""
    of = {"auto-scaling-group-name": group}
    if extra.type == POLICY:
        return command("autoscaling", "delete-policy", **of, **{"policy-name": extra.handle})
    if extra.type == HOOK:
        which = {"lifecycle-hook-name": extra.handle}
        return command("autoscaling", "delete-lifecycle-hook", **of, **which)
    if extra.type == SCHEDULE:
        which = {"scheduled-action-name": extra.handle}
        return command("autoscaling", "delete-scheduled-action", **of, **which)
    if extra.type == ALARM:
        return command("cloudwatch", "delete-alarms", **{"alarm-names": [extra.handle]})
    if extra.type == LAUNCH_TEMPLATE:
        which = {"launch-template-id": extra.of, "versions": extra.handle}
        return command("ec2", "delete-launch-template-versions", **which)
    return command("elbv2", "delete-rule", **{"rule-arn": extra.handle})


def _of(thing: Thing) -> dict[str, Any]:
    return {"auto-scaling-group-name": thing.of}


def _of_group(difference: Difference) -> str:
    thing, top = difference.thing, difference.top
    value: Any = thing.wanted.get(top, difference.wanted)
    name = {"auto-scaling-group-name": thing.handle}
    if top == "SuspendedProcesses":
        processes = {"scaling-processes": difference.live}
        return command("autoscaling", "resume-processes", **name, **processes)
    if _has_unknown(value):
        return DEPLOY
    if top == "TargetGroupARNs":
        which = {"target-group-arns": value}
        return command("autoscaling", "attach-load-balancer-target-groups", **name, **which)
    if top == "MetricsCollection":
        which = {"granularity": "1Minute", "metrics": value[0].get("Metrics", [])}
        return command("autoscaling", "enable-metrics-collection", **name, **which)
    if top == "Tags":
        of = {"ResourceId": thing.handle, "ResourceType": "auto-scaling-group"}
        return command("autoscaling", "create-or-update-tags", tags=[of | tag for tag in value])
    which = {"default-cooldown" if top == "Cooldown" else option(top): value}
    return command("autoscaling", "update-auto-scaling-group", **name, **which)


def _of_launch_template(difference: Difference) -> str:
    """A version more, with all that differs, which another check tells to the group. User data hold
    more than a command should show."""
    thing = difference.thing
    data = thing.wanted["LaunchTemplateData"]
    parts = {one.path.split(".")[1].partition("[")[0] for one in differences(thing)}
    said = {part: data[part] for part in sorted(parts)}
    if difference.path == USER_DATA or _has_unknown(said):
        return DEPLOY
    said.pop("UserData", None)
    which = {"launch-template-id": thing.handle, "source-version": thing.of}
    made = command(
        "ec2", "create-launch-template-version", **which, **{"launch-template-data": said}
    )
    return f"{made}{THEN_AGAIN}"


def _with_more(thing: Thing, key: str) -> list[str]:
    """Actions of the template, and those that somebody added, such as a topic."""
    live = thing.live.get(key) if isinstance(thing.live, Mapping) else None
    ours = list(thing.wanted.get(key) or ())
    others = [one for one in live or () if ":scalingPolicy:" not in one and one not in ours]
    return [*ours, *others]


def _has_unknown(value: Any) -> bool:
    return any(
        one is UNKNOWN or (isinstance(one, list) and UNKNOWN in one) for _, one in flat(value)
    )


def option(name: str) -> str:
    """A parameter's name as an option's."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", name).lower()


def command(service: str, operation: str, **options: Any) -> str:
    """A line for a shell."""
    words = ["aws", service, operation]
    for name, value in options.items():
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{name}")
        elif isinstance(value, list) and all(isinstance(one, str) for one in value):
            words += [f"--{name}", *map(shlex.quote, value)]
        elif isinstance(value, Mapping | list):
            words += [f"--{name}", shlex.quote(json.dumps(value, separators=(",", ":")))]
        else:
            words += [f"--{name}", shlex.quote(str(value))]
    return " ".join(words)

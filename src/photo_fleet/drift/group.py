"""What AWS has of the group: its launch template, hooks, policies and alarms."""

from collections.abc import Mapping
from typing import Any

from photo_fleet.drift.asking import Unread
from photo_fleet.drift.comparing import differences
from photo_fleet.drift.reading import (
    ALARM,
    GROUP,
    HOOK,
    LAUNCH_TEMPLATE,
    POLICY,
    SCHEDULE,
    Extra,
    Properties,
    Reading,
    Thing,
)
from photo_fleet.drift.template import resolved, unpacked

HOOKS = "LifecycleHookSpecificationList"
TRACKING = "TargetTrackingScaling"


_DEFAULT = "DefaultVersion"


class NoGroup(Exception):
    """There is nothing to compare; the message says why and what to do."""


def read_group(reading: Reading) -> Properties:
    """The group as AWS has it, which is added together with its launch template. Raises
    `NoGroup`."""
    [(key, wanted)] = reading.of(GROUP)
    name = reading.name_in(wanted, "AutoScalingGroupName") or reading.name
    found = reading.aws.all(
        "autoscaling",
        "describe_auto_scaling_groups",
        "AutoScalingGroups",
        AutoScalingGroupNames=[name],
    )
    if isinstance(found, Unread):
        raise NoGroup(f"AWS could not be asked for the group {name}: {found.why}; {found.remedy}")
    if not found:
        raise NoGroup(
            f"there is no Auto Scaling group {name} in this account and region: deploy"
            " aws/template.yaml, or say --region"
        )
    live = _as_in_template(found[0])
    reading.known[key] = name
    wanted = {part: value for part, value in wanted.items() if part != HOOKS}
    _read_launch_template(reading, live)
    reading.add(GROUP, name, wanted, live, name)
    return live


def _as_in_template(group: Mapping[str, Any]) -> dict[str, Any]:
    metrics = [one["Metric"] for one in group.get("EnabledMetrics", ())]
    return {
        **group,
        "Cooldown": group.get("DefaultCooldown"),
        "SuspendedProcesses": [one["ProcessName"] for one in group.get("SuspendedProcesses", ())],
        "MetricsCollection": [{"Granularity": "1Minute", "Metrics": metrics}] if metrics else [],
        "LaunchTemplate": dict(group.get("LaunchTemplate") or {}),
    }


def _read_launch_template(reading: Reading, group: Properties) -> None:
    """The one that the group uses. A newer version than the group's counts when it is as the
    template says: otherwise it is one too many, if the group's own is right."""
    for key, wanted in reading.of(LAUNCH_TEMPLATE):
        used = group["LaunchTemplate"]
        handle, name = used.get("LaunchTemplateId", ""), used.get("LaunchTemplateName", key)
        said = {"LaunchTemplateData": wanted["LaunchTemplateData"]}
        versions = _versions(reading, used) if handle else {}
        if isinstance(versions, Unread) or not versions:
            reading.add(LAUNCH_TEMPLATE, name, said, versions or None, handle)
            continue
        newest = max(versions, key=int)
        used["Version"] = own = _number(used.get("Version", ""), versions)
        are_right = {number: _is_right(reading, said, versions[number]) for number in {own, newest}}
        counts = newest if are_right[newest] else own
        if are_right[own] and not are_right[newest]:
            newer = f"version {newest} of the launch template {name}"
            reading.extras.append(Extra(LAUNCH_TEMPLATE, newer, newest, of=handle))
        reading.known[key] = handle
        reading.known[f"{key}.LatestVersionNumber"] = counts
        shown = f"{name}, version {counts}"
        reading.add(LAUNCH_TEMPLATE, shown, said, versions[counts], handle, counts)


def _versions(reading: Reading, used: Properties) -> Any:
    """The data of the version that is used, of the default one and of the newest, by number."""
    asked = sorted({"$Latest", "$Default", used.get("Version") or "$Default"})
    found = reading.aws.all(
        "ec2",
        "describe_launch_template_versions",
        "LaunchTemplateVersions",
        "InvalidLaunchTemplateId.NotFound",
        LaunchTemplateId=used["LaunchTemplateId"],
        Versions=asked,
    )
    if isinstance(found, Unread):
        return found
    return {str(one["VersionNumber"]): _unpacked(one) for one in found}


def _unpacked(version: Mapping[str, Any]) -> dict[str, Any]:
    data = version["LaunchTemplateData"]
    text = unpacked(data.get("UserData", ""))
    return {"LaunchTemplateData": {**data, "UserData": text}, _DEFAULT: version["DefaultVersion"]}


def _number(version: str, versions: Mapping[str, Any]) -> str:
    """The version that a group means, which may say so by `$Latest` or `$Default`."""
    if version in versions:
        return version
    default = (number for number, data in versions.items() if data[_DEFAULT])
    newest = max(versions, key=int)
    return newest if version == "$Latest" else next(default, newest)


def _is_right(reading: Reading, said: Properties, live: Properties) -> bool:
    thing = Thing(LAUNCH_TEMPLATE, "", resolved(said, reading.known), live)
    return not any(differences(thing))


def read_hooks(reading: Reading) -> None:
    """The group's hooks, those among its properties and those of their own."""
    [(_, group)] = reading.of(GROUP)
    wanted = [*group.get(HOOKS, ()), *(hook for _, hook in reading.of(HOOK))]
    name = reading.known[next(reading.of(GROUP))[0]]
    answer = reading.aws.one("autoscaling", "describe_lifecycle_hooks", AutoScalingGroupName=name)
    is_read = not isinstance(answer, Unread)
    live = (
        {one["LifecycleHookName"]: one for one in answer.get("LifecycleHooks", ())}
        if is_read
        else {}
    )
    for hook in wanted:
        called = reading.name_in(hook, "LifecycleHookName")
        said = {key: value for key, value in hook.items() if key != "AutoScalingGroupName"}
        found = live.pop(called, None) if is_read else answer
        reading.add(HOOK, called, said, found, called, name)
    if not is_read:
        reading.extras.append(Extra(HOOK, "", unread=answer))
    reading.extras += [Extra(HOOK, called, called) for called in live]


def read_schedules(reading: Reading) -> None:
    """Scheduled actions, which change the numbers of the group: the template has none."""
    name = reading.known[next(reading.of(GROUP))[0]]
    found = reading.aws.all(
        "autoscaling",
        "describe_scheduled_actions",
        "ScheduledUpdateGroupActions",
        AutoScalingGroupName=name,
    )
    if isinstance(found, Unread):
        reading.extras.append(Extra(SCHEDULE, "", unread=found))
        return
    names = [one["ScheduledActionName"] for one in found]
    reading.extras += [Extra(SCHEDULE, called, called) for called in names]


def read_policies(reading: Reading) -> None:
    """The group's policies and the alarms that act on it."""
    name = reading.known[next(reading.of(GROUP))[0]]
    found = reading.aws.all(
        "autoscaling", "describe_policies", "ScalingPolicies", AutoScalingGroupName=name
    )
    if isinstance(found, Unread):
        reading.extras.append(Extra(POLICY, "", unread=found))
    left = [] if isinstance(found, Unread) else list(found)
    reading.choose([one["PolicyName"] for one in left])
    for key, wanted in reading.of(POLICY):
        said = {part: value for part, value in wanted.items() if part != "AutoScalingGroupName"}
        live = found if isinstance(found, Unread) else _its_own(key, said, left)
        called = key
        if isinstance(live, dict):
            left.remove(live)
            reading.known[key] = reading.known[f"{key}.Arn"] = live["PolicyARN"]
            called = live["PolicyName"]
        reading.add(POLICY, called, said, live, called, name)
    reading.extras += [Extra(POLICY, one["PolicyName"], one["PolicyName"]) for one in left]
    # A policy that holds a target has alarms of its own, which come and go with it.
    acting = [] if isinstance(found, Unread) else [one for one in found if one not in left]
    _read_alarms(reading, [one["PolicyARN"] for one in acting if one["PolicyType"] != TRACKING])


def _its_own(key: str, wanted: Properties, left: list[Any]) -> Any:
    """The policy that the template's became: CloudFormation names it after the logical id; one that
    was made otherwise is known by what it does."""
    by_name = [one for one in left if f"-{key}-" in one["PolicyName"]]
    by_effect = [one for one in left if _adds(one) is not None and _adds(one) == _adds(wanted)]
    return next(iter([*by_name, *by_effect]), None)


def _adds(policy: Properties) -> bool | None:
    """Whether it adds instances; None where it says no number."""
    steps = [one["ScalingAdjustment"] for one in policy.get("StepAdjustments") or ()]
    numbers = [int(number) for number in [policy.get("ScalingAdjustment"), *steps] if number]
    return numbers[0] > 0 if numbers else None


def _read_alarms(reading: Reading, policies: list[str]) -> None:
    """Those of the template, and all that act on these policies."""
    wanted = [(reading.name_in(one, "AlarmName"), one) for _, one in reading.of(ALARM)]
    asked: list[dict[str, Any]] = [{"AlarmNames": [name for name, _ in wanted if name]}]
    asked += [{"ActionPrefix": policy} for policy in policies]
    live: dict[str, Any] = {}
    for parameters in asked:
        found = reading.aws.all("cloudwatch", "describe_alarms", "MetricAlarms", **parameters)
        if isinstance(found, Unread):
            for name, said in wanted:
                reading.add(ALARM, name, said, found, name)
            reading.extras.append(Extra(ALARM, "", unread=found))
            return
        live |= {one["AlarmName"]: one for one in found}
    for name, said in wanted:
        reading.add(ALARM, name, said, live.pop(name, None), name)
    reading.extras += [Extra(ALARM, name, name) for name in live]

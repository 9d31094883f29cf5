"""In what a group that runs in AWS differs from the spec: `photo-fleet check --against aws`."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from photo_base.log_lines import printable
from photo_fleet.drift.asking import Aws, Unread
from photo_fleet.drift.balancing import read_balancer, read_target_group
from photo_fleet.drift.comparing import USER_DATA, Difference, differences, of_another_version
from photo_fleet.drift.consequences import KINDS, of_difference, of_extra, of_missing
from photo_fleet.drift.group import read_group, read_hooks, read_policies, read_schedules
from photo_fleet.drift.mending import REFRESH, made, mending, removing
from photo_fleet.drift.reading import GROUP, Properties, Reading, Thing
from photo_fleet.render.aws.template import template
from photo_fleet.rules.findings import UNREAD, Finding
from photo_fleet.spec.fleet import Fleet

LONGEST = 200
"""Characters of a value that are shown."""


def drift(fleet: Fleet, aws: Aws) -> list[Finding]:
    """A finding for each number in which AWS differs from the template of the spec, for each thing
    too many, and one `UNREAD` for each that could not be read. Raises `NoGroup`."""
    reading = read(aws, template(fleet), fleet.name)
    found = [*chain.from_iterable(map(findings_of, reading.things())), *_of_extras(reading)]
    return sorted(found, key=lambda finding: finding.level != "error")


def read(aws: Aws, said: Mapping[str, Any], name: str) -> Reading:
    """Everything that is compared. Raises `NoGroup`."""
    reading = Reading(aws, said, name)
    group = read_group(reading)
    read_balancer(reading, read_target_group(reading, group))
    read_hooks(reading)
    read_schedules(reading)
    read_policies(reading)
    return reading


def findings_of(thing: Thing) -> Iterator[Finding]:
    """In what one thing differs, or that it is not there or unknown."""
    kind = KINDS[thing.type]
    if isinstance(thing.live, Unread):
        yield _unread(f"the {kind} {thing.name}", thing.live)
    elif thing.live is None:
        numbers = f"the spec has the {kind} {thing.name}; AWS has none of the group's"
        yield Finding("error", f"aws-{kind}", numbers, of_missing(thing.type), made(thing))
    else:
        yield from map(_different, differences(thing))
        if thing.type == GROUP:
            yield from _old_instances(thing.live)


def _different(one: Difference) -> Finding:
    thing, kind = one.thing, KINDS[one.thing.type]
    if isinstance(one.live, Unread):
        return _unread(f"{one.path} of the {kind} {thing.name}", one.live)
    if one.path == USER_DATA:
        numbers = f"the user data of the {kind} {thing.name} differ from the rendered ones"
    else:
        values = f"{_shown(one.wanted)} in the spec, {_shown(one.live)} in AWS"
        numbers = f"{_named(one.path)} of the {kind} {thing.name}: {values}"
    consequence = of_difference(thing.type, one.path)
    return Finding("error", f"aws-{kind}", numbers, consequence, mending(one))


def _old_instances(group: Properties) -> Iterator[Finding]:
    others, all_of_them = of_another_version(group)
    if others:
        yield Finding(
            "warning",
            "aws-old-instances",
            f"{others} of {all_of_them} instances were started by another version of the launch"
            " template than the group uses now",
            "they run what the spec said then, until something else replaces them",
            REFRESH,
        )


def _of_extras(reading: Reading) -> Iterator[Finding]:
    group = next(reading.of(GROUP))[0]
    for extra in reading.extras:
        kind = KINDS[extra.type]
        if extra.unread is not None:
            yield _unread(f"whether there is a {kind} too many", extra.unread)
        else:
            yield Finding(
                "error",
                f"aws-{kind}",
                f"AWS has the {kind} {_shown(extra.name)}, which the spec does not know",
                of_extra(extra.type),
                removing(extra, reading.known[group]),
            )


def _unread(what: str, unread: Unread) -> Finding:
    return Finding(
        "warning",
        UNREAD,
        f"unknown: {what} could not be read: {unread.why}",
        "it may be as the spec says, or not",
        f"{unread.remedy}, and check again",
    )


def _named(path: str) -> str:
    """A path for people."""
    if path.endswith("[]"):
        return f"the number of {path[:-2]}"
    return path.removesuffix(".Value") if path.endswith("].Value") else path


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(_shown(item) for item in value) or "none"
    text = printable(str(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"

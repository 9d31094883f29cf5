"""Changes of a spec by dotted keys, as findings propose them: `group.policies[0].threshold`."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

from photo_fleet.spec.fleet import Fleet, Policy
from photo_fleet.spec.kinds import Choice, Kind, Switch, Text, Threshold
from photo_fleet.spec.loading import annotations, kind_of

Changes = Mapping[str, Any]
"""New values by dotted key, in the spec's own units."""

PART = re.compile(r"\w+")


def changed(fleet: Fleet, changes: Changes) -> Fleet:
    """The spec with the values of `changes`, whether they are in range or not."""
    for key, value in changes.items():
        fleet = _with(fleet, PART.findall(key), value)
    return fleet


def is_possible(fleet: Fleet, changes: Changes) -> bool:
    """Whether a file could hold these values."""
    try:
        for key, value in changes.items():
            _kind(fleet, key).check(value)
    except ValueError:
        return False
    return True


def told(fleet: Fleet, changes: Changes) -> str:
    """The changes in words: `drain.lame_duck to 105s and drain.grace to 144s`."""
    *others, last = [f"{key} to {_written(fleet, key, changes[key])}" for key in changes]
    return f"{', '.join(others)} and {last}" if others else last


def _with(node: Any, parts: list[str], value: Any) -> Any:
    if not parts:
        return value
    first, *rest = parts
    if isinstance(node, tuple):
        place = int(first)
        return (*node[:place], _with(node[place], rest, value), *node[place + 1 :])
    return replace(node, **{first: _with(getattr(node, first), rest, value)})


def _kind(fleet: Fleet, key: str) -> Kind:
    """What the key may hold."""
    node: Any = fleet
    annotation: Any = Fleet
    for part in PART.findall(key):
        owner = node
        if isinstance(node, tuple):
            annotation, node = get_args(annotation)[0], node[int(part)]
        else:
            annotation, node = annotations(type(node))[part], getattr(node, part)
    kind = kind_of(annotation)
    assert kind, f"{key} is a table"
    if isinstance(kind, Threshold):
        assert isinstance(owner, Policy)
        return kind.of(owner.metric)
    return kind


def _written(fleet: Fleet, key: str, value: Any) -> str:
    """Words in quotes, as in the file; numbers with their unit, plain."""
    kind = _kind(fleet, key)
    text = kind.write(value)
    return text if isinstance(kind, Choice | Text | Switch) else text.strip('"')

"""What the rules of several clouds share."""

from collections.abc import Callable, Iterator
from math import ceil
from typing import Final

from photo_fleet.rules.findings import Contradiction, Rule
from photo_fleet.spec.fleet import Cloud, Fleet

MINUTE: Final = 60
"""Seconds of one value of a metric."""


def of_cloud(cloud: Cloud, *rules: Rule) -> tuple[Rule, ...]:
    """The same rules, for groups of this cloud alone."""

    def only(rule: Rule) -> Callable[[Fleet], Iterator[Contradiction]]:
        return lambda fleet: rule(fleet) if fleet.group.cloud == cloud else iter(())

    return tuple(map(only, rules))


def no_whole_minutes(fleet: Fleet) -> dict[str, tuple[float, float]]:
    """Durations of policies that are no minutes, by key, each with the minutes, in seconds, that
    reach it."""
    found = {}
    for place, rule in enumerate(fleet.group.policies):
        whole = float(max(1, ceil(round(rule.duration / MINUTE, 6))) * MINUTE)
        if rule.duration != whole:
            found[f"group.policies[{place}].duration"] = rule.duration, whole
    return found

"""The rules of a spec as NHN Cloud's Auto Scale carries them out, by the examples of its guide."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from photo_fleet.replay.making import Replay
from photo_fleet.replay.nhn import caveats
from photo_fleet.replay.simulation import Conditions
from photo_fleet.replay.station import Station
from photo_fleet.replay.traffic import Traffic
from photo_fleet.spec.fleet import Group, Policy

STATION = Station(40, 2, 0.2)
FULL = STATION.capacity
"""Requests a second at which one instance has no processor left."""
GROUP = Group(min=1, max=20, desired=1, cloud="nhn", policies=(Policy("cpu", 90, 300, +2, 0),))


def supply(
    group: Group, loads: Sequence[float | None], every: float = 60.0, boot: float = 60.0
) -> list[int]:
    """Of these shares of one instance's processor, one a step."""
    rates = [None if one is None else one * FULL for one in loads]
    conditions = Conditions(STATION, group.min, group.max, boot)
    return list(Replay(Traffic(rates, every), conditions, None).spec(group)[0].supply)


def changes(found: Sequence[int]) -> list[tuple[int, int]]:
    """(the step from which on, by how many)."""
    return [
        (place, after - before)
        for place, (before, after) in enumerate(pairwise(found), 1)
        if after != before
    ]


def test_the_guide_s_example_of_a_missing_cooldown() -> None:
    """ "Two more after 5 minutes above 90 %, and after the 6th minute two more": the time goes on
    through a change, and nobody waits for who boots."""
    found = supply(GROUP, [20.0] * 6 + [0.5] * 6, boot=120)
    assert changes(found) == [(6, 2), (7, 2)]


def test_one_minute_below_begins_the_time_anew() -> None:
    assert changes(supply(GROUP, [20.0] * 4 + [0.5] + [20.0] * 4 + [0.5] * 3)) == []
    assert changes(supply(GROUP, [20.0] * 4 + [None] + [20.0] * 4 + [0.5] * 3)) == []


def test_it_samples_minutes_whatever_the_steps() -> None:
    """A peak of seconds is no minute."""
    peaks = ([1.0] * 20 + [0.5] * 40) * 8
    assert changes(supply(GROUP, peaks, every=1.0)) == []
    [(first, by), *_] = changes(supply(GROUP, [20.0] * 400, every=1.0))
    assert (first, by) == (300 + 59, 2)  # a step is ready at the end of the boot, 60 s after 299


def test_policies_rest_by_themselves_and_all_for_the_shorter_cooldown() -> None:
    add, remove = Policy("cpu", 90, 60, +1, 600), Policy("cpu", 30, 60, -1, 120)
    group = replace(GROUP, min=1, policies=(add, remove))
    # Full from the first minute on: the next one of the same rule after its own 10 minutes.
    assert changes(supply(group, [20.0] * 14)) == [(1, 1), (11, 1)]
    # Idle after it: the other rule rests for 2 minutes, and not for 10.
    assert changes(supply(group, [20.0] + [0.1] * 6)) == [(1, 1), (3, -1)]


def test_the_oldest_leave_while_younger_ones_boot() -> None:
    """Elsewhere those that boot are the first that nobody wants."""
    policies = (Policy("cpu", 90, 60, +1, 60), Policy("cpu", 30, 60, -1, 60))
    group = replace(GROUP, min=2, desired=2, policies=policies)
    loads = [20.0] + [0.1] * 8
    assert supply(group, loads, boot=240)[:5] == [2, 2, 1, 1, 2]
    elsewhere = replace(group, cloud="none", warm_up=0.0)
    assert min(supply(elsewhere, loads, boot=240)) == 2


@pytest.mark.parametrize("boot", [60.0, 180.0])
def test_a_boot_beyond_three_minutes_is_told(boot: float) -> None:
    found = " ".join(caveats(GROUP, boot))
    assert ("over and over" in found) is (boot == 180.0)
    assert caveats(replace(GROUP, cloud="none"), boot) == []

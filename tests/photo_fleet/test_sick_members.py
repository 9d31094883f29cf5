"""How long one that alone is sick stays a member, whatever the registry does meanwhile."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from photo_fleet.balancer.membership import Outcome, Probe, longest_sick
from photo_fleet.spec.fleet import HealthCheck
from tests.photo_fleet.membership_world import OK, REFUSED, SICK, settled

BLINKS = st.lists(st.sampled_from([0.2, 0.5, 1.0, 2.0, 7.0]), max_size=30)
"""Seconds for which the registry is there and away, in turn."""


@given(blinks=BLINKS, seen=st.sampled_from([SICK, REFUSED]))
@settings(max_examples=60, deadline=None)
def test_a_sick_member_leaves_with_the_last_of_its_failed_probes_however_the_registry_blinks(
    blinks: list[float], seen: Probe
) -> None:
    world = settled("abc")
    world.answers["b"] = seen
    before = world.witnessed["b"]
    for away, seconds in enumerate([*blinks, 40.0]):
        world.registry_away = bool(away % 2) and away < len(blinks)
        for _ in range(round(seconds / 0.1)):
            world.pass_time(0.1)
            believed = world.witnessed["b"] - before
            assert world.members == "ac" or believed < 3
    assert world.members == "ac"


@given(blinks=BLINKS)
@settings(max_examples=40, deadline=None)
def test_connections_that_are_refused_count_in_a_row_however_the_registry_blinks(
    blinks: list[float],
) -> None:
    world = settled("abc")
    world.answers["b"] = REFUSED
    sick_at = world.now
    for away, seconds in enumerate([*blinks, 40.0]):
        world.registry_away = bool(away % 2)
        for _ in range(round(seconds / 0.1)):
            world.pass_time(0.1)
            refused = [at for at in world.probed_at["b"] if at >= sick_at]
            assert world.members == ("ac" if len(refused) >= 3 else "abc")


@given(answers=st.lists(st.sampled_from([OK, SICK, REFUSED]), max_size=20), blinks=BLINKS)
@settings(max_examples=40, deadline=None)
def test_nobody_leaves_without_three_failures_in_a_row(
    answers: list[Probe], blinks: list[float]
) -> None:
    spaced = [one if number % 3 else OK for number, one in enumerate(answers)]
    world = settled("abc")
    for number, seconds in enumerate(blinks):
        world.registry_away = bool(number % 2)
        for _ in range(round(seconds / 0.1)):
            asked = len(world.probed_at["b"])
            world.answers["b"] = spaced[asked % len(spaced)] if spaced else OK
            world.pass_time(0.1)
            assert world.members == "abc"


@given(
    interval=st.sampled_from([0.5, 1.0, 10.0, 30.0]),
    timeout=st.sampled_from([0.2, 2.0, 5.0]),
    unhealthy=st.integers(1, 5),
    phase=st.floats(0, 1),
)
@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("hangs", [False, True])
def test_the_number_that_check_tells_is_the_longest_stay(
    hangs: bool, interval: float, timeout: float, unhealthy: int, phase: float
) -> None:
    check = HealthCheck(interval=interval, timeout=timeout, healthy=1, unhealthy=unhealthy)
    most = longest_sick(check, hangs=hangs)
    probe = Probe(Outcome.FAILED, "for a reason"), timeout if hangs else 0.0
    any_time, worst = (stay(check, waited, probe, most) for waited in (interval * phase, 0.0))
    looks = 0.2 * unhealthy + 0.3  # the balancer looks every 0.1 s
    assert max(any_time, worst) <= most + looks
    assert worst > most - 0.35, "just after a probe"


def stay(check: HealthCheck, waited: float, probe: tuple[Probe, float], most: float) -> float:
    """Seconds for which b stays when it falls ill so many seconds after it was probed."""
    world = settled("abc", check=check)

    def just_probed() -> bool:
        return world.probed_at["b"][-1] > world.now - 0.15

    world.pass_time(3 * check.interval, unless=just_probed)
    world.pass_time(waited)
    world.answers["b"], world.hanging["b"] = probe
    return world.pass_time(2 * most + 5, unless=lambda: "b" not in world.members)

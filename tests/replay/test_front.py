"""Rules near the spec's: which are tried, and which of them stay."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from photo_fleet.replay.front import MOST_TRIED, Tried, beats, front, neighbours, unbeaten
from photo_fleet.replay.outcome import Outcome, Run
from photo_fleet.rules.sizing import flapping
from photo_fleet.spec.fleet import Fleet, Group, Policy
from tests.fuzzing import examples
from tests.replay.runs import outcome, run, tried

SPEC = Fleet()


def came_to(hours: float, over: float) -> Tried:
    """Whatever did."""
    one = tried(None, run([2], [2]))
    return replace(one, outcome=replace(one.outcome, instance_hours=hours, minutes_over=over))


POINTS = st.tuples(st.integers(0, 20).map(float), st.integers(0, 20).map(float))


@examples(60)
@given(st.lists(POINTS, min_size=1, max_size=60))
def test_nothing_beats_what_is_in_the_front_and_something_beats_all_else(
    points: list[tuple[float, float]],
) -> None:
    every = [came_to(*point) for point in points]
    best = unbeaten(every)
    for one in best:
        assert not any(beats(other, one) for other in every)
    ends = [(one.hours, one.over) for one in best]
    assert ends == sorted(set(ends)), "each once, the cheapest first"
    for one in every:
        assert (one.hours, one.over) in ends or any(beats(other, one) for other in best)


def test_of_equals_the_spec_stays() -> None:
    first, second = came_to(10, 5), came_to(10, 5)
    (kept,) = unbeaten([first, second])
    assert kept is first


def test_neighbours_are_near_few_and_sound() -> None:
    found = neighbours(SPEC, 60)
    assert 20 <= len(found) <= MOST_TRIED
    few = [rule for rule, _ in neighbours(SPEC, 60, 22)]
    assert len(few) == 22
    assert {rule.duration for rule in few} == {60, 120, 180, 300, 360, 600, 1200}
    assert {rule.threshold for rule in few} == {20, 25, 30, 35, 40, 60, 65, 70, 75, 80}
    rules = [rule for rule, _ in found]
    assert Policy("cpu", 65, 180, +1, 300) in rules
    assert len(set(rules)) == len(rules)
    assert not set(rules) & set(SPEC.group.policies)
    for rule, fleet in found:
        assert rule in fleet.group.policies
        assert replace(fleet, group=replace(fleet.group, policies=SPEC.group.policies)) == SPEC
        assert (
            sum(a != b for a, b in zip(fleet.group.policies, SPEC.group.policies, strict=True)) == 1
        )
        assert not list(flapping(fleet))


def test_what_would_flap_is_not_tried() -> None:
    narrow = replace(
        SPEC.group, policies=(Policy("cpu", 60, 300, +1, 300), Policy("cpu", 36, 600, -1, 300))
    )
    found = neighbours(Fleet(group=narrow), 60)
    assert {rule.threshold for rule, _ in found if not rule.is_scale_out} == {26, 31, 36}
    assert {rule.threshold for rule, _ in found if rule.is_scale_out} == {55, 60, 65, 70}
    assert not any(list(flapping(fleet)) for _, fleet in found)
    # Beside one that flaps by itself there are others all the same.
    flaps = replace(
        narrow, policies=(narrow.policies[0], replace(narrow.policies[1], threshold=50))
    )
    assert neighbours(Fleet(group=flaps), 60)


def test_durations_are_steps_of_the_traffic() -> None:
    for step in (60.0, 600.0, 7200.0):
        durations = {rule.duration for rule, _ in neighbours(SPEC, step)}
        assert all(one in (300, 600) or (one % step == 0 and one > 0) for one in durations)


def test_what_cannot_matter_is_not_tried() -> None:
    assert neighbours(Fleet(group=Group(min=3, max=3)), 60) == []
    queue = (Policy("queue_age", 60, 60, 1, 60),)
    assert neighbours(Fleet(group=Group(policies=queue)), 60) == []
    assert neighbours(Fleet(group=Group(policies=())), 60) == []


def test_thresholds_of_other_metrics_are_parts() -> None:
    rules = (Policy("in_flight", 8, 120, +1, 120), Policy("cpu", 97, 300, +1, 300))
    found = [rule for rule, _ in neighbours(Fleet(group=Group(policies=rules)), 60)]
    assert {rule.threshold for rule in found if rule.metric == "in_flight"} >= {6.4, 10, 8}
    assert all(rule.threshold < 100 for rule in found if rule.metric == "cpu")


def test_many_rules_share_what_may_be_tried() -> None:
    rules = tuple(Policy("cpu", 50 + n, 300, +1, 300) for n in range(10))
    assert len(neighbours(Fleet(group=Group(policies=rules)), 60)) <= MOST_TRIED


def test_of_a_long_traffic_fewer_are_tried() -> None:
    one = run([3] * 500_000, [3] * 500_000)
    found = front(SPEC, 60, lambda _: (one, outcome(one)))
    assert len(found.others) == 2, "one for each rule"


def test_each_is_replayed_as_the_spec_is() -> None:
    seen = list[Fleet]()

    def replayed(fleet: Fleet) -> tuple[Run, Outcome]:
        seen.append(fleet)
        out, _ = fleet.group.policies
        made = run([3] * 60, [2 if out.threshold > 70 else 3] * 60)
        return made, outcome(made)

    found = front(SPEC, 60, replayed)
    assert seen[0] == SPEC
    assert seen[1:] == [fleet for _, fleet in neighbours(SPEC, 60)]
    assert found.best[-1] is found.own
    assert [(one.hours, one.over) for one in found.best] == [(2, 60), (3, 0)]

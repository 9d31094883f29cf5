"""What is said of another rule: its numbers are those of the runs, and it says no more than the
traffic tells."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_fleet.replay.words import rule_told, sentence, spells, told_of
from photo_fleet.spec.fleet import Group, Policy
from tests.fuzzing import examples
from tests.replay.runs import front_of, run, spells_of, tried

SOONER = Policy("cpu", 65, 180, +1, 300)
TEN = [10] * 10


@pytest.mark.parametrize(
    ("minutes", "told"),
    [
        (TEN, "CPU > 65 % for 3 min would have come to the same."),
        ([5] * 10, "cost 0.3 % more and halve the minutes over the objective (100 → 50)."),
        ([0] * 10, "cost 0.5 % more and leave none of the minutes over the objective (100 → 0)."),
        ([20] * 10, "cost 0.5 % less and double the minutes over the objective (100 → 200)."),
        ([30] * 10, "make the minutes over the objective three times as many (100 → 300)."),
        ([24] * 10, "make the minutes over the objective 2.4 times as many (100 → 240)."),
        ([9] * 10, "cost 0.1 % more and cut the minutes over the objective by 10 % (100 → 90)."),
        ([12] * 10, "raise the minutes over the objective by 20 % (100 → 120)."),
        ([2, 3] * 5, "cost 0.4 % more and cut the minutes over the objective to a quarter"),
        # It differs in as many spells as chance explains.
        (
            [*[10] * 5, *[9] * 5],
            "CPU > 65 % for 3 min would cost less than 0.1 % more; that 95 instead of 100 minutes"
            " were over the objective, in 10 spells, may be chance.",
        ),
        ([5, 15] * 4 + [5, 10], "that 95 instead of 100 minutes were over the objective, in 10 "),
    ],
)
def test_what_another_rule_would_have_changed(minutes: list[int], told: str) -> None:
    own, other = tried(None, spells_of(TEN)), tried(SOONER, spells_of(minutes))
    assert told in sentence(own, other)


def test_one_spell_is_no_rule() -> None:
    own, other = tried(None, spells_of([20])), tried(SOONER, spells_of([10]))
    assert sentence(own, other) == (
        "CPU > 65 % for 3 min would cost 0.6 % more; that 10 instead of 20 minutes were over the"
        " objective, in one spell, may be chance."
    )


def test_where_no_minute_is_over() -> None:
    own, cheap = tried(None, run([2] * 100, [3] * 100)), tried(SOONER, run([2] * 100, [2] * 100))
    assert sentence(own, cheap) == (
        "CPU > 65 % for 3 min would cost 33 % less and leave no minute over the objective either."
    )
    worse = tried(SOONER, spells_of(TEN))
    none = tried(None, spells_of([0] * 10))
    assert "bring 100 minutes over the objective, where there are none (0 → 100)." in (
        sentence(none, worse)
    )


def test_as_many_minutes_at_another_cost() -> None:
    demand = [4] * 20 + [2] * 80
    own = tried(None, run(demand, [3] * 100))
    other = tried(SOONER, run(demand, [3] * 20 + [2] * 80))
    assert sentence(own, other) == (
        "CPU > 65 % for 3 min would cost 27 % less and leave the minutes over the objective as they"
        " are (20)."
    )


def test_nearly_all_is_not_all() -> None:
    own, other = tried(None, spells_of([30] * 100)), tried(SOONER, spells_of([*[0] * 99, 1]))
    assert "cut the minutes over the objective by 99.9 % (3,000 → 1)." in sentence(own, other)


@examples(60)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=20),
)
def test_numbers_are_those_of_the_runs(pairs: list[tuple[int, int]]) -> None:
    own = tried(None, spells_of([one for one, _ in pairs]))
    other = tried(SOONER, spells_of([one for _, one in pairs]))
    text = sentence(own, other)
    told = text.partition(rule_told(SOONER))[2]
    if found := re.search(r"cost ([\d.]+) % (more|less)\b", told):
        change = (other.hours / own.hours - 1) * (1 if found[2] == "more" else -1)
        assert float(found[1]) == pytest.approx(100 * change, abs=0.06 if change < 0.01 else 0.51)
    before, after = sum(one for one, _ in pairs), sum(one for _, one in pairs)
    if before != after:
        numbers = re.search(r"\((\d+) → (\d+)\)", told)
        chance = re.search(r"that (\d+) instead of (\d+) minutes .* may be chance", told)
        assert (numbers is None) != (chance is None)
        if numbers:
            assert (int(numbers[1]), int(numbers[2])) == (before, after)
            better, worse = sum(b < a for a, b in pairs), sum(b > a for a, b in pairs)
            assert max(better, worse) >= 6, "fewer than six spells are told from no chance"
        if chance:
            assert (int(chance[2]), int(chance[1])) == (before, after)
    else:
        assert "chance" not in told


def test_spells_end_after_an_hour_without_any() -> None:
    quiet, busy = run([2] * 300, [2] * 300), [3] * 5
    assert spells(quiet, quiet).number == 0
    for apart, number in ((30, 1), (59, 1), (61, 2)):
        demand = [*busy, *[2] * apart, *busy, *[2] * 200]
        here = run(demand, [2] * len(demand))
        there = run(demand, [3] * len(demand))
        assert spells(here, there).number == number, apart
        assert spells(here, there).better == number
        assert spells(there, here).worse == number


def test_rules_are_told_shortly() -> None:
    assert rule_told(SOONER) == "CPU > 65 % for 3 min"
    assert rule_told(Policy("in_flight", 7.5, 0, -1, 0)) == "requests in flight < 7.5 at once"


def test_the_whole_text_of_a_short_traffic() -> None:
    demand = [*[4] * 20, *[12] * 5, *[2] * 75, *[None] * 25]
    own = run(demand, [3] * 125)
    more, fewer = run(demand, [4] * 125), run(demand, [2] * 125)
    front = front_of(own, (SOONER, more), (Policy("cpu", 75, 300, +1, 300), fewer))
    rules = (SOONER, Policy("queue_age", 60, 60, 1, 60))
    assert list(told_of(front, Group(policies=rules))) == [
        "The spec came to 6.2 instance-hours and 25 minutes over the objective; 1 of 2 rules near"
        " its own came to less of one and no more of the other.",
        "CPU > 75 % for 5 min would cost 33 % less and leave the minutes over the objective as they"
        " are (25).",
        "CPU > 65 % for 3 min would cost 33 % more; that 5 instead of 25 minutes were over the"
        " objective, in one spell, may be chance.",
        "Of other hours of a day this traffic of 2.08 h tells nothing.",
        "20 % of the time is unknown, and counts for no policy.",
        "In 5 minutes group.max (10) was too few: no rule helps there.",
        "A rule for the oldest job's age never acts here: it does not follow from traffic.",
    ]


def test_one_instance_and_no_rule() -> None:
    own = run([1] * 1440 * 7, [1] * 1440 * 7)
    assert list(told_of(front_of(own), Group(min=1, max=1, desired=1))) == [
        "No rule changes anything where group.min is group.max (1)."
    ]
    assert list(told_of(front_of(own), Group(policies=()))) == [
        "The spec has no rule that follows from traffic."
    ]
    same = front_of(own, (SOONER, own))
    assert list(told_of(same, Group())) == [
        "The spec came to 168 instance-hours and 0 minutes over the objective, as did all 1 rules"
        " near its own."
    ]


def test_a_few_of_the_nearest_on_both_sides_are_told() -> None:
    own = spells_of(TEN)
    rules = [replace(SOONER, threshold=one) for one in range(50, 90, 2)]
    runs = [spells_of([length] * 10) for length in (*range(5), 9, 11, *range(15, 28))]
    pairs = list(zip(rules, runs, strict=True))
    told = list(told_of(front_of(own, *pairs), Group()))[1:-1]
    found = [re.search(r"\(100 → (\d+)\)", one) for one in told]
    assert [one and one[1] for one in found] == ["160", "150", "110", "90", "40", "30"]
    # Where all that a side has may be chance, its nearest is told of, as such.
    chance = [(rules[0], spells_of([9] * 3 + [10] * 7)), (rules[1], spells_of([8] * 3 + [10] * 7))]
    (only,) = list(told_of(front_of(own, *chance), Group()))[1:-1]
    assert "that 97 instead of 100 minutes" in only


DAYS = ([4] * 30 + [2] * 570) * 10
USUAL = [3] * 10 + [4] * 20 + [3] * 570


def test_what_is_better_at_the_same_cost_is_told() -> None:
    own, better = run(DAYS, USUAL * 10), run(DAYS, ([4] * 30 + [3] * 560 + [2] * 10) * 10)
    told = list(told_of(front_of(own, (SOONER, better)), Group()))
    assert told[1] == (
        "CPU > 65 % for 3 min would cost the same and leave none of the minutes over the objective"
        " (100 → 0)."
    )


def test_a_cost_alone_is_told_before_what_may_be_chance() -> None:
    own, cheaper = run(DAYS, USUAL * 10), run(DAYS, ([3] * 10 + [4] * 20 + [2] * 570) * 10)
    luckier = run(DAYS, [*([3] * 9 + [4] * 21 + [3] * 565 + [2] * 5), *USUAL * 9])
    near = replace(SOONER, threshold=75)
    told = list(told_of(front_of(own, (near, luckier), (SOONER, cheaper)), Group()))
    assert told[1] == (
        "CPU > 65 % for 3 min would cost 31 % less and leave the minutes over the objective as they"
        " are (100)."
    )
    assert len(told) == 3, "and what the traffic does not tell"

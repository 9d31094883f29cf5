"""The state machine: three in a row switch, and whatever the CDN does, the fleet does not flap."""

from bisect import bisect_right
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from photo_api.delivery.cdn_state import (
    CALM,
    FIRST_STAY,
    FORGOTTEN,
    IN_A_ROW,
    LONGEST_STAY,
    MOST_SWITCHES,
    CdnState,
    judged,
)

INTERVAL = 10.0
HOUR = 3600.0


def run(results: str, state: CdnState, now: float = 0.0) -> list[CdnState]:
    """The states after results, `+` or `-`, one every 10 s from `now` on."""
    states = []
    for result in results:
        now += INTERVAL
        state = judged(state, ok=result == "+", now=now, interval=INTERVAL)
        states.append(state)
    return states


def paths(results: str, state: CdnState) -> str:
    return "".join("c" if state.path == "cdn" else "f" for state in run(results, state))


LONG_WELL = CdnState("cdn", -CALM * INTERVAL)


def test_three_in_a_row_switch_and_three_switch_back() -> None:
    assert paths("++--+--+---", LONG_WELL) == "ccccccccccf"
    assert paths("---++-++-+++-", LONG_WELL) == "ccfffffffffcc"


def test_a_second_failure_within_the_hour_is_gone_back_from_later() -> None:
    for failures in range(1, 12):
        stay = 0.0 if failures == 1 else min(FIRST_STAY * 2 ** (failures - 2), LONGEST_STAY)
        results = ("---" + "+" * (LONGEST_STAY + IN_A_ROW)) * failures
        states = run(results, LONG_WELL)
        last = max(
            number
            for number, state in enumerate(states)
            if state.path == "fallback" and state.since == state.counted_at
        )
        length = next(i for i, state in enumerate(states[last:]) if state.path == "cdn")
        assert length == max(stay, IN_A_ROW)


def test_a_cdn_that_was_well_for_an_hour_has_failed_for_the_first_time() -> None:
    for calm, back in ((CALM - 4, FIRST_STAY), (CALM, IN_A_ROW)):
        states = run("---+++" + "+" * calm + "---" + "+" * 10, LONG_WELL)
        second = states[6 + calm + 2 :]
        assert second[0].path == "fallback"
        assert next(i for i, s in enumerate(second) if s.path == "cdn") == back


def test_results_of_long_ago_are_not_in_a_row_with_todays() -> None:
    state = run("--", LONG_WELL)[-1]
    assert state.in_a_row == 2
    soon, late = (state.counted_at or 0) + 100, (state.counted_at or 0) + FORGOTTEN * INTERVAL + 1
    assert judged(state, ok=False, now=soon, interval=INTERVAL).path == "fallback"
    assert judged(state, ok=False, now=late, interval=INTERVAL).path == "cdn"


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    away = replace(LONG_WELL, path="fallback", since=1e9, stay=60.0, counted_at=1e9)
    assert away.is_due(0.0, INTERVAL)
    states = run("+" * 10, away)
    assert [state.path for state in states].index("cdn") == 6
    assert not away.is_due(1e9 + 4, INTERVAL)
    assert away.is_due(1e9 + 5, INTERVAL)


@given(st.lists(st.tuples(st.sampled_from("+-"), st.integers(1, 40)), max_size=300))
def test_whatever_comes_there_are_few_switches(spells: list[tuple[str, int]]) -> None:
    assert most_in_an_hour("".join(result * length for result, length in spells)) <= MOST_SWITCHES


def test_also_when_each_result_is_the_worst_that_it_can_be() -> None:
    """Against the path that is in use, each time."""
    state, results = LONG_WELL, ""
    for number in range(5000):
        results += "-" if state.path == "cdn" else "+"
        state = judged(state, ok=results[-1] == "+", now=10.0 * (number + 1), interval=INTERVAL)
    assert 9 <= most_in_an_hour(results) <= MOST_SWITCHES
    assert most_in_an_hour(results[1000:], run(results[:1000], LONG_WELL)[-1]) <= 4


def most_in_an_hour(results: str, state: CdnState = LONG_WELL) -> int:
    begin = state.counted_at or 0.0
    switched = [one.since for one in run(results, state, begin) if one.since == one.counted_at]
    ends = (bisect_right(switched, at + HOUR) - index for index, at in enumerate(switched))
    return max(ends, default=0)

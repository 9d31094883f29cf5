"""Why instances began, how many served, and what chance explains: by hand-made lives."""

import math
import time

import pytest

from photo_fleet.report.boots import (
    Boot,
    instance_seconds,
    sizes,
    starts,
    steps,
    time_at_sizes,
)
from photo_fleet.report.statistics import poisson_tail, robust_scores


def boot(name: str, started: float, ended: float | None = None, **more: object) -> Boot:
    """Ready at once; drained before its end unless `ending` is another."""
    known = {"ready": started + 1, "draining": None if ended is None else ended - 5, "version": "1"}
    ending = "" if ended is None else "drained"
    fields = known | {"ending": ending} | more
    return Boot(f"{name}@{started:g}", name, started=started, ended=ended, **fields)  # type: ignore[arg-type]


OLD = [boot("a", 0), boot("b", 0)]


def reasons(*boots: Boot, since: float = 1000, end: float = 100_000) -> list[str]:
    return [f"{one.boot.instance} {one.reason}" for one in starts([*OLD, *boots], since, end)]


def test_one_more_is_growth() -> None:
    assert reasons(boot("c", 2000)) == ["c growth"]


@pytest.mark.parametrize("ending", ["lost", "killed", "failed", "broken_off"])
def test_one_that_takes_the_place_of_a_dead_one_is_a_restart(ending: str) -> None:
    dead = boot("c", 500, 2000, ending=ending)
    assert reasons(dead, boot("d", 2100)) == ["d restart"]
    assert reasons(dead, boot("c", 2100)) == ["c restart"]
    assert reasons(dead, boot("d", 2100), boot("e", 2200)) == ["d restart", "e growth"]


def test_one_whose_death_is_heard_of_later_is_a_restart() -> None:
    assert reasons(boot("c", 500, 2020, ending="lost"), boot("d", 2000)) == ["d restart"]


def test_one_that_never_was_ready_is_replaced_however_it_ended() -> None:
    never = boot("c", 1500, 1900, ready=None)
    assert reasons(never, boot("d", 2000)) == ["c growth", "d restart"]


def test_the_same_again_within_two_minutes_is_a_restart() -> None:
    assert reasons(boot("c", 500, 2000), boot("c", 2060)) == ["c restart"]
    assert reasons(boot("c", 500, 2000), boot("c", 3000)) == ["c growth"], "as a local group names"


def test_a_loop_is_a_restart_each_time() -> None:
    loop = [boot("c", 2000 + 60 * n, 2050 + 60 * n, ending="failed") for n in range(5)]
    assert reasons(*loop) == ["c growth", *["c restart"] * 4]


def test_each_of_a_deploy_is_one() -> None:
    old = [boot(f"o{n}", 0, 2060 + 100 * n) for n in range(3)]
    new = [boot(f"n{n}", 2000 + 100 * n, version="2") for n in range(3)]
    found = starts([*old, *new], 1000, 100_000)
    assert [one.reason for one in found] == ["deploy"] * 3
    assert [one.instead_of and one.instead_of.instance for one in found] == ["o0", "o1", "o2"]
    assert steps([*old, *new], 1000, 100_000) == []


def test_a_deploy_in_place_is_one() -> None:
    assert reasons(boot("c", 500, 2000), boot("c", 2010, version="2")) == ["c deploy"]


def test_what_is_more_than_a_deploy_replaces_is_growth() -> None:
    old = boot("o", 0, 2100)
    new = [boot(f"n{n}", 2000 + n, version="2") for n in range(2)]
    assert [one.reason for one in starts([old, *new], 1000, 9000)] == ["deploy", "growth"]


def test_a_group_that_grows_and_shrinks() -> None:
    boots = [*OLD, boot("c", 2000), boot("d", 2030, 9005), boot("e", 5000, 9025)]
    found = steps(boots, 1000, 100_000)
    assert [(one.at, one.change) for one in found] == [(2000, 2), (5000, 1), (9000, -2)]


def test_a_lost_one_is_no_step() -> None:
    assert steps([*OLD, boot("c", 500, 2000, ending="lost", draining=None)], 1000, 9000) == []


def test_one_that_runs_jobs_only_is_none_of_the_group() -> None:
    boots = [*OLD, boot("jobs", 2000, serves=False)]
    assert steps(boots, 1000, 9000) == []
    assert sizes(boots, 1000, 9000) == [(1000, 2)]


def test_a_deploy_that_ends_the_old_one_first_is_one() -> None:
    boots = [boot("a", 0), boot("b", 0, 2000), boot("c", 2400, version="2")]
    assert [one.reason for one in starts(boots, 1000, 9000)] == ["deploy"]
    assert steps(boots, 1000, 9000) == []


def test_how_a_fleet_begins_is_no_growth() -> None:
    begin = [boot(name, 2000 + 0.1 * n) for n, name in enumerate("abc")]
    assert [(one.at, one.change) for one in steps([*begin, boot("d", 2600)], 1000, 9000)] == [
        (2600, 1)
    ]


def test_times_at_each_size() -> None:
    changes = sizes([*OLD, boot("c", 1999, 3005)], 1000, 5000)
    assert changes == [(1000, 2), (2000, 3), (3000, 2)]
    assert time_at_sizes(changes, 5000) == {2: 3000, 3: 1000}


def test_hours_are_those_within_the_time_looked_at() -> None:
    lives = [boot("a", 0), boot("b", 2000, 3000), boot("c", 0, 500), Boot("d", "d")]
    assert instance_seconds(lives, 1000, 5000) == 4000 + 1000 + 4000


@pytest.mark.parametrize("mean", [0.14, 1.0, 7.5])
def test_the_tail_of_rare_events(mean: float) -> None:
    for least in range(8):
        rest = sum(math.exp(-mean) * mean**n / math.factorial(n) for n in range(least))
        assert poisson_tail(least, mean) == pytest.approx(1 - rest)
    assert poisson_tail(0, 0) == 1
    assert poisson_tail(1, 0) == 0


def test_an_outlier_does_not_hide_itself() -> None:
    scores = robust_scores({"a": 1.0, "b": 1.1, "c": 0.9, "d": 5.0})
    assert scores["d"] > 20
    assert max(scores[name] for name in "abc") < 1
    assert robust_scores({"a": 1.0, "b": 1.0, "c": 1.01})["c"] < 1, "alike to the last digit"


def test_thousands_of_starts_are_told_in_seconds() -> None:
    many = range(4000)
    loop = [Boot(f"l{i}", "a", "v", 600.0 * i, 600.0 * i + 5, None, 600.0 * i + 300) for i in many]
    alive = [Boot(f"a{i}", f"i{i}", "v", 600.0 * i, 600.0 * i + 5) for i in many]
    began = time.process_time()
    assert {one.reason for one in starts(loop, 1.0, 1e8)} == {"restart"}
    assert {one.reason for one in starts(alive, 1.0, 1e8)} == {"growth"}
    assert time.process_time() - began < 6

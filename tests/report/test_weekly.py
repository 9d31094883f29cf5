"""A week: how the group grew, who differs, what failed when."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from photo_fleet.report import queries
from photo_fleet.report.history import Wanted
from photo_fleet.spec.fleet import Fleet
from tests.metrics.scraping import prometheus_with
from tests.report import fleets
from tests.report.asking import asked, line, troubles, verdicts
from tests.report.fleets import GROWN, OLD
from tests.report.histories import DAY, KEEP, NAMES, Life, alive, bring_in, note
from tests.report.withheld import passing_without

pytestmark = [pytest.mark.needs("prometheus", "promtool"), pytest.mark.slow]

CODES = (
    *("scaling", "oscillation", "outliers", "health-patterns", "drains", "machines"),
    "dead-jobs",
)
OF_PROMETHEUS = {"outliers", "machines", "dead-jobs"}
LIVES = [*OLD, GROWN]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, reader: str) -> Iterator[Wanted]:
    """The report of the sound fleet."""
    folder, end = tmp_path_factory.mktemp("weeks"), float(int(time.time()))
    bad = fleets.of_others(fleets.bad_week("bad", end))
    held = [fleets.week("good", end), bad, fleets.week("half", end, 0.5)]
    bring_in(held, end, folder)
    with prometheus_with(folder, "", KEEP) as server:
        yield Wanted("weekly", Fleet(), end, server.url, "good", lambda: reader, cores=1.0)


def test_all_lines_of_a_good_week_pass(wanted: Wanted, registry: str) -> None:
    gone = Life("10.0.1.14", 1.2 * DAY, 1.2 * DAY - 20, DAY, DAY - 15)
    note(registry, wanted.end, [*LIVES, gone], [(NAMES[0], 9000.0, "check_fails", "database: x")])
    report = asked(wanted)
    assert verdicts(report) == dict.fromkeys(CODES, "pass"), troubles(report)
    assert line(report, "scaling").answer.startswith("steps: 2 up, 1 down")
    up, by_hand, down = line(report, "scaling").tables[0].rows
    assert up[1] == "+1"
    assert up[2].startswith("cpu above 70 % for ")
    assert up[4] == "20 s"
    assert up[5].endswith(" min") or up[5].endswith(" s")
    assert by_hand[2] == "no rule's threshold was crossed: by hand, or by the cloud"
    assert down[1:3] == ("-1", "SIGTERM")


def test_each_line_of_a_bad_week_fails_for_its_own_reason(wanted: Wanted, registry: str) -> None:
    swings = []
    for n in range(4):
        at = 3 * DAY - 800 * n
        swings.append(Life(f"10.0.2.{n}", at, at - 400, at - 500, at - 515))
    cut = Life("10.0.1.14", 30 * DAY, 30 * DAY - 20, DAY, DAY - 15, "killed", cut=None, lines=None)
    fails = [
        (name, day * DAY + 7200.0, "check_fails", "database: no answer within 1.5 s")
        for day in range(1, 4)
        for name in NAMES
    ]
    note(registry, wanted.end, [*LIVES, *swings, cut], fails)
    report = asked(replace(wanted, job="bad"))
    assert verdicts(report) == dict.fromkeys(CODES, "fail"), troubles(report)
    for code, reasons in {
        "scaling": ("6.67 min from start to ready, of 2 min",),
        "oscillation": ("7 steps took back the one before, 7 of them in a row",),
        "outliers": (
            *("10.0.1.11:8000: CPU per request", "10.0.1.11:8000: memory 1 GiB"),
            "10.0.1.11:8000: answers that failed 4.",
        ),
        "health-patterns": ("database failed on 3 instances", "UTC on 3 days"),
        "drains": ("1 were forced (10.0.1.14)",),
        "machines": ("10.0.1.11:8000 has 3 web workers, the spec 1", "releases or more served"),
        "dead-jobs": ("3 renditions jobs are dead",),
    }.items():
        assert all(reason in line(report, code).answer for reason in reasons), line(report, code)


def test_a_stranger_in_the_same_prometheus_counts_for_nothing(
    wanted: Wanted, registry: str
) -> None:
    """Where nobody names the job, and where nobody can tell whose it is."""
    note(registry, wanted.end, LIVES)
    report = asked(replace(wanted, job=None))
    assert verdicts(report) == dict.fromkeys(CODES, "pass"), troubles(report)
    assert report.sources[0].endswith(", without the jobs bad")
    report = asked(replace(wanted, job=None, database=None))
    assert {verdicts(report)[code] for code in OF_PROMETHEUS} == {"unknown"}
    assert "in 3 jobs (bad, good, half); name this fleet's by --job" in report.sources[0]
    assert asked(replace(wanted, job=".+")) != report


def test_half_a_week_or_no_source_never_passes(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, LIVES)
    of_registry = set(CODES) - OF_PROMETHEUS
    for without, lacking in (
        (replace(wanted, job="half"), {*OF_PROMETHEUS, "scaling"}),
        (replace(wanted, prometheus=""), {*OF_PROMETHEUS, "scaling"}),
        (replace(wanted, database=None), of_registry),
        (replace(wanted, cores=None), {"scaling"}),
    ):
        report = asked(without)
        expected = {code: "unknown" if code in lacking else "pass" for code in CODES}
        assert verdicts(report) == expected, troubles(report)


def test_what_nobody_tells_is_no_good_number(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, LIVES)
    assert passing_without(wanted) <= {("outliers", "answers_each"), ("outliers", "failed_each")}


def test_one_sick_machine_is_told_from_a_sick_dependency(wanted: Wanted, registry: str) -> None:
    fails = [(NAMES[2], n * DAY + 3000 * n, "check_fails", "storage: refused") for n in range(1, 6)]
    note(registry, wanted.end, LIVES, fails)
    found = line(asked(wanted), "health-patterns")
    assert found.verdict == "fail"
    assert "5 of 5 were of 10.0.1.12 alone" in found.answer
    assert "instances in the hour" not in found.answer


def test_more_failing_checks_than_can_be_told_fail_and_say_so(
    wanted: Wanted, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = [
        (name, 3600.0 * hour, "check_fails", "storage: refused")
        for hour in range(1, 11)
        for name in NAMES
    ]
    note(registry, wanted.end, LIVES, fails)
    monkeypatch.setattr(queries, "MOST_FAILS", 20)
    report = asked(wanted)
    found = line(report, "health-patterns")
    assert found.verdict == "fail"
    assert "more than 30 times" in found.why_unknown
    assert line(report, "drains").verdict == "pass", "which has nothing to do with them"


def test_a_rollout_of_the_same_release_is_no_swing(wanted: Wanted, registry: str) -> None:
    old = [
        Life(name, 30 * DAY, 30 * DAY - 20, DAY - 100 * n, DAY - 100 * n - 15)
        for n, name in enumerate(NAMES)
    ]
    new = [alive(f"10.0.3.{n}", (DAY + 40 - 100 * n) / DAY) for n in range(3)]
    note(registry, wanted.end, [*old, *new])
    report = asked(wanted)
    assert line(report, "scaling").answer.startswith("the size did not change")
    assert line(report, "oscillation").verdict == "pass"

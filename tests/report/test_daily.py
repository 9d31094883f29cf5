"""A day: what a real Prometheus and a real registry tell of it, and what the report says."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from photo_fleet.report.history import Wanted
from photo_fleet.report.line import Report
from photo_fleet.spec.fleet import Fleet, Group
from tests.metrics.scraping import prometheus_with
from tests.report import fleets
from tests.report.asking import asked, line, troubles, verdicts
from tests.report.histories import DAY, HOUR, KEEP, NAMES, Life, alive, bring_in, note
from tests.report.withheld import passing_without

pytestmark = pytest.mark.needs("prometheus", "promtool")

LIVES = [alive(name) for name in NAMES]
ALL = dict.fromkeys(
    (
        *("health", "traffic", "restarts", "drains", "log-lines", "error-budget", "work"),
        "complaints",
    ),
    "pass",
)
OF_PROMETHEUS = {"health", "traffic", "error-budget", "work"}
OF_THE_REGISTRY = {"restarts", "drains"}
OF_BOTH = set(ALL) - OF_PROMETHEUS - OF_THE_REGISTRY
NOT_WITHOUT_REGISTRY = OF_THE_REGISTRY | OF_BOTH | {"error-budget"}
"""Without it nobody knows that the fleet is younger than the 30 days of the budget."""


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, reader: str) -> Iterator[Wanted]:
    """The report of the sound fleet, whose database is empty yet."""
    folder, end = tmp_path_factory.mktemp("days"), float(int(time.time()))
    young = fleets.day("young", end, before=0, seconds=2 * HOUR)
    held = [fleets.day("good", end), fleets.bad_day("bad", end), fleets.day("half", end, 0.5)]
    alone = replace(fleets.day("alone", end), names=NAMES[:1])
    bring_in([*held, young, alone], end, folder)
    with prometheus_with(folder, "", KEEP) as server:
        yield Wanted("daily", Fleet(), end, server.url, "good", lambda: reader)


def test_all_lines_of_a_good_day_pass(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, [*LIVES, Life("10.0.1.14", 5 * HOUR, 17980, 3 * HOUR, 10780)])
    report = asked(wanted)
    assert verdicts(report) == ALL, troubles(report)
    assert all(one.answer and not one.why_unknown and not one.todo for one in report.lines)
    assert "1 by growth" in line(report, "restarts").answer
    assert line(report, "drains").answer.startswith("1 clean")
    assert "reads answered 100 %" in line(report, "error-budget").answer
    assert all(
        len(curve.points) <= 241
        for one in report.lines
        for plot in one.plots
        for curve in plot.curves
    )


def test_each_line_of_a_bad_day_fails_for_its_own_reason(wanted: Wanted, registry: str) -> None:
    loop = [
        Life(NAMES[2], at, at - 5, ended=at - 600, ending="lost", cut=None, lines=None)
        for at in (9000, 8000, 7000, 6000)
    ]
    killed = Life("10.0.1.15", 5 * DAY, 5 * DAY - 20, 2000, 1900, "killed", cut=7, lines=3)
    endless = Life("10.0.1.16", 5 * DAY, 5 * DAY - 20, draining=4000)
    events = [
        (NAMES[0], 3000.0, "peers_unreachable", "no connection to 10.0.1.11:8000"),
        (NAMES[0], 3000.0, "cdn_failed", "503"),
    ]
    note(registry, wanted.end, [*LIVES, *loop, killed, endless], events)
    report = asked(replace(wanted, job="bad"))
    assert verdicts(report) == dict.fromkeys(ALL, "fail")
    assert all(one.todo and one.command for one in report.lines)
    for code, reasons in {
        "health": ("10.0.1.11:8000 passed its checks in 9", "10.0.1.12:8000 answered Prometheus"),
        "traffic": ("10.0.1.11:8000 had 1.79 times an equal part",),
        "restarts": ("restarts",),
        "drains": ("7 requests were cut", "1 were forced", "4 left without", "1 never ended"),
        "log-lines": ("lines lost by Prometheus", "3 lines lost by receipts"),
        "error-budget": ("reads answered: ", "reads within 250 ms: ", "writes answered: "),
        "work": ("3 more renditions jobs are dead", "a metadata job waited for"),
        "complaints": (
            "the breaker of store opened",
            "without a connection",
            "peers_unreachable",
            "cdn_failed 1 times",
        ),
    }.items():
        for reason in reasons:
            assert reason in line(report, code).answer


def test_half_a_day_never_passes(wanted: Wanted, registry: str) -> None:
    """What is known of it does not fail either."""
    note(registry, wanted.end, LIVES)
    report = asked(replace(wanted, job="half"))
    lacking = {code for code, verdict in verdicts(report).items() if verdict == "unknown"}
    assert lacking == (OF_PROMETHEUS | OF_BOTH) - {"error-budget"}, "of 9 days that is little"
    assert "less than 90%" in line(report, "health").why_unknown


def test_a_bad_day_fails_though_half_of_it_is_not_known(wanted: Wanted, registry: str) -> None:
    note(
        registry,
        wanted.end,
        [alive("10.0.1.20"), *LIVES, *(alive(f"10.0.1.{n}") for n in (21, 22))],
    )
    report = asked(replace(wanted, job="bad"))
    assert line(report, "health").verdict == "fail"
    assert "of the time that instances lived" in line(report, "health").why_unknown


def test_without_a_source_its_lines_are_unknown(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, LIVES)
    for without, lacking in (
        (replace(wanted, prometheus=""), OF_PROMETHEUS | OF_BOTH),
        (replace(wanted, prometheus="http://127.0.0.1:9"), OF_PROMETHEUS | OF_BOTH),
        (replace(wanted, job="nobody"), OF_PROMETHEUS | OF_BOTH),
        (replace(wanted, database=None), NOT_WITHOUT_REGISTRY),
        (replace(wanted, database=lambda: registry + "_not"), NOT_WITHOUT_REGISTRY),
    ):
        report = asked(without)
        expected = {code: "unknown" if code in lacking else "pass" for code in ALL}
        assert verdicts(report) == expected, troubles(report)
        assert all(bool(one.why_unknown) == (one.code in lacking) for one in report.lines)


def test_what_nobody_tells_is_no_good_number(wanted: Wanted, registry: str) -> None:
    """Only where nothing asked and nothing failed is nothing told."""
    note(registry, wanted.end, LIVES)
    assert passing_without(wanted) <= {
        ("traffic", "requests"),
        *(("complaints", name) for name in ("answers", "store_failed", "store_calls")),
        *(("complaints", name) for name in ("jobs_failed", "jobs_run")),
        *(
            ("error-budget", f"{kind} {what}")
            for kind in ("reads", "writes")
            for what in ("timed", "in time")
        ),
    }


def test_an_empty_registry_is_no_good_one(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, [])
    report = asked(wanted)
    lacking = {code for code, verdict in verdicts(report).items() if verdict == "unknown"}
    assert lacking == NOT_WITHOUT_REGISTRY
    assert "knows of no instance" in line(report, "drains").why_unknown


def test_a_day_before_the_fleet_was_there_passes_nothing(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, [alive(name, 2 / 24) for name in NAMES])
    report = asked(replace(wanted, end=wanted.end - DAY, job="nobody"))
    assert set(verdicts(report).values()) == {"unknown"}
    assert "the first began later" in line(report, "drains").why_unknown


def test_a_fleet_that_is_two_hours_old_is_judged_by_them(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, [alive(name, 2 / 24) for name in NAMES])
    report = asked(replace(wanted, job="young"))
    assert verdicts(report) == ALL, troubles(report)
    assert "the fleet began 2 h before the end" in line(report, "health").answer


def test_one_instance_alone_has_nothing_to_be_spread(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, LIVES[:1])
    spec = Fleet(group=Group(min=1, max=1, desired=1))
    report = asked(replace(wanted, job="alone", spec=spec))
    assert verdicts(report) == ALL, troubles(report)


def test_a_deploy_is_no_restart_and_what_came_later_is_not_known(
    wanted: Wanted, registry: str
) -> None:
    """Seen from six hours ago: what happened since is not in the report."""
    at = 10 * HOUR
    old = [
        Life(name, 9 * DAY, 9 * DAY - 20, at - 100 * n, at - 100 * n - 15)
        for n, name in enumerate(NAMES)
    ]
    new = [
        Life(f"10.0.2.{n}", at - 100 * n + 40, at - 100 * n + 10, version="0.2.0") for n in range(3)
    ]
    lost = Life("10.0.1.99", 3 * DAY, 3 * DAY - 20, ended=600, ending="lost", cut=None, lines=None)
    note(registry, wanted.end, [*old, *new, lost])
    now, then = asked(wanted), asked(replace(wanted, end=wanted.end - 6 * HOUR))
    for report in (now, then):
        assert "0 by growth, 3 by deploys, 0 restarts" in line(report, "restarts").answer
    assert line(now, "drains").answer.startswith("1 left without a drain")
    assert line(then, "drains").verdict == "pass"
    assert line(then, "drains").answer.startswith("3 clean, 0 forced, 0 lost")


def test_a_receipt_that_tells_nothing_passes_nothing(wanted: Wanted, registry: str) -> None:
    untold = Life("10.0.1.15", 5 * DAY, 5 * DAY - 20, 2000, 1900, "untold", cut=None, lines=None)
    none = Life("10.0.1.16", 5 * DAY, 5 * DAY - 20, 2000, 1900, "none")
    for one in (untold, none):
        note(registry, wanted.end, [*LIVES, one])
        report: Report = asked(wanted)
        assert line(report, "drains").verdict == "unknown", one.ending
        assert line(report, "log-lines").verdict == "unknown", one.ending

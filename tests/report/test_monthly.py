"""A month: sizes, machines, what they cost and what is stored."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from photo_fleet.replay import front
from photo_fleet.replay.making import Replay
from photo_fleet.report.history import History, Wanted
from photo_fleet.report.item import line_of
from photo_fleet.report.reading import read_history
from photo_fleet.report.replayed import REPLAYED
from photo_fleet.spec.fleet import Fleet, Group, Policy
from tests.metrics.scraping import prometheus_with
from tests.report import fleets
from tests.report.asking import asked, line, troubles, verdicts
from tests.report.fleets import GIB
from tests.report.histories import DAY, KEEP, NAMES, Life, alive, bring_in, note
from tests.report.withheld import passing_without

pytestmark = [pytest.mark.needs("prometheus", "promtool"), pytest.mark.slow]

CODES = (
    *("sizes", "replay", "headroom", "cpu-size", "memory-size", "cost", "idle-hours", "stored"),
    *("keys", "leaving"),
)
OF_THE_REGISTRY = {"sizes", "cost", "leaving"}
LIVES = [alive(name, 40) for name in NAMES]
LEFT = Life("10.0.1.14", 12 * DAY, 12 * DAY - 20, 10 * DAY, 10 * DAY - 15)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory, reader: str) -> Iterator[Wanted]:
    """The report of the sound fleet."""
    folder, end = tmp_path_factory.mktemp("months"), float(int(time.time()))
    idle = fleets.month("idle", end)
    idle.names = tuple(f"10.0.1.{n}" for n in range(10, 16))
    idle.grow('photo_api_cpu_seconds_total{process="web"}', 0.1)
    held = [fleets.month("good", end), fleets.bad_month("bad", end), fleets.month("half", end, 0.5)]
    bring_in([*held, idle, fleets.tides("tides", end)], end, folder)
    told = {"cores": 1.0, "memory": GIB, "price": 0.05, "budget": 200.0}
    with prometheus_with(folder, "", KEEP) as server:
        yield Wanted(
            "monthly", Fleet(), end, server.url, "good", lambda: reader, currency="USD", **told
        )


def test_all_lines_of_a_good_month_pass(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, [*LIVES, LEFT])
    report = asked(wanted)
    assert verdicts(report) == dict.fromkeys(CODES, "pass"), troubles(report)
    assert line(report, "sizes").answer == "3 to 4 instances, usually 3"
    # 3 × 30 days, and two days of the one that came and left.
    assert line(report, "cost").answer == "2208 instance-hours × 0.05 USD = 110.40 USD"
    assert "without one at most 68 % each, below the 70 %" in line(report, "headroom").answer
    assert line(report, "cpu-size").tables[0].rows[0] == (
        *("10.0.1.10:8000", "45 %", "45 %"), "45 %",
    )  # fmt: skip
    assert line(report, "memory-size").answer == "at most 410 MiB an instance, of 1 GiB"
    assert line(report, "idle-hours").answer.startswith("72k requests an instance-hour; 0 of 2160")
    assert line(report, "keys").answer == "jwt 90 days, secret 90 days"


def test_each_line_of_a_bad_month_fails_for_its_own_reason(wanted: Wanted, registry: str) -> None:
    killed = replace(LEFT, ending="killed", cut=4)
    note(registry, wanted.end, [*LIVES, killed])
    spec = Fleet(group=Group(min=2, max=3))
    report = asked(replace(wanted, job="bad", budget=100.0, spec=spec))
    expected = dict.fromkeys(CODES, "fail") | {"idle-hours": "pass"}  # it has too few
    assert verdicts(report) == expected, troubles(report)
    for code, reason in {
        "sizes": "of the time at group.max 3",
        "replay": "100.0% of the time over 250 ms",
        "headroom": "142 % of each of the others at the busiest",
        "cpu-size": "10.0.1.10:8000: up to 95 % of its cores",
        "memory-size": "10.0.1.12:8000: 973 MiB of 1 GiB",
        "cost": "110.40 USD, of 100.00",
        "stored": "are due to be deleted, and become more",
        "keys": "the jwt key is 500 days old, of 400",
        "leaving": "4 requests were cut",
    }.items():
        assert reason in line(report, code).answer, line(report, code)


def test_six_instances_for_the_load_of_one_are_too_many(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, [*(alive(f"10.0.1.{n}", 40) for n in range(10, 16)), LEFT])
    report = asked(replace(wanted, job="idle", cores=4.0))
    assert "of 4320 hours were not needed" in line(report, "idle-hours").answer
    assert line(report, "idle-hours").verdict == "fail"
    assert "half would do" in line(report, "cpu-size").answer


def test_too_few_instances_are_told(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, [LIVES[0], replace(LEFT, ended=8 * DAY, draining=8 * DAY + 15)])
    found = line(asked(wanted), "sizes")
    assert found.verdict == "fail"
    assert "of the time below group.min 2" in found.answer


def test_half_a_month_or_no_source_never_passes(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, [*LIVES, LEFT])
    of_prometheus = set(CODES) - OF_THE_REGISTRY
    of_cores = {"replay", "headroom", "cpu-size", "idle-hours"}
    for without, lacking in (
        (replace(wanted, job="half"), of_prometheus),
        (replace(wanted, prometheus=""), of_prometheus),
        (replace(wanted, database=None), OF_THE_REGISTRY),
        (replace(wanted, cores=None, memory=None), {*of_cores, "memory-size"}),
        (replace(wanted, price=None), {"cost"}),
    ):
        report = asked(without)
        expected = {code: "unknown" if code in lacking else "pass" for code in CODES}
        assert verdicts(report) == expected, troubles(report)


def test_what_nobody_tells_is_no_good_number(
    wanted: Wanted, registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "MOST_TRIED", 1)  # of many histories each is replayed
    monkeypatch.setattr(Replay, "rivals", lambda _: iter(()))
    note(registry, wanted.end, [*LIVES, LEFT])
    assert passing_without(wanted) <= {("keys", "certificate"), ("idle-hours", "requests")}


def test_a_month_in_which_nobody_left_proves_no_drain(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, LIVES)
    found = line(asked(wanted), "leaving")
    assert (found.verdict, found.why_unknown) == (
        "unknown",
        "no instance left: end one, and look at its drain",
    )


WASTEFUL = (Policy("cpu", 45, 300, +1, 300), Policy("cpu", 10, 600, -1, 300))


def tides(wanted: Wanted, registry: str, *policies: Policy) -> History:
    """A month whose days are alike, under these rules, or the usual ones."""
    note(registry, wanted.end, [*LIVES, LEFT])
    spec = Fleet(group=Group(policies=policies)) if policies else Fleet()
    asked_for = replace(wanted, job="tides", spec=spec)
    return asyncio.run(read_history(asked_for, lambda _: None))


def test_the_month_s_own_traffic_is_replayed(wanted: Wanted, registry: str) -> None:
    history = tides(wanted, registry)
    # By the minutes that its scrapes allow, as it was asked for, without what nobody has counted.
    assert history.traffic.every == 600
    assert len(history.traffic.rates) == 30 * 144
    assert history.traffic.unknown <= 1
    assert history.traffic.peak == pytest.approx(180, rel=0.01)
    found = line_of(REPLAYED, history)
    assert found.verdict == "pass", found
    assert "where a worker serves 66.7/s and a new instance is ready after 2 min" in found.answer
    policies = [row[0] for row in found.tables[0].rows]
    assert policies[:2] == ["spec", "static-4"]
    assert float(found.tables[0].rows[1][3]) == pytest.approx(144, abs=0.1)
    needed, ready = found.plots[0].curves
    assert {value for _, value in needed.points} <= {2.0, 3.0, 4.0}
    assert 30 < len(ready.points) <= 240
    assert history.start <= ready.points[0][0] <= ready.points[-1][0] <= history.end


def test_a_rule_that_clearly_costs_too_much_fails(wanted: Wanted, registry: str) -> None:
    found = line_of(REPLAYED, tides(wanted, registry, *WASTEFUL))
    assert found.verdict == "fail"
    assert found.answer.startswith("CPU > 55 % for 5 min would cost ")
    assert " % less and leave no minute over the objective either; by a model, " in found.answer
    assert found.todo


def test_of_less_than_the_month_nothing_is_told(wanted: Wanted, registry: str) -> None:
    history = tides(wanted, registry, *WASTEFUL)
    rates = list(history.traffic.rates)
    rates[:500] = [None] * 500
    partly = replace(history, counted=replace(history.traffic, rates=rates))
    slow = replace(wanted, job="tides", cores=0.05)
    for lacking, reason in (
        (partly, "Prometheus tells the requests of 88.4% of the time, not of 90%"),
        (replace(history, counted=None, counted_problem="no answer within 3 s"), "no answer"),
        (replace(history, wanted=slow), "of the requests that wait for nobody take longer"),
    ):
        found = line_of(REPLAYED, lacking)
        assert (found.verdict, found.answer, found.tables) == ("unknown", "", ())
        assert reason in found.why_unknown


def test_a_fleet_of_this_minute_has_no_traffic_yet(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, [alive("10.0.1.10", 20 / DAY, takes=5)])
    found = line(asked(replace(wanted, job="tides")), "replay")
    assert found.verdict == "unknown"
    assert "the fleet is younger than 10 min" in found.why_unknown

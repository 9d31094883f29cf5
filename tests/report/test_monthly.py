"""A month: sizes, machines, what they cost and what is stored."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from photo_fleet.report.history import Wanted
from photo_fleet.spec.fleet import Fleet, Group
from tests.metrics.scraping import prometheus_with
from tests.report import fleets
from tests.report.asking import asked, line, troubles, verdicts
from tests.report.fleets import GIB
from tests.report.histories import DAY, KEEP, NAMES, Life, alive, bring_in, note
from tests.report.withheld import passing_without

pytestmark = [pytest.mark.needs("prometheus", "promtool"), pytest.mark.slow]

CODES = (
    *("sizes", "headroom", "cpu-size", "memory-size", "cost", "idle-hours", "stored", "keys"),
    "leaving",
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
    bring_in([*held, idle], end, folder)
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
    assert line(report, "idle-hours").answer.startswith("7.2k requests an instance-hour; 0 of 2160")
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
    of_cores = {"headroom", "cpu-size", "idle-hours"}
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


def test_what_nobody_tells_is_no_good_number(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, [*LIVES, LEFT])
    assert passing_without(wanted) <= {("keys", "certificate"), ("idle-hours", "requests")}


def test_a_month_in_which_nobody_left_proves_no_drain(wanted: Wanted, registry: str) -> None:
    note(registry, wanted.end, LIVES)
    found = line(asked(wanted), "leaving")
    assert (found.verdict, found.why_unknown) == (
        "unknown",
        "no instance left: end one, and look at its drain",
    )

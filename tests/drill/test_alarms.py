"""The backtest of alerts: what should have fired is held against what did."""

import json
from dataclasses import replace

import pytest
from rich.console import Console

from photo_fleet.drill.alarms import EXPECTED, watched
from photo_fleet.drill.gates import Gate
from photo_fleet.drill.records import Fired
from photo_fleet.drill.report.html_page import page
from photo_fleet.drill.report.json_body import dumps
from photo_fleet.drill.report.text_tables import summary
from photo_fleet.drill.scenarios import SCENARIOS
from photo_fleet.drill.verdict import Drill, Judged, judge
from photo_fleet.render.alert import NOMINAL
from photo_fleet.render.alerts import alerts
from photo_fleet.spec.fleet import Fleet
from tests.drill.handmade import BEGAN, quiet_run

LOST = Fired("InstanceLost", "ticket", BEGAN + 25.04)
DOWN = Fired("TargetDown", "ticket", BEGAN + 6)


def judged(scenario: str, *fired: Fired) -> Judged:
    [found] = [item for item in SCENARIOS if item.name == scenario]
    record = quiet_run(scenario=scenario, alerts=fired)
    return Judged(found, record, judge(record, found.gate))


def drill(*items: Judged) -> Drill:
    return Drill("2026-01-01T00:00:00+00:00", "photo-fleet drill --watch", "0", "2 cores", items)


def test_what_fired_is_told_by_its_first_time_after_the_fault() -> None:
    found = judged("kill-instance", LOST, DOWN, replace(LOST, at=BEGAN + 29)).watched
    assert found is not None
    assert found.after == {"TargetDown": 6.0, "InstanceLost": 25.0}
    assert found.holds, "the other tells of a consequence"


@pytest.mark.parametrize(
    ("scenario", "fired", "missed", "false"),
    [
        ("kill-instance", (DOWN,), ("InstanceLost",), ()),
        ("steady", (), (), ()),
        ("steady", (DOWN,), (), ("TargetDown",)),
        ("health-only", (DOWN,), (), ("TargetDown",)),
        ("kill-worker", (DOWN,), (), ()),
    ],
)
def test_what_is_missing_and_what_tells_of_nothing(
    scenario: str, fired: tuple[Fired, ...], missed: tuple[str, ...], false: tuple[str, ...]
) -> None:
    item = judged(scenario, *fired)
    assert item.watched is not None
    assert (item.watched.missed, item.watched.false) == (missed, false)
    assert drill(item).holds is item.told is (not missed and not false)


def test_a_drill_that_nobody_watched_says_nothing_of_alerts() -> None:
    record = quiet_run()
    assert watched(record, Gate.LOSSLESS) is None
    item = Judged(SCENARIOS[0], record, judge(record, Gate.LOSSLESS))
    assert item.told
    assert "Alerts" not in _text(drill(item))
    assert json.loads(dumps(drill(item)))["scenarios"][0]["alerts"] is None


def test_reports_name_them() -> None:
    told = drill(judged("kill-instance", DOWN), judged("steady", LOST), judged("scale-in"))
    text = _text(told)
    assert "kill-instance: TargetDown 6; missed: InstanceLost" in text
    assert "steady: InstanceLost 25; for nothing: InstanceLost" in text
    assert "scale-in: none" in text
    assert "windows 20 × shorter" in text
    assert "alerts are missing or false in 2 of 3 scenarios" in text
    shown = page(told)
    assert "windows 20 × shorter; for nothing: InstanceLost" in shown
    assert "missed" in shown
    [first, *_] = json.loads(dumps(told))["scenarios"]
    assert first["alerts"] == {
        "shortened": 20.0,
        "after": {"TargetDown": 6.0},
        "missed": ["InstanceLost"],
        "false": [],
    }


def test_scenarios_and_alerts_that_are_expected_exist() -> None:
    gates = {item.name: item.gate for item in SCENARIOS}
    names = {alert.name for alert in alerts(Fleet(), NOMINAL)}
    for scenario, expected in EXPECTED.items():
        of_users = not scenario.startswith("sinks-")
        assert not of_users or gates[scenario] not in (Gate.LOSSLESS, Gate.COMPARISON), scenario
        assert set(expected) <= names, scenario


def _text(told: Drill) -> str:
    console = Console(width=200, record=True, highlight=False)
    console.print(summary(told))
    return console.export_text()

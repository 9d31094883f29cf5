"""The rendered rules, held by promtool and amtool: each alert fires when it should, and no other
then; it leads to its section of the operator's guide."""

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from photo_api.metrics.declared import FLEET_DRAIN, METRICS, REQUEST_EDGES
from photo_fleet.balancer import metrics as of_balancer
from photo_fleet.render import prometheus
from photo_fleet.render.alert import GUIDE, Windows
from photo_fleet.render.alerts import DRAIN_EDGES, METRIC, alerts, rules
from photo_fleet.render.burn_rates import EDGES
from photo_fleet.spec.fleet import Balancer, Fleet, Metrics, Objectives, Tls
from tests.photo_fleet.alert_cases import HEALTHY, HOUR, OBJECTIVES, OF_FLEET, Case, Series, packed
from tests.photo_fleet.golden_files import assert_golden
from tests.test_operations_docs import anchors

ROOT = Path(__file__).parent.parent.parent
FLEET = Fleet(
    metrics=Metrics(discovery="http://10.0.0.5:9099", alertmanager="http://10.0.0.9:9093"),
    balancer=Balancer(tls=Tls("/etc/ssl/photos.pem", "/etc/ssl/photos.key")),
)
PUSHED = Fleet(metrics=Metrics(pushgateway="http://10.0.0.9:9091"))
CLOUD = Fleet(balancer=Balancer(kind="cloud"), objectives=Objectives(oldest_key=0))
FIRING = (
    'group by (alertname, severity, window, metric) (ALERTS{alertstate="firing",severity!="none"})'
)
TOLD_BY_OTHERS = {
    "photo_api_cdn_fallback",
    "photo_fleet_desired_instances",
    "photo_fleet_members",
}
"""The first is missing where there is no CDN; where the last is, ready instances count alone, and
the target is watched."""


def run(*command: str) -> None:
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def _rendered(folder: Path, fleet: Fleet) -> Path:
    for name, text in prometheus.files(fleet).items():
        (folder / name).write_text(text)
    return folder


def test_they_are_rendered_with_what_refers_to_them() -> None:
    assert_golden("prometheus", prometheus.files(FLEET))


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("fleet", [FLEET, PUSHED, CLOUD])
def test_promtool_takes_them(fleet: Fleet, tmp_path: Path) -> None:
    run("promtool", "check", "rules", str(_rendered(tmp_path, fleet) / "rules.yml"))
    (tmp_path / "rules.yml").write_text(rules(fleet, Windows(60)))
    run("promtool", "check", "rules", str(tmp_path / "rules.yml"))


@pytest.mark.needs("amtool")
def test_amtool_takes_the_example_and_routes_by_severity(tmp_path: Path) -> None:
    file = str(_rendered(tmp_path, FLEET) / "alertmanager.yml")
    run("amtool", "check-config", file)
    for labels, receiver in (
        (("severity=page", "alertname=NoReadyInstance"), "pages"),
        (("severity=ticket", "alertname=DeadJobs"), "tickets"),
        (("severity=none", "alertname=Watchdog"), "watchdog"),
    ):
        test = ("config", "routes", "test", f"--config.file={file}")
        run("amtool", *test, f"--verify.receivers={receiver}", *labels)


def _test(case: Case) -> dict[str, object]:
    series: Series = {**HEALTHY, **case.series}
    expected = []
    for name in case.fires:
        alert, severity, *more = name.split()
        labels = {"alertname": alert, "severity": severity}
        labels |= {"metric" if alert == "MetricMissing" else "window": one for one in more}
        told = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        expected.append({"labels": f"{{{told}}}", "value": 1})
    return {
        "name": case.title,
        "interval": "1m",
        "input_series": [
            {"series": name, "values": values} for name, values in series.items() if values
        ],
        "promql_expr_test": [
            {"expr": FIRING, "eval_time": f"{case.minute}m", "exp_samples": expected}
        ],
    }


def _run_cases(
    folder: Path,
    cases: Sequence[Case],
    fleet: Fleet = FLEET,
    every: str = "2m",
    group: str = "fleet",
) -> None:
    """With one group of the rules alone: those of objectives cost far more than all others."""
    _, *groups = rules(fleet, Windows()).split("- name: photo-api-")
    (text,) = (text for text in groups if text.startswith(group))
    (folder / "rules.yml").write_text(f"groups:\n- name: {text}")
    body = {"rule_files": ["rules.yml"], "evaluation_interval": every}
    (folder / "cases.yml").write_text(json.dumps({**body, "tests": [_test(one) for one in cases]}))
    run("promtool", "test", "rules", str(folder / "cases.yml"))


@pytest.mark.needs("promtool")
def test_each_fires_when_it_should_and_no_other_then(tmp_path: Path) -> None:
    _run_cases(tmp_path, packed(OF_FLEET))


@pytest.mark.needs("promtool")
def test_budgets_that_are_spent_too_fast_are_told_in_their_windows(tmp_path: Path) -> None:
    cases = [replace(case, minute=HOUR) for case in OBJECTIVES]
    _run_cases(tmp_path, cases, every="5m", group="objectives")


@pytest.mark.needs("promtool")
def test_a_metric_that_is_missing_is_told_of(tmp_path: Path) -> None:
    """Every metric that a rule goes by, by name or by the alert that is for it."""
    named = {
        name for alert in alerts(FLEET, Windows()) for name in METRIC.findall(alert.expression)
    }
    assert {"photo_api_ready", "photo_api_check_ok", "http_requests_total"} <= named
    otherwise = {
        "photo_api_ready": "InstancesUnseen page",
        "photo_fleet_certificate_expires_timestamp_seconds": "AgeUnknown ticket",
        "photo_api_key_made_timestamp_seconds": "AgeUnknown ticket",
    }
    of_fleet = {name for name in named if name.startswith("photo_api_fleet_")}
    told = {name: otherwise.get(name, f"MetricMissing ticket {name}") for name in named - of_fleet}
    told |= dict.fromkeys(of_fleet, "FleetNumbersOld ticket")
    left_out = {name for name in HEALTHY if name.startswith(tuple(told))}
    expected = frozenset(told[name] for name in told if name not in TOLD_BY_OTHERS)
    _run_cases(tmp_path, [Case("nothing but targets", dict.fromkeys(left_out), expected)])


@pytest.mark.needs("promtool")
def test_what_is_pushed_is_watched_too(tmp_path: Path) -> None:
    gone = {name: None for name in HEALTHY if name.startswith(("up{", "photo_fleet_"))}
    recent = {f'push_time_seconds{{job="photo-api",instance="{one}"}}': "0+60x300" for one in "ab"}
    late = recent | {'push_time_seconds{job="photo-api",instance="b"}': "0+60x80 4800x300"}
    gateway = {'up{job="pushgateway",instance="10.0.0.9:9091"}': "1x300"}
    cases = [
        Case("all push", {**gone, **gateway, **recent}),
        Case("one does not", {**gone, **gateway, **late}, frozenset({"TargetDown ticket"})),
    ]
    _run_cases(tmp_path, cases, PUSHED)


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    seen = {name.split()[0] for case in OBJECTIVES + OF_FLEET for name in case.fires}
    assert seen | {"Watchdog", "MetricMissing"} == {one.name for one in alerts(FLEET, Windows())}


@pytest.mark.parametrize("file", GUIDE.values())
def test_every_alert_names_a_section_of_the_guide_that_names_it(file: str) -> None:
    text = (ROOT / file).read_text()
    for alert in alerts(FLEET, Windows()):
        assert alert.section in anchors(ROOT / file), alert.name
        assert re.search(rf"^### .*\b{alert.name}\b", text, re.M), alert.name
        assert alert.summary
        assert alert.remedy


def test_every_metric_of_a_rule_is_declared() -> None:
    known = METRICS.keys() | {of_balancer.MEMBERS, of_balancer.EXPIRES} | TOLD_BY_OTHERS
    for name in METRIC.findall(rules(FLEET, Windows())):
        assert re.sub("_(bucket|count)$", "", name) in known, name


def test_bounds_of_objectives_are_edges_of_the_histogram() -> None:
    assert {float(one) for one in EDGES.values()} <= set(REQUEST_EDGES)
    assert all(repr(float(one)) == one for one in EDGES.values()), "as they are written down"


def test_drains_are_told_by_edges_of_their_histogram() -> None:
    assert set(DRAIN_EDGES) <= set(FLEET_DRAIN.edges)
    assert 'le="45.0"' in rules(FLEET, Windows())
    slow = replace(FLEET, drain=replace(FLEET.drain, lame_duck=105))
    assert "drain_seconds_bucket" not in rules(slow, Windows()), "there is no edge beyond it"


def test_windows_are_shortened_and_thresholds_are_not() -> None:
    short = rules(FLEET, Windows(60))
    assert "increase(photo_api_log_lines_lost_total[10s])" in short
    assert "> 120" in short
    assert Windows(60)(300) == "5s"
    assert Windows(7)(60) == "8571ms"
    assert [Windows()(seconds) for seconds in (300, 3600, 86400)] == ["5m", "1h", "1d"]


def test_a_spec_of_its_own_has_rules_of_its_own() -> None:
    spec = replace(FLEET.objectives, reads=99.0, read_within="1s", least_missed=50, oldest_key=0)
    text = rules(replace(FLEET, objectives=spec), Windows())
    assert "> 0.144\n" in text
    assert '{objective="reads"} >= 50' in text
    assert 'method=~"GET|HEAD",le="1.0"' in text
    assert "KeyOld" not in text

"""`photo-fleet replay`: what it takes, what it tells, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.cli import main
from tests.photo_fleet.test_dashboard_reading import answer, answering

ALL = ["spec", "static-4", "step", "target-tracking", "hpa", "kpa", "predictive"]


@pytest.fixture
def hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An hour with a rush in it; there is no spec beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hour.txt").write_text("10\n" * 20 + "80\n" * 20 + "10\n" * 20)
    return "hour.txt"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert main(["replay", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    try:
        code: object = main(["replay", *words])
    except SystemExit as end:
        code = end.code
    assert code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err.splitlines()[-1]


def test_json_has_all_policies_and_what_was_assumed(
    hour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = told(capsys, hour, "--price", "0.5")
    assert [one["name"] for one in found["policies"]] == ALL
    assert (found["minutes"], found["every_s"], found["unknown_steps"]) == (60, 60, 0)
    assert (found["peak"], found["service_rate"], found["workers"]) == (640, 40, 2)
    assert (found["objective_s"], found["boot_s"], found["min"], found["max"]) == (0.2, 120, 2, 10)
    static = found["policies"][1]
    assert set(static) >= {"theta_under", "theta_over", "tau_under", "tau_over", "minutes_over"}
    assert static["cost"] == pytest.approx(static["instance_hours"] / 2)
    assert static["minutes_over"] == 20
    assert static["worst"] == {"step": 20, "late": 1.0}


def test_the_spec_says_what_no_argument_says(hour: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("fleet.toml").write_text(
        '[service]\nworkers = 4\n[objectives]\nread_within = "500ms"\n[group]\nmin = 2\nmax = 3\n'
    )
    found = told(capsys, hour)
    assert (found["workers"], found["objective_s"], found["min"], found["max"]) == (4, 0.5, 2, 3)
    assert [one["name"] for one in found["policies"]] == ALL
    found = told(capsys, hour, "--workers", "1", "--objective", "1s", "--boot", "0s")
    assert (found["workers"], found["objective_s"], found["boot_s"]) == (1, 1, 0)


def test_a_traffic_may_stay_as_it_was_measured(
    hour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, hour, "--peak", "measured", "--every", "1s")["peak"] == 80
    assert told(capsys, hour, "--peak", "12.5")["peak"] == pytest.approx(12.5)
    assert told(capsys, "--shape", "ramp")["minutes"] == 720


def test_text_tells_each_policy_and_what_is_not_known(
    hour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(hour).write_text("10\n-\n20\n30\n" * 30)
    assert main(["replay", hour]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ALL)
    assert "25 % of the time is unknown" in shown
    assert "2 workers of 40/s" in shown


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("none.txt", "none.txt: No such file or directory"),
        (".", "Is a directory"),
        ("", "one of the arguments FILE --shape --prometheus --data is required"),
        ("hour.txt --shape ramp", "not allowed with"),
        ("--shape flood", "invalid choice"),
        ("hour.txt --every 0s", "must be between"),
        ("hour.txt --peak -1", "is no number from"),
        ("hour.txt --peak nan", "is no number from"),
        ("hour.txt --service-rate 0", "is no number from"),
        ("hour.txt --workers 0", "is no whole number"),
        ("hour.txt --objective 10ms", "raise the objective or the service rate"),
        ("hour.txt --peak 1e6", "lower the peak or raise the service rate"),
        ("--prometheus http://127.0.0.1:1 --every 1500ms", "whole seconds"),
        ("--prometheus http://127.0.0.1:1", "photo-fleet replay: Prometheus: it cannot be reached"),
        ("hour.txt --since 1d", "--since: only with --prometheus or --data"),
        ("--shape ramp --since 1d --job a", "--since, --job: only with --prometheus or --data"),
        ("--data .", "photo-fleet up"),
    ],
)
def test_what_cannot_be_is_refused_and_says_why(
    hour: str, words: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why in refused(capsys, *words.split())


def test_an_odd_line_is_told_with_its_file(hour: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(hour).write_text("1\nNaN\n")
    said = refused(capsys, hour)
    assert said.startswith("photo-fleet replay: hour.txt: line 2: 'NaN' is no number: write the")


def test_no_login_of_a_prometheus_is_told(hour: str, capsys: pytest.CaptureFixture[str]) -> None:
    def some(asked: dict[str, str]) -> tuple[int, bytes]:
        end, step = float(asked.get("end") or asked["time"]), 60 if "end" in asked else 15
        return answer([{"metric": {}, "values": [[end - step, "1"], [end, "2"]]}])

    with answering(some) as url:
        named = url.replace("://", "://me:geheim@")
        found = told(capsys, "--prometheus", named, "--since", "10m")
    assert found["source"] == url
    assert (found["minutes"], found["unknown_steps"], found["peak"]) == (10, 8, 2)

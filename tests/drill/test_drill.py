"""The drill's command: what it offers, and three minutes of it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from photo_api.contract import RELEASE, UPGRADES_FROM
from photo_fleet.cli import main

DRILL = [sys.executable, "-m", "photo_fleet.cli", "drill"]


def drill(*arguments: str, seconds: float = 30) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*DRILL, *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_the_list_names_the_scenarios_and_runs_none() -> None:
    done = drill("--list")
    assert done.returncode == 0, done.stderr
    assert {"scale-in", "kill-instance", "database-restart"} <= {
        line.split()[0] for line in done.stdout.splitlines() if line
    }


def test_the_list_is_there_for_machines_too() -> None:
    told = json.loads(drill("--list", "--json").stdout)["scenarios"]
    (resize,) = [item for item in told if item["name"] == "resize"]
    assert (resize["gate"], resize["core"], resize["target"]) == ("lossless", True, False)
    assert resize["faults"][0] == {"at": 5, "fault": "scale", "to": 10}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "no-such-thing"], "the scenarios here are"),
        (["--short", "--all"], "not allowed with"),
        (["--rate", "0"], "from 0.1 to 1000"),
        (["--only", "steady", "--from", "/"], "--from is for the scenario `upgrade`"),
        (["--mix", "dance=1"], "is no act; there are list_photos, "),
        (["--mix", "upload=often"], "is no weight"),
        (["--mix", "upload=0"], "above 0"),
        (["--short", "--html", "/no/such/folder/page.html"], "its folder is not there"),
        (["--short", "--keep", "/etc"], "not an empty folder"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_started(arguments: list[str], told: str) -> None:
    done = drill(*arguments)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


def test_what_is_no_release_before_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not once a stage stands on another release than one would believe."""
    told = ["drill", "--only", "upgrade", "--from"]
    assert main([*told, str(tmp_path)]) == 2
    assert f"--from: {tmp_path} is no release: it has neither" in capsys.readouterr().err
    package = tmp_path / "src" / "photo_api"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").touch()
    for contract, why in (
        ("raise SystemExit('torn')", "is no release that can be asked; it says torn"),
        (f"RELEASE = {RELEASE!r}", f"holds '{RELEASE}', and no deploy leads from that"),
        ("RELEASE = '0.0.1'", f"name the folder of {' or '.join(UPGRADES_FROM)}"),
    ):
        (package / "contract.py").write_text(contract)
        assert main([*told, str(tmp_path)]) == 2
        assert why in capsys.readouterr().err


def test_a_drill_is_not_watched_without_prometheus_or_from_outside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drill", "--watch", "--target", "http://127.0.0.1:9"]) == 2
    assert "not staged" in capsys.readouterr().err
    monkeypatch.setattr("photo_fleet.commands.drill.find_program", lambda _: None)
    assert main(["drill", "--watch", "--short"]) == 2
    assert "apt-get install" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--short"], ["--self-test"]])
def test_without_nginx_nothing_is_started_and_it_says_what_to_install(
    more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("photo_fleet.local_fleet.nginx.find_program", lambda _: None)
    assert main(["drill", *more]) == 2
    assert "apt-get install nginx" in capsys.readouterr().err


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_an_interrupted_drill_reports_what_it_has_done_and_leaves_nothing(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [*DRILL, "--only", "steady,hang-up", "--json", "--keep", str(tmp_path / "kept")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stderr is not None
        for line in running.stderr:
            if "hang-up clients=20" in line:
                break
        running.send_signal(signal.SIGINT)
        printed, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 1, said
    told = json.loads(printed)
    assert [item["name"] for item in told["scenarios"]] == ["steady"]
    assert told["unfinished"] == ["hang-up, and what would come after it: interrupted"]
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, check=False)
    assert left.stdout == b""


@pytest.mark.needs("nginx", "prometheus")
@pytest.mark.slow
@pytest.mark.timeout(540)
def test_three_minutes_of_drill_hold_all_gates_and_raise_the_alerts_that_they_should(
    tmp_path: Path,
) -> None:
    page = tmp_path / "drill.html"
    done = drill("--short", "--watch", "--json", "--html", str(page), seconds=520)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr}"
    told = json.loads(done.stdout)
    assert told["holds"]
    held = {item["name"]: item["holds"] for item in told["scenarios"]}
    assert held == {"scale-in": True, "kill-instance": True, "database-restart": True}
    assert all(item["requests"] > 200 for item in told["scenarios"])
    alerts = {item["name"]: item["alerts"] for item in told["scenarios"]}
    assert alerts["scale-in"]["after"] == {}, "nothing went wrong"
    assert "InstanceLost" in alerts["kill-instance"]["after"]
    assert page.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.needs("nginx")
@pytest.mark.long
@pytest.mark.timeout(540)
def test_a_cdn_that_fails_is_left_and_gone_back_to_under_load() -> None:
    done = drill("--only", "cdn-down", "--json", seconds=520)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr}"
    [told] = json.loads(done.stdout)["scenarios"]
    assert (told["name"], told["holds"]) == ("cdn-down", True)
    assert told["requests"] > 200

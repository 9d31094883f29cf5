"""The drill's command: what it offers, and three minutes of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def drill(*arguments: str, seconds: float = 30) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "photo_fleet.cli", "drill", *arguments],
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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "no-such-thing"], "the scenarios here are"),
        (["--short", "--all"], "not allowed with"),
        (["--rate", "0"], "between 0.1 and 1000"),
        (["--mix", "dance=1"], "is no act; there are list_photos, "),
        (["--mix", "upload=often"], "is no weight"),
        (["--mix", "upload=0"], "above 0"),
        (["--short", "--html", "/no/such/folder/page.html"], "choose another --html"),
        (["--short", "--keep", "/etc"], "not an empty folder"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_started(arguments: list[str], told: str) -> None:
    done = drill(*arguments)
    assert (done.returncode, told in done.stderr) == (2, True), done.stderr


@pytest.mark.needs("nginx")
@pytest.mark.slow
@pytest.mark.timeout(420)
def test_three_minutes_of_drill_hold_all_gates(tmp_path: Path) -> None:
    page = tmp_path / "drill.html"
    done = drill("--short", "--json", "--html", str(page), seconds=400)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr}"
    told = json.loads(done.stdout)
    assert told["holds"]
    held = {item["name"]: item["holds"] for item in told["scenarios"]}
    assert held == {"scale-in": True, "kill-instance": True, "database-restart": True}
    assert all(item["requests"] > 200 for item in told["scenarios"])
    assert page.read_text().startswith("<!DOCTYPE html>")

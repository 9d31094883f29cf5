"""Faults that are done to a real fleet are found, by the right code.

`UPDATE_GOLDEN=1` writes the table of docs/doctor.md anew.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.doctor.finding import SECTIONS
from photo_fleet.local_fleet.commands_here import ELSEWHERE
from tests.doctor import rates_page
from tests.doctor.ground import Ground
from tests.doctor.rates import FAULTS, all_done, ground_for_faults
from tests.doctor.sound import uploaded
from tests.photo_fleet.local_stage import fleet_command
from tests.service import eventually

MOST_MISSED = 5
"""Of all: what a busy machine makes of some."""

needs = pytest.mark.needs("nginx", "prometheus", "prometheus-pushgateway", "faketime")


@pytest.fixture(scope="module")
def on() -> Iterator[Ground]:
    with ground_for_faults() as made:
        yield made


@needs
@pytest.mark.slow
def test_nothing_is_found_before_anything_is_done(on: Ground) -> None:
    assert on.findings() == {}


@needs
@pytest.mark.slow
def test_its_folder_is_enough_for_a_report(on: Ground) -> None:
    """Young as it is, nothing of it fails, but for what its readers met: a burst just when
    Prometheus saw its instances for the first time, on a machine that may be busy."""

    def whole() -> dict[str, Any]:
        """The report, once Prometheus has seen the instances."""
        done = fleet_command("report", "daily", "--json", "--data", str(on.up.data))
        assert done.returncode in (0, 1), done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report if report["counts"]["unknown"] <= 1 else {}

    report = eventually(whole, 60, 1)
    assert report["fleet"] == "stage"
    prometheus, registry = report["sources"]
    assert re.search(r"(\d+) of \1 questions answered, scraped every 2 s", prometheus)
    assert "3 boots" in registry
    failing = {one["code"] for one in report["lines"] if one["verdict"] == "fail"}
    assert failing <= {"complaints", "traffic"}
    health = report["lines"][0]
    assert (health["verdict"] == "pass") == health["answer"].startswith("3 instances"), health
    commands = {one["command"] for one in report["lines"]}
    assert f"photo-fleet doctor --data {on.up.data} --only restarts" in commands


@needs
@pytest.mark.slow
def test_nothing_is_found_while_somebody_uploads(on: Ground) -> None:
    with uploaded(on):
        assert on.findings() == {}


@needs
@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS)
def test_two_faults_of_a_section_are_found(section: str, on: Ground) -> None:
    """Done together, since most of the time goes into looking."""
    faults = [one for one in FAULTS if one.slow and one.section == section]
    wanted = {one.code for one in faults}
    assert len(wanted) >= 2
    with ExitStack() as done:
        for fault in faults:
            done.enter_context(fault.do(on))
        patience = max(fault.patience for fault in faults)
        eventually(lambda: wanted <= set(on.findings()), patience, 0.5)
        for one in on.told["findings"]:
            works(one["command"])
    on.forget()


def works(command: str) -> None:
    """It can be pasted here, whatever it then finds, or says that it is for others."""
    if command.endswith(f"# {ELSEWHERE}"):
        return
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin"
    shown = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, "PATH": path},
        check=False,
        capture_output=True,
        timeout=60,
    )
    finds = (0, 1) if command.startswith("photo-fleet ") else (0,)
    assert shown.returncode in finds, (command, shown.stderr)


@needs
@pytest.mark.long
@pytest.mark.timeout(5400)
def test_nearly_all_faults_are_found() -> None:
    results = list(all_done())
    rates_page.put(rates_page.FAULTS, rates_page.faults_told(results))
    missed = [str(one) for one in results if not one.right]
    assert len(missed) <= MOST_MISSED, "\n".join(missed)

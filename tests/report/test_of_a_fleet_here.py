"""A report of a fleet that runs on this machine: its folder has all that is needed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.photo_fleet.local_stage import fleet_command, fleet_up
from tests.service import eventually


@pytest.mark.slow
@pytest.mark.needs("nginx", "prometheus")
def test_its_folder_is_enough(tmp_path: Path) -> None:
    """Young as it is, nothing of it fails."""
    with fleet_up(tmp_path / "fleet", low=1, desired=1, more='[metrics]\ninterval = "1s"\n') as up:

        def whole() -> dict[str, Any]:
            """The report, once Prometheus has seen the instance."""
            done = fleet_command("report", "daily", "--json", "--data", str(up.data))
            assert (done.returncode, done.stderr) == (0, ""), done.stdout
            report: dict[str, Any] = json.loads(done.stdout)
            return report if report["counts"]["unknown"] <= 1 else {}

        report = eventually(whole, 60, 1)
    assert report["fleet"] == "stage"
    prometheus, registry = report["sources"]
    assert re.search(r"(\d+) of \1 questions answered, scraped every 1 s", prometheus)
    assert "1 boots" in registry
    assert report["counts"]["fail"] == 0
    health = report["lines"][0]
    assert (health["verdict"] == "pass") == health["answer"].startswith("1 instances"), health

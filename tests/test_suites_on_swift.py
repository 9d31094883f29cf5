"""The suites of all that stands on the object store, carried out on a real Swift with a real
Keystone's tokens: each by a pytest of its own with TEST_STORE=swift."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.service import die_with_parent

SUITES = {
    "upload": [
        "contract/test_uploads.py",
        "contract/test_server_upload.py",
        "contract/test_idempotency.py",
        "contract/test_races.py",
        "contract/test_reuse.py",
        "contract/test_collisions.py",
        "contract/test_repeated_deletes.py",
        "http/test_timeouts.py",
        "test_late_uploads.py",
        "test_memory.py",
        "test_whole_files.py",
        "test_decomposed_names.py",
    ],
    "rendition": [
        "jobs",
        "contract/test_previews.py",
        "renditions/test_formats.py",
        "renditions/test_heic.py",
    ],
    "delivery": [
        "cdn",
        "contract/test_photos.py",
        "contract/test_isolation.py",
        "test_streaming_delivery.py",
    ],
    "share": ["contract/test_shares.py", "gallery/test_serving.py"],
    "reconcile": [
        "test_reconcile.py",
        "test_restore.py",
        "test_sweep.py",
        "test_sweep_broken_off.py",
        "test_leases.py",
    ],
    "outage": ["outages"],
    "drain": ["lifecycle/test_drain.py", "lifecycle/test_receipts.py", "lifecycle/test_process.py"],
    "moving": ["test_moving.py", "test_moving_faults.py"],
}
TESTS = Path(__file__).parent


@pytest.mark.long
@pytest.mark.needs("memcached")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_on_swift(suite: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What it leaves out, because it is of S3 alone, is told with its reason."""
    report = tmp_path / "report.xml"
    files = [str(TESTS / name) for name in SUITES[suite]]
    options = ["-m", "not long", f"--junitxml={report}", "-o", "junit_family=xunit1"]
    environ = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    with capfd.disabled():
        print(f"\n{suite} on Swift:", flush=True)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-rfs", *options, *files],
            cwd=TESTS.parent,
            env=environ | {"TEST_STORE": "swift"},
            preexec_fn=die_with_parent,
            check=False,
        )
    assert done.returncode == 0
    cases = list(ElementTree.parse(report).iter("testcase"))
    skipped = {case.get("name"): case.find("skipped") for case in cases}
    reasons = {
        name: found.get("message", "") for name, found in skipped.items() if found is not None
    }
    assert all(reason.startswith("S3's own: ") for reason in reasons.values()), reasons
    assert len(cases) > 10 * len(reasons)

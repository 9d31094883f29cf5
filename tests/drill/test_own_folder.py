"""What a drill that was killed has left goes with the next one, and nothing else does."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from photo_fleet.commands.drill_place import PREFIX
from photo_fleet.drill.own_folder import ALIVE, MOST_REMOVED, remove_left
from tests.service import eventually

HOLDS = f"""
import tempfile
from pathlib import Path
from photo_fleet.drill.own_folder import own_folder
with own_folder(Path(tempfile.gettempdir()), "{PREFIX}") as folder:
    print(folder, flush=True)
    input()
"""
DRILL = (sys.executable, "-m", "photo_fleet.cli", "drill")
NOWHERE = ("--target", "http://127.0.0.1:9", "--only", "steady")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def left_by_a_drill(folder: Path, name: str) -> Path:
    left = folder / f"{PREFIX}{name}"
    (left / "stage-1").mkdir(parents=True)
    (left / "stage-1" / "link").symlink_to(folder)
    (left / "link").symlink_to(folder)
    (left / ALIVE).touch()
    return left


@pytest.mark.needs("nginx")
@pytest.mark.slow
def test_the_next_drill_removes_what_a_killed_one_left(temporary: Path) -> None:
    killed = subprocess.Popen([*DRILL, "--only", "steady"], stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: list(temporary.glob(f"{PREFIX}*/stage-1/*")) != [], 30)
    finally:
        killed.kill()
        killed.wait()
    (left,) = temporary.glob(f"{PREFIX}*")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as living:
        assert living.stdout is not None
        held = Path(living.stdout.readline().strip())
        eventually(lambda: not _runs(left), 30)
        done = subprocess.run([*DRILL, *NOWHERE], capture_output=True, text=True, check=False)
        assert f"removed {left}, of a drill that was killed" in done.stderr
        assert list(temporary.glob(f"{PREFIX}*")) == [held]
        living.communicate("\n")
    assert list(temporary.glob(f"{PREFIX}*")) == []


def _runs(folder: Path) -> bool:
    """Whether something is still there that was started in it."""
    found = subprocess.run(
        ["pgrep", "-f", re.escape(str(folder))], check=False, capture_output=True
    )
    return found.returncode == 0


def test_what_is_not_surely_a_dead_drill_s_of_this_user_stays(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_lock = temporary / f"{PREFIX}older"
    without_lock.mkdir()
    elsewhere = left_by_a_drill(temporary / "elsewhere", "linked")
    link = temporary / f"{PREFIX}link"
    link.symlink_to(elsewhere)
    theirs = left_by_a_drill(temporary, "theirs")
    linked_lock = left_by_a_drill(temporary, "lock")
    (linked_lock / ALIVE).unlink()
    (linked_lock / ALIVE).symlink_to(elsewhere / ALIVE)
    if os.geteuid() == 0:
        os.chown(theirs, 65534, 65534)
    else:
        monkeypatch.setattr("os.geteuid", lambda: 65534)
    assert remove_left(temporary, PREFIX) == []
    for stays in (without_lock, elsewhere / ALIVE, link, theirs / ALIVE, linked_lock / "stage-1"):
        assert stays.exists(), stays


def test_a_start_removes_a_bounded_number_and_no_link_s_target(temporary: Path) -> None:
    for number in range(MOST_REMOVED + 2):
        left_by_a_drill(temporary, f"{number:02}")
    (temporary / "precious").touch()
    assert len(remove_left(temporary, PREFIX)) == MOST_REMOVED
    assert len(remove_left(temporary, PREFIX)) == 2
    assert [item.name for item in temporary.iterdir()] == ["precious"]


def test_what_cannot_be_removed_is_known_the_next_time(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = left_by_a_drill(temporary, "stuck")

    def full(folder: Path) -> None:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", full)
        assert remove_left(temporary, PREFIX) == []
    assert remove_left(temporary, PREFIX) == [left]

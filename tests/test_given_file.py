"""A file that is named to a command may be a pipe: nobody waits for one that nobody writes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from photo_base import given_file
from photo_base.environment import optional_authorities, read
from photo_base.given_file import read_given
from photo_fleet.balancer.database_address import DATABASE_URL
from photo_fleet.cli import main


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Without a writer."""
    monkeypatch.setattr(given_file, "LONGEST_WITHOUT_WRITER", 0.2)
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize(
    "words",
    [
        "check FILE",
        "render FILE --out out",
        "up FILE",
        "drill --only steady --spec FILE",
        "replay --shape ramp --spec FILE",
        "replay FILE",
        "edge-keys --out out --keys FILE",
    ],
)
def test_a_pipe_that_nobody_writes_is_told(
    words: str, pipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(pipe.parent)
    assert main(words.replace("FILE", str(pipe)).split()) in (1, 2)
    told = capsys.readouterr().err
    assert str(pipe) in told
    assert "a pipe into which nobody writes" in told


def test_so_is_one_of_a_setting(pipe: Path) -> None:
    problems: list[str] = []
    read(DATABASE_URL, {"PHOTO_FLEET_DATABASE_URL_FILE": str(pipe)}, problems, "PHOTO_FLEET_")
    assert "nobody writes" in problems[0]
    with pytest.raises(ValueError, match="must name a PEM file"):
        optional_authorities(str(pipe))


def test_render_refuses_a_folder_in_which_a_pipe_stands_for_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "spec").write_text("")
    (tmp_path / "out" / "systemd").mkdir(parents=True)
    os.mkfifo(tmp_path / "out" / "systemd" / "photo-api.env")
    assert main(["render", str(tmp_path / "spec"), "--out", str(tmp_path / "out")]) != 0
    assert "photo-api.env is no file: move it away" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["print('1' * 70000, end='')", "import time; time.sleep(1)"])
def test_a_writer_has_time(pipe: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that writes more than a pipe holds, and one that has nothing to say after a while."""
    monkeypatch.setattr(given_file, "LONGEST_WITHOUT_WRITER", 30)
    command = f"import time; time.sleep(0.05); import sys; sys.stdout = open({str(pipe)!r}, 'w')"
    with subprocess.Popen([sys.executable, "-c", f"{command}; {script}"]):
        found = read_given(pipe, 100_000)
    assert found == (b"1" * 70_000 if "print" in script else b"")


def test_a_writer_without_an_end_is_told(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(given_file, "LONGEST_WRITER", 0.3)
    writing = os.open(pipe, os.O_RDWR)
    os.write(writing, b"name")
    with pytest.raises(TimeoutError, match="a pipe without an end"):
        read_given(pipe, 100)
    os.close(writing)


def test_what_is_larger_than_it_may_be_is_not_read_to_its_end() -> None:
    assert len(read_given("/dev/zero", 100_000)) == 100_001
    with pytest.raises(ValueError, match="must name a PEM file"):
        optional_authorities("/dev/zero")

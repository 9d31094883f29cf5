"""The log file: whole lines of several processes, through rotation, full disks and sudden death."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from photo_api.telemetry import file_sink
from photo_api.telemetry.file_sink import FileSink
from tests.service import eventually

WRITER = """
import sys
from photo_api.telemetry.file_sink import FileSink
sink = FileSink(sys.argv[1])
for batch in range(100):
    sink.write([f"{sys.argv[2]} {batch * 30 + n} {'x' * 200}\\n".encode() for n in range(30)])
"""

HURRIED = """
import ctypes, itertools, signal, sys
from photo_api.telemetry.file_sink import FileSink
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it would fill the disk
sink = FileSink(sys.argv[1])
for batch in itertools.count():
    sink.write([f"{batch} {'x' * 100}\\n".encode() for _ in range(5000)])
"""

CRAMPED = """
import resource, sys
from photo_api.telemetry.file_sink import FileSink
sink = FileSink(sys.argv[1])
sink.write([b"first\\n"])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
lines = [f"{number:09}\\n".encode() for number in range(500)]
try:
    sink.write(lines)
except OSError as error:
    print(error.strerror, open(sys.argv[1]).read().split())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.write(lines)
"""


@contextmanager
def running(program: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", program, *arguments])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_lines_of_several_processes_arrive_whole_and_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "log"
    names = ["a", "b", "c"]
    with ExitStack() as writers:
        for process in [writers.enter_context(running(WRITER, str(path), name)) for name in names]:
            assert process.wait(60) == 0
    lines = [line.split() for line in path.read_text().splitlines()]
    assert all(len(line) == 3 and line[2] == "x" * 200 for line in lines)
    for name in names:
        assert [int(line[1]) for line in lines if line[0] == name] == list(range(3000))


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "log"
    FileSink(str(path)).write([b"x\n"])
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_rotated_away_is_opened_anew(tmp_path: Path) -> None:
    path, rotated = tmp_path / "log", tmp_path / "log.1"
    sink = FileSink(str(path))
    sink.write([b"before\n"])
    path.rename(rotated)
    sink.write([b"after\n"])
    path.unlink()
    sink.write([b"deleted\n"])
    assert rotated.read_text() == "before\n"
    assert path.read_text() == "deleted\n"


def test_a_full_disk_leaves_whole_lines_and_takes_all_later(tmp_path: Path) -> None:
    """A limit on the file's size cuts a write short just as a full disk does."""
    path = tmp_path / "log"
    done = subprocess.run(
        [sys.executable, "-c", CRAMPED, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "File too large ['first']\n"
    assert path.read_text().split() == ["first", *(f"{number:09}" for number in range(500))]


def test_a_process_killed_while_it_writes_spoils_no_line_of_another(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for _ in range(3):
        size = path.stat().st_size if path.exists() else 0
        with running(HURRIED, str(path)) as process:
            eventually(lambda: path.exists() and path.stat().st_size > size + 2_000_000, 30, 0.01)  # noqa: B023
            process.kill()
            process.wait()
        FileSink(str(path)).write([b"survivor\n"])
    assert path.read_text().splitlines().count("survivor") == 3


def test_a_process_that_sleeps_while_it_writes_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One under a debugger, or stopped, holds the lock for as long as it likes."""
    path = tmp_path / "log"
    monkeypatch.setattr(file_sink, "LOCKED", 0.05)
    sink = FileSink(str(path))
    with path.open("a") as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another process holds it"):
            sink.write([b"x\n"])
    sink.write([b"x\n"])
    assert path.read_text() == "x\n"


def test_half_a_line_at_the_end_is_ended_first(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"whole\nhal")
    FileSink(str(path)).write([b"next\n"])
    assert path.read_text() == "whole\nhal\nnext\n"


def test_a_pipe_or_a_device_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (str(pipe), "/dev/null"):
        with pytest.raises(OSError, match="not a regular file"):
            FileSink(path).write([b"x\n"])

"""Nobody reads what a process writes: it goes on, ends as asked, and tells what was dropped."""

import json
import os
import resource
import select
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

import httpx
import psutil
import pytest

from photo_base.line_output import LineOutput
from tests.full_disk import full_disk
from tests.service import Service, eventually, full_pipe, serving

LINES = 2400
PADDING = "기록" * 150
"""Of three bytes each: what a line costs is what is looked for in its characters."""

TALKATIVE = f"""
import logging, sys
from photo_api.telemetry.logs import log_shipping, open_access_log
from tests.telemetry.log_settings import IDENTITY as identity, log_settings
settings = log_settings(format=sys.argv[1], queue=10)
with log_shipping(settings, identity, "web-1", 1) as logs:
    access_log = open_access_log(settings, identity, "web-1", logs)
    sys.stdin.readline()
    for number in range({LINES}):
        access_log(number=number, padding="{PADDING}")
    print("and one by print", file=sys.stderr)
    print("all said", logs.state()["dropped"], flush=True)
    sys.stdin.readline()
    logging.info("the last line")
raise SystemExit("the last words")
"""


def test_an_instance_whose_log_nobody_reads_starts_serves_and_drains(
    environ: dict[str, str], tmp_path: Path, service: Service
) -> None:
    environ = environ | {"PHOTO_API_LOG_FLUSH": "1"}
    with full_pipe() as unread, serving(environ, tmp_path / "out", stderr=unread) as running:
        eventually(running.is_healthy, 30)
        with httpx.Client(base_url=running.url, timeout=10) as client:
            for _ in range(300):
                client.get("/api/photos")
            assert client.get("/health/live").status_code == 200
            assert client.get("/health").status_code == 200
            logs = client.get("/health/detailed").json()["checks"]["logs"]
            assert logs["unread"] > 300
        assert running.stop() == 0


@pytest.mark.parametrize("kind", ["pipe", "socket", "another's pipe"])
@pytest.mark.parametrize("form", ["json", "text"])
def test_lines_wait_for_a_reader_up_to_a_bound_and_the_last_one_comes_out(
    kind: str, form: str, tmp_path: Path
) -> None:
    reading, writing = _ends(kind)
    before: list[str] = []
    if kind == "another's pipe":
        os.fchmod(writing, 0)
        if os.getuid() == 0:
            before = [
                shutil.which("setpriv") or pytest.skip("setpriv is missing"),
                "--bounding-set=-dac_override,-dac_read_search",
            ]
    process = subprocess.Popen(
        [*before, sys.executable, "-c", TALKATIVE, form],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
    )
    os.close(writing)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("speak\n")
    process.stdin.flush()
    assert _works_on_until_it_says(process.pid, process.stdout), "it waits for a reader"
    dropped = int(process.stdout.readline().split()[-1])
    assert dropped > 1000
    with os.fdopen(reading, "rb") as output:
        head = output.read(700_000)
        process.stdin.write("end\n")
        process.stdin.flush()
        text = (head + output.read()).decode()
    assert process.wait(10) == 1
    lines = text.splitlines()
    kept = sum(PADDING in line for line in lines)
    assert len(text.encode()) > 1 << 20
    assert lines[-1] == "the last words"
    assert "the last line" in lines[-2]
    gaps = [line for line in lines if "log lines were dropped" in line]
    assert len(gaps) == 1
    told = json.loads(gaps[0])["count"] if form == "json" else int(gaps[0].split("count=")[1])
    assert told == dropped
    assert kept + dropped in (LINES, LINES + 1)  # the printed line may be among them


def test_a_process_without_standard_error_runs() -> None:
    command = ["sh", "-c", 'exec "$0" -c "$1" json 2>&-', sys.executable, TALKATIVE]
    process = subprocess.run(
        command, input="speak\nend\n", capture_output=True, text=True, timeout=30, check=False
    )
    assert process.stdout.startswith("all said")


@pytest.mark.parametrize("ending", ["closed", "full"])
def test_a_reader_that_is_gone_and_a_full_disk_cost_lines_only(ending: str, tmp_path: Path) -> None:
    if ending == "full":
        writing = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, writing = os.pipe()
        os.close(reading)
    process = subprocess.run(
        [sys.executable, "-c", TALKATIVE, "json"],
        input="speak\nend\n",
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
        timeout=30,
        check=False,
    )
    os.close(writing)
    assert process.stdout.startswith(f"all said {LINES // 10}")


def test_a_line_that_a_full_disk_has_cut_spoils_no_later_one(tmp_path: Path) -> None:
    path, line = tmp_path / "log", b'{"line": %03d}\n'
    with path.open("ab") as file:
        output = LineOutput(file.fileno(), gap=lambda count: b'{"dropped": %d}\n' % count)
        with full_disk(room=5 * len(line % 0) + 4):
            for number in range(10):
                output.write(line % number)
                output.settle(5)
            assert output.state() == {"unread": 0, "dropped": 5}
        output.write(line % 10)
        output.settle(5)
    whole = [(line % number).decode().strip() for number in (0, 1, 2, 3, 4, 10)]
    assert path.read_text().splitlines() == [*whole[:5], '{"li', '{"dropped": 5}', whole[5]]


@pytest.mark.slow
def test_an_instance_whose_disk_is_full_serves_tells_and_recovers(
    environ: dict[str, str], tmp_path: Path, service: Service
) -> None:
    """Its log file and its standard error lie there."""
    sink, errors = tmp_path / "sink", tmp_path / "stderr"
    environ = environ | {"PHOTO_API_LOG_SINK": str(sink), "PHOTO_API_LOG_QUEUE": "50"}
    with (
        errors.open("ab") as stderr,
        serving(environ, tmp_path / "out", stderr=stderr.fileno()) as running,
        httpx.Client(base_url=running.url, timeout=10) as client,
    ):
        eventually(running.is_healthy, 30)

        def told_after(requests: int) -> dict[str, int]:
            assert {client.get("/api/").status_code for _ in range(requests)} == {200}
            assert client.get("/health").status_code == 200
            told: dict[str, int] = client.get("/health/detailed").json()["checks"]["logs"]
            return told

        before = told_after(1)
        assert (before["lost"], before["dropped"]) == (0, 0)
        _let_files_grow(running, to=1)
        full = told_after(200)
        assert full["lost"] >= 150
        assert full["waiting"] <= 50
        assert full["dropped"] >= 200
        _let_files_grow(running, to=resource.RLIM_INFINITY)
        eventually(lambda: told_after(1)["waiting"] < 10, 20, 0.5)
        assert '"log lines were dropped"' in errors.read_text()
        assert running.stop() == 0
    lines = [json.loads(line) for line in sink.read_text().splitlines()]
    assert any(line["message"] == "log sink works again" for line in lines)
    assert lines[-1]["event"] == "instance_ended"
    assert lines[-1]["log_lines_lost"] >= full["lost"] + full["dropped"]


def _let_files_grow(running: Service, to: int) -> None:
    """Each process of the instance is refused more, as by a full disk."""
    instance = psutil.Process(running.process.pid)
    for process in (instance, *instance.children(recursive=True)):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (to, resource.RLIM_INFINITY))


def _works_on_until_it_says(pid: int, something: IO[str]) -> bool:
    """However long that takes on a busy machine: what waits for a reader takes no time of the
    processor's."""
    spent, watched = -1.0, psutil.Process(pid)
    while not select.select([something], [], [], 10)[0]:
        before, spent = spent, sum(watched.cpu_times()[:2])
        if spent == before:
            return False
    return True


def _ends(kind: str) -> tuple[int, int]:
    if kind != "socket":
        return os.pipe()
    ends = socket.socketpair()
    return ends[0].detach(), ends[1].detach()

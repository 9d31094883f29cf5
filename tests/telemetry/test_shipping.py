"""The log queue: what arrives, what is lost when the sink fails, and that its number is told."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

from photo_api.settings.instance import LogSettings
from photo_api.telemetry.logs import QueueHandler
from photo_api.telemetry.shipping import LogQueue
from photo_api.telemetry.sinks import open_log_queues
from tests.service import Service, eventually
from tests.telemetry.log_settings import log_settings

StartService = Callable[..., Service]

PROCESS = """
import logging, os, signal, sys, time
from photo_api.telemetry.logs import log_shipping, open_access_log
from photo_api.telemetry.shipping import LogQueue
from photo_api.telemetry.sinks import open_log_queues
from tests.telemetry.log_settings import IDENTITY as identity, log_settings
path, name, bound = sys.argv[1], sys.argv[2], int(sys.argv[3])
settings = log_settings(format=sys.argv[4], sink=path, queue=bound)
"""

TALKATIVE = """
with log_shipping(settings, identity, name, 60) as logs:
    access_log = open_access_log(settings, identity, name, logs)
    for number in range(2000):
        access_log(number=number, route="/api/photos", padding="x" * 300)
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception("failed", extra={"fields": {"number": 2000}})
"""

UNREAD = """
[queue] = open_log_queues(settings, name)
for number in range(17):
    queue.put(b"{}\\n")
started = time.monotonic()
lost = queue.close(0.5)
print(lost, queue.close(0.5), time.monotonic() - started)
"""

HUNG = """
class Hung:
    name, carries, gathering = "hung", "log lines", 0.1
    def write(self, lines):
        os.open(path, os.O_WRONLY)  # waits until somebody reads the pipe
queue = LogQueue(Hung(), bound, name)
queue.put(b"{}\\n")
print(queue.close(0.5))
"""

KILLED = """
[queue] = open_log_queues(settings, name)
for number in range(1000):
    queue.put(b'{"number": %d}\\n' % number)
while queue.state()["waiting"]:
    time.sleep(0.01)
for number in range(1000, 1100):
    queue.put(b'{"number": %d}\\n' % number)
os.kill(os.getpid(), signal.SIGKILL)
"""


def start(
    program: str, path: Path, name: str = "web-1", bound: int = 10_000, form: str = "json"
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS + program, str(path), name, str(bound), form],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it said on standard output and standard error."""
    try:
        return process.communicate(timeout=60)
    finally:
        process.kill()


@contextmanager
def queue_to(path: Path, bound: int = 10_000) -> Iterator[LogQueue]:
    [queue] = open_log_queues(log_settings(sink=str(path), queue=bound), "web-1")
    try:
        yield queue
    finally:
        queue.close(0)


def numbers(path: Path) -> list[int]:
    return [json.loads(line)["number"] for line in path.read_text().splitlines()]


def put(queue: LogQueue, count: int) -> None:
    for number in range(count):
        queue.put(b'{"number": %d}\n' % number)


def test_without_a_sink_there_is_no_queue() -> None:
    assert open_log_queues(log_settings(), "web-1") == []


def test_lines_of_three_processes_arrive_whole_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "log"
    processes = [start(TALKATIVE, path, name) for name in ("main", "web-1", "web-2")]
    spoken = [finish(process)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    # Standard error still gets every line, too.
    assert [text.count('"message":"request"') for text in spoken] == [2000] * 3
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for name in ("main", "web-1", "web-2"):
        own = [line for line in lines if line["process"] == name]
        assert [line["number"] for line in own] == list(range(2001))
        assert "ZeroDivisionError" in own[-1]["traceback"]


def test_the_sink_gets_json_also_where_people_read_text(tmp_path: Path) -> None:
    path = tmp_path / "log"
    process = start(TALKATIVE, path, form="text")
    _, spoken = finish(process)
    assert process.returncode == 0
    assert not any(line.startswith("{") for line in spoken.splitlines())
    assert numbers(path) == list(range(2001))


def test_a_sink_that_fails_and_recovers_loses_nothing_that_fits(tmp_path: Path) -> None:
    path = tmp_path / "not-yet" / "log"
    with queue_to(path) as queue:
        put(queue, 5000)
        time.sleep(0.5)
        assert queue.state() == {"waiting": 5000, "lost": 0}
        path.parent.mkdir()
        eventually(lambda: queue.state()["waiting"] == 0, 30)
        assert queue.close(10) == 0
    assert numbers(path) == list(range(5000))


def test_a_full_queue_drops_the_oldest_and_tells_how_many(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "not-yet" / "log"
    with queue_to(path, bound=10) as queue:
        put(queue, 22)
        assert queue.state() == {"waiting": 10, "lost": 12}
        path.parent.mkdir()
        assert queue.close(30) == 12
    assert numbers(path) == list(range(12, 22))
    told = (
        "web-1: 12 log lines were lost on their way to the file sink"
        " (12 dropped from the full queue, 0 not written within 30 s)"
    )
    assert told in capsys.readouterr().err


class Slow:
    """A sink that takes what it is given only when it may go on."""

    name = "slow"
    carries = "log lines"
    gathering = 0.1

    def use(self, settings: LogSettings) -> None: ...

    def __init__(self) -> None:
        self.called, self.go_on = Event(), Event()
        self.lines: list[bytes] = []

    def write(self, lines: list[bytes]) -> None:
        self.called.set()
        assert self.go_on.wait(60)
        self.lines += lines


def test_what_is_told_of_a_sink_does_not_go_round_for_ever() -> None:
    """Two sinks that fail every other time get the lines that say so of either."""
    sinks = Moody(), Moody()
    queues = [LogQueue(sink, 1000, "web-1") for sink in sinks]
    handler, telling = QueueHandler(queues), logging.getLogger("photo_api.telemetry.shipping")
    telling.addHandler(handler)
    try:
        put(queues[0], 1)

        def quiet() -> bool:
            before = [sink.written for sink in sinks]
            time.sleep(1.5)
            return [sink.written for sink in sinks] == before and min(before) > 0

        eventually(quiet, 20)
    finally:
        telling.removeHandler(handler)
        for queue in queues:
            queue.close(1)


class Moody:
    name = "moody"
    carries = "log lines"
    gathering = 0.01

    def __init__(self) -> None:
        self.written = 0

    def use(self, settings: LogSettings) -> None: ...

    def write(self, lines: list[bytes]) -> None:
        self.written += 1
        if self.written % 2:
            raise OSError("a mood")


def test_lines_dropped_while_they_were_being_written_are_not_lost() -> None:
    sink = Slow()
    queue = LogQueue(sink, 10, "web-1")
    put(queue, 10)
    assert sink.called.wait(60)
    for number in range(10, 25):
        queue.put(b'{"number": %d}\n' % number)
    assert queue.state() == {"waiting": 10, "lost": 15}
    sink.go_on.set()
    assert queue.close(60) == 5
    written = [json.loads(line)["number"] for line in sink.lines]
    assert written == [*range(10), *range(15, 25)]


def test_long_lines_are_bounded_by_their_bytes() -> None:
    sink = Slow()
    queue = LogQueue(sink, 1000, "web-1")
    for _ in range(40):
        queue.put(b"x" * 1_000_000)
    assert queue.state() == {"waiting": 16, "lost": 24}
    sink.go_on.set()
    queue.close(60)


def test_a_pipe_that_nobody_reads_costs_its_lines_and_not_the_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    process = start(UNREAD, path, bound=12)
    said, told = finish(process)
    assert process.returncode == 0
    lost, again, seconds = said.split()
    assert (lost, again) == ("17", "17")
    assert float(seconds) >= 0.5
    assert told.count("17 log lines were lost on their way to the file sink") == 1
    assert told.count("(5 dropped from the full queue, 12 not written within 0.5 s)") == 1


def test_a_sink_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    process = start(HUNG, path)
    said, told = finish(process)
    assert (process.returncode, said) == (0, "1\n")
    assert "0 dropped from the full queue, 1 not written within 0.5 s" in told


def test_a_killed_process_loses_only_what_was_queued(tmp_path: Path) -> None:
    path = tmp_path / "log"
    process = start(KILLED, path)
    finish(process)
    assert process.returncode == -signal.SIGKILL
    arrived = numbers(path)
    assert arrived == list(range(len(arrived)))
    assert 1000 <= len(arrived) <= 1100


def test_a_service_writes_the_lines_of_all_its_processes(
    start_service: StartService, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    service = start_service("--workers", "2", LOG_SINK=str(path))
    asked = []

    def both_workers_answered() -> bool:
        answer = httpx.get(f"{service.url}/health/live")  # a new connection each time
        asked.append(answer.headers["X-Request-ID"])
        time.sleep(0.2)
        return {"web-1", "web-2"} <= {line["process"] for line in access_lines(path)}

    eventually(both_workers_answered, 60)
    asked.append(httpx.get(f"{service.url}/health/live").headers["X-Request-ID"])
    assert service.stop() == 0
    logged = {line["request_id"] for line in access_lines(path)}
    assert set(asked) <= logged
    assert "log lines were lost" not in service.log
    # Each line that standard error got is in the file, the supervisor's own among them.
    lines = path.read_text().splitlines()
    spoken = [line for line in service.log.splitlines() if line.startswith("{")]
    assert '"process":"main"' in "".join(lines)
    assert sorted(lines) == sorted(spoken)


def test_a_service_whose_sink_fails_serves_on_and_tells_what_was_lost(
    start_service: StartService, tmp_path: Path
) -> None:
    service = start_service(LOG_SINK=str(tmp_path / "missing" / "log"), LOG_FLUSH="0.5")
    for _ in range(20):
        assert httpx.get(f"{service.url}/health/live").status_code == 200
    assert service.stop() == 0
    told = re.findall(r"^(\S+): (\d+) log lines were lost", service.log, re.MULTILINE)
    lost = {process: int(count) for process, count in told}
    assert len(lost) == len(told), "each process tells it once"
    assert lost["main"] >= 1
    assert lost["web-1"] >= 20


def access_lines(path: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if line["message"] == "request"]

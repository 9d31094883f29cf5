"""A run of the benchmark: how long it says that it takes, and what a row that fails costs."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench import __main__ as bench_run
from bench.catalogue import BY_NAME, ROWS, Alone, estimate
from bench.context import Effort, Ground
from bench.load import LoadFailed
from bench.other import Base
from bench.processes import Processes, listening, processor_seconds
from bench.report import Goal, Row
from bench.world import Sizes
from photo_local.ports import free_port
from tests.service import eventually

PAGE = Path("docs/performance.md")


def minutes(effort: Effort) -> float:
    return estimate([name for name in ROWS if name not in BY_NAME], effort, other=False) / 60


def test_the_page_tells_how_long_a_run_takes() -> None:
    told = re.search(
        r"`make bench` takes about (\d+) minutes, `make bench BENCH=--quick` (\d+)",
        (PAGE.read_text()).replace("\n", " "),
    )
    assert told
    assert int(told[1]) == round(minutes(bench_run.THOROUGH))
    assert int(told[2]) == round(minutes(bench_run.QUICK))


def test_more_rounds_and_another_server_take_longer() -> None:
    few, many = Effort(1, 0.5, 5, 6), Effort(9, 0.5, 5, 6)
    assert minutes(few) < minutes(many)
    assert estimate(["presign"], few, other=False) < estimate(["presign"], few, other=True)


async def test_a_row_that_fails_costs_itself_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(ground: Ground, effort: Effort) -> list[Row]:
        raise LoadFailed("HTTP/1.1 500")

    async def mistaken(ground: Ground, effort: Effort) -> list[Row]:
        raise KeyError("a bug")

    async def well(ground: Ground, effort: Effort) -> list[Row]:
        return [Row("well", "s", 1.0, goal=Goal(2, at_most=True))]

    rows = {
        name: Alone(measure, lambda *_: 0.0)
        for name, measure in (
            ("broken", broken),
            ("mistaken", mistaken),
            ("well", well),
        )
    }

    @asynccontextmanager
    async def nothing(folder: Path) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(bench_run, "open_ground", nothing)
    monkeypatch.setattr(bench_run, "ALONE", rows)
    monkeypatch.setattr(bench_run, "ROWS", rows)
    run = bench_run.Run(list(rows), bench_run.QUICK, Sizes(), None)
    await run.measure(tmp_path)
    assert [row.name for row in run.rows] == ["well"]
    assert run.failed == ["broken", "mistaken"]
    told = capsys.readouterr().err
    assert "broken fails: HTTP/1.1 500\n" in told
    assert "KeyError: 'a bug'" in told


LISTENS = """
import socket, subprocess, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
works = "import os\\nparent = os.getppid()\\nwhile os.getppid() == parent: pass"
subprocess.Popen([sys.executable, "-c", works])
print(flush=True)
sys.stdin.read()
"""


def test_the_processor_time_of_a_server_here_is_that_of_all_its_processes() -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-c", LISTENS, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        try:
            assert server.stdout is not None
            server.stdout.readline()
            assert listening("127.0.0.1", port) == [server.pid]
            assert listening("203.0.113.1", port) == []
            found = Base(f"http://127.0.0.1:{port}").processes()
            assert found == Processes([server.pid])
            assert Base("http://203.0.113.1:80", [1, 2]).processes() == Processes([1, 2])
            eventually(lambda: found.cpu() > 0.5 + processor_seconds(server.pid), 30)
        finally:
            server.kill()

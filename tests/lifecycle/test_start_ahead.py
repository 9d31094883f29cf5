"""The web worker that an instance starts before it has read its own settings."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from photo_api.contract import WEB_WORKER
from photo_api.supervisor.child import Child
from photo_api.supervisor.slot import Slot
from photo_api.supervisor.spawning import Ahead, socket_pair, spawn
from tests.service import eventually, running_service, serving

TELLS = """
import json, os, socket, sys
from photo_api.supervisor.control_channel import ControlChannel
channel = ControlChannel(int(sys.argv[-1]))
arguments, environ, here = channel.command_line()
name, texts = channel.first()
found = [arguments, environ, os.read(here[int(arguments[-1])], 99).decode(), name, texts]
channel._socket.send(b"found " + json.dumps(found).encode())
"""


def ahead(*program: str) -> Ahead:
    ours, theirs = socket_pair()
    with theirs:
        return Ahead(spawn([sys.executable, *program], os.environ, (), theirs), ours)


async def test_it_hears_the_rest_of_its_command_line_and_then_its_secrets() -> None:
    heard: list[Sequence[object]] = []
    reader, writer = os.pipe()
    os.write(writer, b"through the descriptor")
    os.close(writer)
    child = Child(
        [sys.executable, "-m", "a.module", "--name", "web-1", "--socket", str(reader)],
        {**os.environ, "PHOTO_API_NODE_NAME": "told"},
        [reader],
        lambda _, event, value: heard.append(json.loads(value)),
        ahead("-c", TELLS),
    )
    child.send("secrets {}")
    assert await asyncio.wait_for(child.end, 30) == 0
    os.close(reader)
    arguments = ["--name", "web-1", "--socket", str(reader)]
    told = {"PHOTO_API_NODE_NAME": "told"}
    assert heard == [[arguments, told, "through the descriptor", "secrets", "{}"]]


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import os; os.kill(os.getpid(), 9)"])
async def test_one_that_has_died_meanwhile_is_replaced(program: str) -> None:
    deaths: list[int] = []
    slot = Slot("web-1", "tests.lifecycle.stand_in", [], {"PATH": os.environ["PATH"]})
    slot.on_exit = lambda _, code: deaths.append(code)
    slot.ahead = ahead("-c", program)
    slot.ahead.process.wait()
    keeping = asyncio.create_task(slot.keep_running())
    async with asyncio.timeout(30):
        while not deaths or not slot.pids:
            await asyncio.sleep(0.01)
    assert deaths[0] in (3, -9)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


def test_an_instance_with_unusable_settings_leaves_no_worker_behind(
    environ: dict[str, str], tmp_path: Path
) -> None:
    broken = {**environ, "PHOTO_API_DATABASE_URL": "no-address"}
    with serving(broken, tmp_path / "log") as service:
        assert eventually(lambda: service.children(WEB_WORKER), 20, 0.001)
        [worker] = service.children(WEB_WORKER)
        assert service.process.wait(30) == 2
        assert "PHOTO_API_DATABASE_URL" in service.log
    assert not worker.is_running()


@pytest.mark.parametrize("hangs", [False, True])
def test_it_ends_when_its_supervisor_is_killed_before_it_has_told_it_anything(
    hangs: bool, environ: dict[str, str], tmp_path: Path
) -> None:
    """Without a word, also while it stands still in its imports."""
    with serving(environ, tmp_path / "log") as service:
        assert eventually(lambda: service.children(WEB_WORKER), 20, 0.001)
        [worker] = service.children(WEB_WORKER)
        if hangs:
            eventually(lambda: any("pydantic" in one.path for one in worker.memory_maps()), 20)
            worker.suspend()
        service.process.kill()
        service.process.wait()
        try:
            eventually(lambda: not worker.is_running() or worker.status() == "zombie", 20)
        finally:
            if worker.is_running():
                worker.kill()
        assert service.log == ""


def test_a_worker_whose_supervisor_ends_before_it_has_sent_the_secrets_says_nothing(
    environ: dict[str, str],
) -> None:
    ours, theirs = socket_pair()
    with theirs:
        command = [sys.executable, "-m", "photo_api.job_worker", "--name", "jobs", "--control"]
        worker = subprocess.Popen(
            [*command, str(theirs.fileno())],
            env=environ,
            pass_fds=[theirs.fileno()],
            stderr=subprocess.PIPE,
        )
    ours.close()
    assert worker.communicate(timeout=30)[1] == b""
    assert worker.returncode == 1


def test_the_first_worker_is_the_one_that_started_ahead_and_its_successor_is_not(
    environ: dict[str, str], tmp_path: Path
) -> None:
    def ahead() -> dict[int, bool]:
        return {one.pid: "--ahead" in one.cmdline() for one in service.children(WEB_WORKER)}

    with running_service(environ, tmp_path, "--workers", "2", "--no-jobs") as service:
        assert eventually(lambda: len(ahead()) == 2, 20)
        assert sorted(ahead().values()) == [False, True]
        [first] = [pid for pid, was_ahead in ahead().items() if was_ahead]
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: list(ahead().values()) == [False, False], 20)
        assert service.stop() == 0

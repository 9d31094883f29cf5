"""One place among the supervisor's processes, filled by real processes that behave badly."""

import asyncio
import json
import os
import resource
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from photo_api.supervisor import slot as module
from photo_api.supervisor.child import Child
from photo_api.supervisor.slot import Slot


class Place:
    """A process that is kept running, and how its next start behaves."""

    def __init__(self, folder: Path) -> None:
        self._manner = folder / "manner"
        self._starts = folder / "starts"
        self.behave("ready")
        self.deaths: list[int] = []
        arguments = ["--manner", str(self._manner)]
        environ = {"PATH": os.environ["PATH"]}
        self.slot = Slot("web-1", "tests.lifecycle.stand_in", arguments, environ)
        self.slot.on_exit = lambda _, code: self.deaths.append(code)

    def behave(self, manner: str) -> None:
        self._manner.write_text(manner)

    @property
    def starts(self) -> list[dict[str, Any]]:
        if not self._starts.exists():
            return []
        return [json.loads(line) for line in self._starts.read_text().splitlines()]

    @property
    def ready(self) -> bool:
        return self.slot.ready.is_set()


@asynccontextmanager
async def kept(folder: Path) -> AsyncIterator[Place]:
    place = Place(folder)
    keeping = asyncio.create_task(place.slot.keep_running())
    try:
        await until(lambda: place.ready)
        yield place
        place.slot.send("stop")
        await asyncio.wait_for(keeping, 20)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def until(holds: Callable[[], Any], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("manner", ["die", "hang"])
async def test_a_replacement_that_fails_is_tried_until_it_succeeds(
    manner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LONGEST_START", 0.5)
    async with kept(tmp_path) as place:
        [first] = place.slot.pids
        place.behave(manner)
        place.slot.replace()
        await until(lambda: len(place.starts) >= 3)
        assert place.ready
        assert first in place.slot.pids, "the present one serves on"
        place.behave("ready")
        monkeypatch.setattr(module, "LONGEST_START", 20)
        await until(lambda: place.slot.pids and first not in place.slot.pids)
        assert place.ready
        count = len(place.starts)
        await asyncio.sleep(0.5)
        assert len(place.starts) == count, "one request, one replacement"


async def test_a_death_while_the_successor_hangs_is_seen_at_once(tmp_path: Path) -> None:
    async with kept(tmp_path) as place:
        [first] = place.slot.pids
        place.behave("hang")
        place.slot.replace()
        await until(lambda: len(place.slot.pids) == 2)
        psutil.Process(first).kill()
        await until(lambda: not place.ready, 5)
        await until(lambda: place.deaths == [-9], 5)
        [second] = place.slot.pids
        place.behave("ready")
        psutil.Process(second).kill()  # as its limit would
        await until(lambda: place.ready)


async def test_a_replacement_under_way_when_a_drain_begins_succeeds_nobody(tmp_path: Path) -> None:
    async with kept(tmp_path) as place:
        [first] = place.slot.pids
        place.behave("hang")
        place.slot.replace()
        await until(lambda: len(place.starts) == 2)
        place.slot.send("drain")
        [second] = set(place.slot.pids) - {first}
        place.behave("ready")
        psutil.Process(second).kill()
        await until(lambda: place.slot.pids == [first])
        psutil.Process(first).kill()
        await until(lambda: len(place.starts) == 3)
        assert place.starts[-1]["draining"]
        await until(lambda: place.ready)
        [third] = place.slot.pids
        place.slot.replace()
        await asyncio.sleep(0.3)
        assert place.slot.pids == [third]


async def test_a_process_that_stood_still_obeys_afterwards(tmp_path: Path) -> None:
    """It has taken nothing for so long that its socket is full."""
    async with kept(tmp_path) as place:
        frozen = psutil.Process(place.slot.pids[0])
        frozen.suspend()
        for _ in range(5000):
            place.slot.send(f"checks {'x' * 500}")
        place.slot.send("drain")
        place.slot.send("stop")
        frozen.resume()
        await until(lambda: not place.slot.pids, 10)
        assert not place.slot.failed_at_end


async def test_an_end_that_fails_is_told(tmp_path: Path) -> None:
    async with kept(tmp_path) as place:
        psutil.Process(place.slot.pids[0]).suspend()
        place.slot.send("stop")
        psutil.Process(place.slot.pids[0]).kill()
        await until(lambda: not place.slot.pids)
        assert place.slot.failed_at_end
        assert place.deaths == [-9]


async def test_without_free_files_a_start_is_tried_again(tmp_path: Path) -> None:
    async with kept(tmp_path) as place:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        opened = psutil.Process().num_fds()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            os.kill(place.slot.pids[0], 9)
            await until(lambda: not place.ready)
            await asyncio.sleep(1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert len(place.starts) == 1
        await until(lambda: place.ready)
        await until(lambda: psutil.Process().num_fds() <= opened, 5)


async def test_a_child_finds_the_secrets_first_whatever_it_is_sent_before_it_starts() -> None:
    seen: list[str] = []
    program = (
        "import socket, sys; channel = socket.socket(fileno=int(sys.argv[-1]));"
        " channel.setblocking(True); found, _ = channel.recv(99), channel.recv(99);"
        " channel.send(b'found ' + found)"
    )
    command = [sys.executable, "-c", program]
    child = Child(command, os.environ, (), lambda _, event, value: seen.append(value))
    for sent in ("secrets old", "drain", "secrets new"):
        child.send(sent)
    assert await child.end == 0
    assert seen == ["secrets new"]

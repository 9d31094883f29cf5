"""The servers that are measured, each a process that ends with the benchmark."""

import asyncio
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from time import perf_counter

import psutil

from bench.load import Address, drive, json_request, request
from bench.plan import ALIVE_PATH, Plan
from photo_base.processes import Program, Running
from photo_local.ports import free_port

HOST = "127.0.0.1"
POLL = 0.003
PATIENCE = 30.0
DRAINING = 0.5
"""Seconds that a request is under way before a drain begins, and goes on during it."""

OF_PROCESS = 2
"""Linux's CPUCLOCK_SCHED, in the low bits of such a clock's number."""

WEB = "photo_api.web_worker"


class NotStarted(Exception):
    """A server did not answer in time; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. `pid` is the one process that serves requests."""

    address: Address
    pid: int

    def cpu(self) -> float:
        """CPU seconds that it has used so far."""
        return processor_seconds(self.pid)

    def rss(self) -> float:
        """Its resident memory in MB."""
        return float(psutil.Process(self.pid).memory_info().rss / 1e6)


def processor_seconds(pid: int) -> float:
    """What a process has used so far, threads that have ended included, by its own clock
    (clock_getcpuclockid(3)): in proc(5)'s stat there are hundredths of a second, of which a short
    stretch has few."""
    return time.clock_gettime((~pid << 3) | OF_PROCESS)


@dataclass(frozen=True, slots=True)
class Processes:
    """A server of several processes: these and all that they have started."""

    pids: Sequence[int]

    def cpu(self) -> float:
        """CPU seconds that they have used so far, those that have ended included."""
        return sum(map(_used, self._all()))

    def _all(self) -> set[int]:
        found = set(self.pids)
        for pid in self.pids:
            with suppress(psutil.NoSuchProcess):
                found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
        return found


def _used(pid: int) -> float:
    try:
        ended = psutil.Process(pid).cpu_times()
        return processor_seconds(pid) + float(ended.children_user + ended.children_system)
    except (psutil.NoSuchProcess, OSError):
        return 0.0  # it has just ended, and counts with its parent from now on


def listening(host: str, port: int) -> list[int]:
    """The processes that listen there, if that is an address of this machine."""
    try:
        address = socket.gethostbyname(host)
    except OSError:
        return []
    own = {one.address for family in psutil.net_if_addrs().values() for one in family}
    if address not in own and not ip_address(address).is_loopback:
        return []
    places = {(one, port) for one in (address, "0.0.0.0", "::")}
    found = psutil.net_connections("tcp")
    there = [one for one in found if one.status == "LISTEN" and tuple(one.laddr) in places]
    return sorted({one.pid for one in there if one.pid})


class Launcher:
    """Starts servers with the same settings, with their logs in `folder`."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self._environ = environ
        self._folder = folder
        self._started = 0

    @asynccontextmanager
    async def service(self, settings: Mapping[str, str] | None = None) -> AsyncIterator[Server]:
        """`photo-api serve` with one web worker; without jobs, which would share its CPU. With
        more `settings`, without their prefix."""
        process, address = await self._serve("--no-jobs", settings=settings)
        try:
            await self._answering(process, address)
            yield Server(address, _child(process.pid, WEB))
        finally:
            await _stop(process)

    @asynccontextmanager
    async def limit(self, plan: Plan) -> AsyncIterator[Server]:
        """The bare application that serves `plan`."""
        path = self._folder / "plan.pickle"
        path.write_bytes(pickle.dumps(plan))
        port = free_port()
        process = await self._start("bench.limit", "--plan", str(path), "--port", str(port))
        try:
            await self._answering(process, Address(HOST, port))
            yield Server(Address(HOST, port), process.pid)
        finally:
            await _stop(process)

    async def start_seconds(self) -> float:
        """From the exec of `photo-api serve`, jobs included, to its first answer."""
        started = perf_counter()
        process, address = await self._serve()
        try:
            await self._answering(process, address)
            return perf_counter() - started
        finally:
            await _stop(process)

    async def exit_seconds(self) -> float:
        """From the end of the last request, which a drain has waited for, to the exit."""
        process, address = await self._serve()
        try:
            await self._answering(process, address)
            reader, writer = await asyncio.open_connection(address.host, address.port)
            asked = json_request("/api/auth/login", {"email": "a@example.org", "password": "wrong"})
            writer.write(asked[:-1])
            await asyncio.sleep(DRAINING)
            os.kill(process.pid, signal.SIGTERM)
            await asyncio.sleep(DRAINING)
            writer.write(asked[-1:])
            answer = await asyncio.wait_for(reader.readline(), PATIENCE)
            ended = perf_counter()
            writer.close()
            if b" 401 " not in answer:
                raise NotStarted(f"a drain has cut a request: {answer.decode()}")
            await process.wait()
            return perf_counter() - ended
        finally:
            await _stop(process)

    async def import_seconds(self) -> float:
        """What a Python takes that imports the three largest of the service's libraries."""
        started = perf_counter()
        process = await self._run(["-c", "import fastapi, asyncpg, uvicorn"])
        code = await process.wait()
        if code != 0:
            raise NotStarted(process.last_words())
        return perf_counter() - started

    async def _serve(
        self, *more: str, settings: Mapping[str, str] | None = None
    ) -> tuple[Running, Address]:
        port = free_port()
        arguments = ["serve", "--host", HOST, "--port", str(port), *more]
        process = await self._run(["-m", "photo_api.cli", *arguments], settings)
        return process, Address(HOST, port)

    async def _start(self, module: str, *arguments: str) -> Running:
        return await self._run(["-m", module, *arguments])

    async def _run(
        self, arguments: Sequence[str], settings: Mapping[str, str] | None = None
    ) -> Running:
        self._started += 1
        more = {f"PHOTO_API_{name}": value for name, value in (settings or {}).items()}
        log = self._folder / f"process-{self._started}.log"
        command = [sys.executable, *arguments]
        return await Running.start(
            Program("a measured process", command, self._environ | more, log, Path.cwd(), "TERM")
        )

    async def _answering(self, process: Running, address: Address) -> None:
        deadline = perf_counter() + PATIENCE
        while process.alive and perf_counter() < deadline:
            try:
                _, writer = await asyncio.open_connection(address.host, address.port)
            except OSError:
                await asyncio.sleep(POLL)
                continue
            writer.close()
            await drive(address, iter([request("GET", ALIVE_PATH)]), connections=1, expect=200)
            return
        raise NotStarted(f"{process.program.name} does not answer:\n{process.last_words()}")


async def _stop(process: Running) -> None:
    await process.stop((signal.SIGTERM, 10.0))


def _child(parent: int, module: str) -> int:
    for child in psutil.Process(parent).children(recursive=True):
        if module in child.cmdline():
            return child.pid
    raise NotStarted(f"process {parent} has no child that runs {module}")

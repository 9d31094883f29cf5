"""The parent of an instance's processes: it binds the socket, starts the workers, and is the only
one that obeys SIGTERM and SIGINT."""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from photo_api.lifecycle.identity import Identity, identify
from photo_api.lifecycle.load import LoadMeter, resident_bytes
from photo_api.lifecycle.process import Process
from photo_api.settings.loading import Settings

if TYPE_CHECKING:
    from photo_api.lifecycle.registry import Registry

log = logging.getLogger(__name__)

SECOND_SIGNAL = 1.0
"""A signal this many seconds after the first is a second one; sooner it is an echo of it (a group
signal and a direct one, say)."""

WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104  (to be told apart, not bound)

CUT = 1.0
"""Seconds beyond the drain wait after which a process that still runs is killed."""


class Supervisor:
    """Runs `workers` web workers and, unless `jobs` is false, one job process."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        host: str,
        port: int,
        workers: int,
        jobs: bool = True,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._address = (host, port)
        self._workers = workers
        self._jobs = jobs
        self._stop = asyncio.Event()
        self._end_now = asyncio.Event()
        self._first_signal: float | None = None
        self._cause = "failure"
        self.ready = asyncio.Event()
        self.port = port

    async def run(self) -> int:
        """Until a signal or `stop`; the exit code. Raises OSError when the port cannot be had."""
        self._handle_signals()
        identity = identify(self._settings.lifecycle)
        with _bind(self._address) if self._workers else socket.socket() as listening:
            if self._workers:
                self.port = listening.getsockname()[1]
            processes = self._processes(identity, listening)
            running = [asyncio.create_task(item.keep_running()) for item in processes]
            await asyncio.sleep(0)  # they are started now, and import while the registry does
            registry = self._registry(identity, processes)
            helpers: list[asyncio.Task[Any]] = [
                asyncio.create_task(self._announce(processes, registry)),
                asyncio.create_task(registry.keep()),
            ]
            try:
                await self._stop.wait()
                registry.change("draining", "draining", self._cause)
                helpers.append(asyncio.create_task(registry.flush()))
                code = await self._drain(processes, running, listening)
            finally:
                for task in (*helpers, *running):
                    task.cancel()
                await asyncio.gather(*helpers, *running, return_exceptions=True)
                registry.change("stopped", "stopped", self._cause)
                await registry.flush()
                await registry.close()
        return code

    def stop(self, reason: str) -> None:
        """Begin the drain, as SIGTERM does."""
        if not self._stop.is_set():
            self._cause = reason
            log.info("draining", extra={"fields": {"cause": reason}})
            self._stop.set()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        now = time.monotonic()
        if self._first_signal is None:
            self._first_signal = now
            self.stop(number.name)
        elif now - self._first_signal >= SECOND_SIGNAL:
            log.warning("second signal: ending at once")
            self._end_now.set()

    def _registry(self, identity: Identity, processes: list[Process]) -> "Registry":
        from photo_api.lifecycle.registry import Registry

        meter = LoadMeter()

        def load() -> dict[str, object]:
            pids = [os.getpid(), *(process.pid for process in processes)]
            return {
                "cpu_percent": meter.cpu_percent(),
                "in_flight": sum(process.in_flight for process in processes),
                "memory_bytes": resident_bytes(pids),
            }

        host = self._address[0]
        return Registry(
            self._settings.database,
            identity,
            address=identity.instance if host in WILDCARDS else host,
            port=self.port,
            workers=self._workers,
            load=load,
        )

    def _processes(self, identity: Identity, listening: socket.socket) -> list[Process]:
        common = ["--boot-id", identity.boot_id]
        descriptor = listening.fileno()
        processes = [
            Process(
                f"web-{number}",
                "photo_api.lifecycle.worker",
                [*common, "--socket", str(descriptor)],
                self._environ,
                [descriptor],
            )
            for number in range(1, self._workers + 1)
        ]
        if self._jobs:
            web = list(processes)
            processes.append(
                Process("jobs", "photo_api.jobs.process", common, self._environ, after=web)
            )
        return processes

    async def _announce(self, processes: list[Process], registry: "Registry") -> None:
        await asyncio.gather(*(process.ready.wait() for process in processes))
        registry.change("ready", "ready")
        await registry.flush()
        log.info("ready", extra={"fields": {"port": self.port, "workers": self._workers}})
        self.ready.set()

    async def _drain(
        self, processes: list[Process], running: list[asyncio.Task[None]], listening: socket.socket
    ) -> int:
        """Readiness fails at once, serving goes on for the lame duck, then requests in flight get
        to finish. 0 when everybody ended by themselves."""
        for process in processes:
            process.order("drain")
        await self._unless_ended_now(asyncio.sleep(self._settings.lifecycle.lame_duck))
        for process in processes:
            process.order("stop")
        # Connections that nobody has accepted yet would be reset: workers hold the socket too, and
        # the last of them closes it after it has accepted what is there.
        listening.close()
        limit = self._settings.lifecycle.drain_wait + CUT
        everybody = asyncio.gather(*running, return_exceptions=True)
        await self._unless_ended_now(asyncio.wait([everybody], timeout=limit))
        clean = everybody.done()
        if not clean:
            names = [item.name for item in processes if item.pid is not None]
            log.error("killed at the limit", extra={"fields": {"processes": names}})
        return 0 if clean else 1

    async def _unless_ended_now(self, waiting: Coroutine[Any, Any, object]) -> None:
        tasks = [asyncio.create_task(waiting), asyncio.create_task(_event(self._end_now))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


async def _event(event: asyncio.Event) -> object:
    return await event.wait()


def _bind(address: tuple[str, int]) -> socket.socket:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    return listening

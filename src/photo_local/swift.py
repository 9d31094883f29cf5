"""A real OpenStack Swift on loopback: a proxy and one server each for accounts, containers and
objects, and the memcached that they share, as processes that end with this one."""

import asyncio
import http.client
import os
import shutil
import socket
from contextlib import suppress
from itertools import islice
from pathlib import Path
from signal import SIGTERM
from time import monotonic

from photo_base.processes import CannotStart, Program, Running
from photo_base.tasks import first
from photo_local.openstack_programs import programs
from photo_local.ports import PortTaken, free_ports, is_free
from photo_local.privileges import server_account
from photo_local.swift_files import SERVERS, Identity, write_files

START_SECONDS = 60.0
CACHE, PROXY = "cache", "proxy"


class Swift:
    """The server with its files under `folder`. Its users are those of `keystone`; without one,
    tempauth's.

    `port` None takes a free one. What it writes to its disks needs extended attributes (user.*).
    """

    name = "Swift"

    def __init__(
        self,
        folder: Path,
        keystone: Identity | None = None,
        *,
        port: int | None = None,
        logs: Path | None = None,
    ) -> None:
        self._folder = folder.absolute()
        self._logs = logs or self._folder
        self._keystone = keystone
        self._wanted = port
        self._ports: dict[str, int] = {}
        self._running: dict[str, Running] = {}

    @property
    def url(self) -> str:
        """Its address, without an account; known once it was started."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        """The proxy's, on loopback; known once it was started."""
        return self._ports[PROXY]

    @property
    def processes(self) -> dict[str, Running]:
        """Those of the last start by their names."""
        return dict(self._running)

    async def start(self) -> None:
        """Call it on the main thread. Takes about three seconds. What runs already goes on, so this
        mends too. Raises `PortTaken`, `CannotStart`."""
        found = await programs()
        if not self._ports:
            await self._prepare(found / "python")
        if not self._alive(PROXY) and self._wanted and not is_free(self._wanted):
            raise PortTaken("SWIFT_PORT", self._wanted)
        try:
            for name in (CACHE, *SERVERS, PROXY):
                if not self._alive(name):
                    self._running[name] = await Running.start(self._program(name, found))
            await self._answering()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it; what was acknowledged is kept. Safe to repeat."""
        await asyncio.gather(*(process.stop((SIGTERM, 0.2)) for process in self._running.values()))

    async def died(self) -> int:
        """Wait for the first of its servers to end; that one's exit code, or minus the signal."""
        if not self._running:
            raise RuntimeError("Swift was not started")
        [ended, *_] = await first(*(process.wait() for process in self._running.values()))
        return int(ended.result())

    async def _prepare(self, python: Path) -> None:
        if self._wanted and not is_free(self._wanted):
            raise PortTaken("SWIFT_PORT", self._wanted)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = (PROXY, CACHE, *SERVERS)
        ports = dict(zip(names, islice(free_ports(), len(names)), strict=True))
        ports[PROXY] = self._wanted or ports[PROXY]
        await asyncio.to_thread(write_files, self._folder, ports, self._keystone, python)
        self._ports = ports

    def _program(self, name: str, found: Path) -> Program:
        environ = {"PATH": os.environ["PATH"]}
        log = self._logs / f"swift-{name}.log"
        if name != CACHE:
            command = [str(found / f"swift-{name}-server"), f"{name}.conf"]
            return Program(name, command, environ, log, self._folder, private=True)
        # It refuses to be root, and the death signal is lost where it changes that itself.
        privileges = server_account().setpriv
        folder = Path("/") if privileges else self._folder
        command = [_memcached(), *f"-l 127.0.0.1 -p {self._ports[CACHE]} -U 0 -m 32".split()]
        return Program("memcached", command, environ, log, folder, privileges=privileges)

    def _alive(self, name: str) -> bool:
        return name in self._running and self._running[name].alive

    async def _answering(self) -> None:
        """Until the proxy answers and the others listen."""
        deadline = monotonic() + START_SECONDS
        while not await asyncio.to_thread(self._answers):
            ended = [process for process in self._running.values() if not process.alive]
            if ended or monotonic() > deadline:
                said = "\n".join(process.last_words() for process in self._running.values())
                raise CannotStart(f"Swift does not answer, see {self._logs}:\n{said}")
            await asyncio.sleep(0.05)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            for name in (CACHE, *SERVERS):
                socket.create_connection(("127.0.0.1", self._ports[name]), 5).close()
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            with suppress(OSError):
                connection.close()


def _memcached() -> str:
    found = shutil.which("memcached")
    if found is None:
        raise CannotStart("memcached is missing; install the Debian package of that name")
    return found

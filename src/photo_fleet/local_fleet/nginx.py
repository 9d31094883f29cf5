"""nginx of a local fleet: rendered from its `local_spec`, run in the foreground, without root."""

import asyncio
import os
import socket
import time
from pathlib import Path
from signal import SIGTERM

import httpx

from photo_base.processes import CannotStart, Program, Running, find_program, put_aside, write
from photo_base.whole_file import PRIVATE
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.render import nginx as rendering
from photo_fleet.render.edge_keys import key_map
from photo_fleet.render.places import LUA_MODULE, NDK_MODULE, Places
from photo_fleet.spec.fleet import Fleet

LONGEST_START = 20.0
LONGEST_STOP = 5.0


class Nginx:
    """Listens on `port` of loopback and passes to members and to the store."""

    def __init__(self, fleet: Fleet, layout: Layout, port: int, cdn_keys: str) -> None:
        """`cdn_keys` as the instances have them."""
        self._layout = layout
        self._cdn_keys = cdn_keys
        self._port = port
        self.places = Places.below(layout.data, port)
        self._fleet = fleet
        self._running: Running | None = None

    @property
    def members_socket(self) -> Path:
        """The control API of its members."""
        return Path(self.places.members_socket)

    @property
    def access_log(self) -> Path:
        """A line of JSON for each request."""
        return Path(self.places.access_log)

    def forget_members(self) -> None:
        """Before the first start: those of a fleet that ended are gone, whatever its file says."""
        for file in (self.places.members_file, self.places.members_file_before):
            Path(file).unlink(missing_ok=True)

    async def start(self) -> None:
        """Render, start and wait until it answers. Also the way to mend one that died. Raises
        `CannotStart`."""
        program = required_nginx(self.places)
        check_port(self._port)
        self._write_files()
        put_aside(self.access_log)
        self.members_socket.unlink(missing_ok=True)  # of one that was killed
        command = [program, "-e", self.places.error_log, "-p", self.places.prefix]
        command += ["-c", f"{self.places.prefix}/nginx.conf"]
        log = self._layout.logs / "nginx.log"
        # TERM, because a master that is killed leaves its workers behind.
        self._running = await Running.start(
            Program("nginx", command, _environment(), log, self._layout.data, "TERM")
        )
        try:
            await self._answering(self._running)
        except BaseException:
            await self.stop()
            raise

    async def died(self) -> int:
        """Wait for the end of the running one; its exit code, or minus the signal."""
        assert self._running is not None
        return await self._running.wait()

    async def stop(self) -> None:
        """End it; requests that it still has are cut, so end it when the instances are gone."""
        if self._running is not None:
            await self._running.stop((SIGTERM, LONGEST_STOP))

    async def _answering(self, running: Running) -> None:
        transport = httpx.AsyncHTTPTransport(uds=self.places.members_socket)
        deadline = time.monotonic() + LONGEST_START
        async with httpx.AsyncClient(transport=transport) as client:
            while True:
                try:
                    await client.get("http://nginx/members")
                    return
                except httpx.TransportError as error:
                    if not running.alive or time.monotonic() > deadline:
                        log = running.program.log
                        raise CannotStart(
                            f"nginx did not start, see {log}:\n{running.last_words()}"
                        ) from error
                await asyncio.sleep(0.05)

    def _write_files(self) -> None:
        for name, text in rendering.files(self._fleet, self.places).items():
            path = self._layout.nginx / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, text)
        write(Path(self.places.edge_keys), key_map(self._cdn_keys), PRIVATE)


def required_nginx(places: Places) -> str:
    """The program's path. Raises `CannotStart`, naming the Debian packages, when it or its Lua
    module is missing."""
    program = find_program("nginx")
    if program is None:
        raise CannotStart(
            "nginx is missing; install it: apt-get install nginx libnginx-mod-http-lua"
        )
    modules = Path(places.modules)
    if not all((modules / name).is_file() for name in (LUA_MODULE, NDK_MODULE)):
        raise CannotStart(
            f"nginx's Lua module is missing in {modules}; install it:"
            " apt-get install libnginx-mod-http-lua"
        )
    return program


def check_port(port: int) -> None:
    """Raises `CannotStart` when nginx could not listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise CannotStart(f"port {port} is for root alone; choose one from 1024 on") from None
        except OSError:
            raise CannotStart(
                f"port {port} is taken; choose another with --port (make fleet PORT=…), or end"
                " what listens there"
            ) from None


def _environment() -> dict[str, str]:
    """Nothing of the caller's: nginx needs none of his secrets."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}

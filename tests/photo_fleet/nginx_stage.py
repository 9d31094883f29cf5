"""A real nginx with a rendered configuration, before small real HTTP servers that can misbehave."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import httpx

from photo_fleet.balancer.membership import Decision, Member
from photo_fleet.balancer.nginx_members import member_lines
from photo_fleet.render import nginx
from photo_fleet.render.nginx_members import members_file
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer, Fleet, RateLimit, RateLimits
from tests.service import eventually, free_port

ANY_RATE = RateLimit(100_000, 100_000)
UNLIMITED = RateLimits(*[ANY_RATE] * len(fields(RateLimits)))


@dataclass(frozen=True)
class Received:
    """A request as a backend got it; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Behaviour = Callable[["Backend", Received, asyncio.StreamWriter], Awaitable[None]]


async def answer(backend: "Backend", request: Received, writer: asyncio.StreamWriter) -> None:
    """200, and the instance that answered."""
    body = json.dumps({"from": backend.name}).encode()
    headers = "".join(f"{name}: {value}\r\n" for name, value in backend.headers.items())
    head = (
        f"HTTP/1.1 {backend.status} Something\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nX-Instance: {backend.name}\r\n{headers}\r\n"
    )
    writer.write(head.encode() + (b"" if request.method == "HEAD" else body))
    await writer.drain()


async def reset(backend: "Backend", request: Received, writer: asyncio.StreamWriter) -> None:
    """The connection breaks when all of the request was read."""
    writer.transport.abort()


async def break_off(backend: "Backend", request: Received, writer: asyncio.StreamWriter) -> None:
    """The connection breaks within the answer's head."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Half: ")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()


async def hang(backend: "Backend", request: Received, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def dawdle(backend: "Backend", request: Received, writer: asyncio.StreamWriter) -> None:
    """The answer begins at once and takes its time."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 500)
    await writer.drain()
    await asyncio.sleep(60)


async def think_over_posts(
    backend: "Backend", request: Received, writer: asyncio.StreamWriter
) -> None:
    """A POST is long work; everything else is answered."""
    await (hang if request.method == "POST" else answer)(backend, request, writer)


@dataclass
class Backend:
    """One server. Its behaviour may be changed while it runs. `questions` are nginx's own,
    `requests` those of clients."""

    name: str
    address: str
    behaviour: Behaviour = answer
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[Received] = field(default_factory=list)
    questions: list[Received] = field(default_factory=list)
    connections: int = 0

    def as_member(self) -> dict[str, str]:
        return {"id": f"boot-{self.name}", "address": self.address, "instance": self.name}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while request := await _read(reader):
                is_question = request.target == "/health/live"
                (self.questions if is_question else self.requests).append(request)
                await self.behaviour(self, request, writer)
        writer.close()


async def _read(reader: asyncio.StreamReader) -> Received | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.rstrip().split("\r\n")
    headers = {name.lower(): value for name, value in (one.split(": ", 1) for one in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    method, target, _ = line.split(" ")
    return Received(method, target, headers, body)


class Backends:
    """Servers on loopback addresses of their own, all in one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._servers: dict[str, asyncio.Server] = {}
        self._count = 0
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def start(self, behaviour: Behaviour = answer) -> Backend:
        self._count += 1
        host = f"127.0.1.{self._count}"
        backend = Backend(host, "", behaviour)
        self._listen(backend, host, 0)
        port = self._servers[backend.name].sockets[0].getsockname()[1]
        backend.address = f"{host}:{port}"
        return backend

    def stop_listening(self, backend: Backend) -> None:
        """New connections are refused; those that are there go on."""
        self._run(self._close(backend))

    def listen_again(self, backend: Backend) -> None:
        host, port = backend.address.split(":")
        self._listen(backend, host, int(port))

    def refusing(self) -> Backend:
        """At an address where nobody listens."""
        backend = self.start()
        self.stop_listening(backend)
        return backend

    def end(self) -> None:
        self._run(self._cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _cancel(self) -> None:
        for server in self._servers.values():
            server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _close(self, backend: Backend) -> None:
        self._servers[backend.name].close()

    def _listen(self, backend: Backend, host: str, port: int) -> None:
        starting = asyncio.start_server(backend.serve, host, port)
        self._servers[backend.name] = self._run(starting)

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


@contextmanager
def backends() -> Iterator[Backends]:
    servers = Backends()
    try:
        yield servers
    finally:
        servers.end()


def as_lines(*members: "Backend | dict[str, str]", panic: bool = False) -> str:
    """These members as the control API takes them."""
    listed = [one.as_member() if isinstance(one, Backend) else one for one in members]
    decided = tuple(Member(one["id"], one["address"], one["instance"]) for one in listed)
    return member_lines(Decision(decided, panic))


@dataclass
class Front:
    """A running nginx."""

    url: str
    fleet: Fleet
    places: Places
    process: subprocess.Popen[bytes]

    def control(
        self, method: str, body: str | None = None, path: str = "/members"
    ) -> httpx.Response:
        """Ask the control API."""
        transport = httpx.HTTPTransport(uds=self.places.members_socket)
        with httpx.Client(transport=transport, timeout=10) as client:
            return client.request(method, f"http://nginx{path}", content=body)

    def put(self, *members: Backend | dict[str, str], panic: bool = False) -> dict[str, Any]:
        """Have these members; what the control API says to it."""
        told = self.control("PUT", as_lines(*members, panic=panic))
        assert told.status_code == 200, told.text
        result: dict[str, Any] = told.json()
        return result

    def held(self) -> dict[str, Any]:
        result: dict[str, Any] = self.control("GET").raise_for_status().json()
        return result

    def member(self, backend: Backend) -> dict[str, Any]:
        """What nginx has of this one."""
        [found] = [one for one in self.held()["members"] if one["instance"] == backend.name]
        result: dict[str, Any] = found
        return result

    def logged(self, request_id: str) -> dict[str, Any]:
        """The access log's line of this request."""

        def line() -> dict[str, Any] | None:
            for text in Path(self.places.access_log).read_text().splitlines():
                entry: dict[str, Any] = json.loads(text)
                if entry["request_id"] == request_id:
                    return entry
            return None

        found = eventually(line, 5)
        assert found is not None
        return found

    @property
    def logs(self) -> str:
        """All that nginx has written."""
        return "".join(path.read_text() for path in sorted(Path(self.places.logs).iterdir()))


def spec(**balancer: Any) -> Fleet:
    """The default spec, without rate limits and with other numbers for the balancer."""
    return Fleet(balancer=replace(Balancer(), **{"rate_limits": UNLIMITED, **balancer}))


def write_files(fleet: Fleet, places: Places) -> None:
    """Render, and make the folders that have to be there."""
    for folder in (places.run, places.logs, places.temp, places.cache):
        Path(folder).mkdir(mode=0o700, exist_ok=True)
    for name, text in nginx.files(fleet, places).items():
        path = Path(places.prefix) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def program() -> str:
    return shutil.which("nginx") or "/usr/sbin/nginx"


def refused_configuration(places: Places) -> str:
    """What `nginx -t` says against the rendered files; empty: nothing."""
    tested = subprocess.run(
        [program(), "-t", "-e", "stderr", "-c", f"{places.prefix}/nginx.conf"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return "" if tested.returncode == 0 else tested.stderr


@contextmanager
def short_folder() -> Iterator[Path]:
    """For Unix sockets, whose paths have at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="nginx-") as folder:
        yield Path(folder)


@contextmanager
def running_front(
    fleet: Fleet | None = None,
    *members: Backend | dict[str, str],
    folder: Path | None = None,
    places: Places | None = None,
) -> Iterator[Front]:
    """nginx with this spec and these members. In a `folder` that is given, what an nginx before
    it kept is still there."""
    if folder is None:
        with short_folder() as own, running_front(fleet, *members, folder=own) as front:
            yield front
        return
    fleet = fleet or spec()
    places = places or Places.below(folder, free_port())
    write_files(fleet, places)
    by_lua = fleet.balancer.membership == "lua"
    if not by_lua:
        _include(fleet, places, [one for one in members if isinstance(one, Backend)])
    process = start(places)
    front = Front(f"http://127.0.0.1:{places.port}", fleet, places, process)
    try:
        eventually(lambda: _is_up(front), 15)
        if by_lua and members:
            front.put(*members)
        yield front
    finally:
        process.terminate()
        process.wait(15)


def _include(fleet: Fleet, places: Places, members: Sequence[Backend]) -> None:
    text = members_file(fleet, [one.address for one in members])
    Path(places.members_include).write_text(text)


def start(places: Places) -> subprocess.Popen[bytes]:
    """The master in the foreground; it ends with us."""
    Path(places.members_socket).unlink(missing_ok=True)
    with open(os.path.join(places.logs, "stderr.log"), "ab") as log:
        return subprocess.Popen(
            [program(), "-c", f"{places.prefix}/nginx.conf"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )


def die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    # As Python has it itself: a limit of a file's size is to be an error of writing.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _is_up(front: Front) -> bool:
    assert front.process.poll() is None, front.logs
    try:
        httpx.get(f"{front.url}/edge/health", verify=False)
        return True
    except httpx.TransportError:
        return False

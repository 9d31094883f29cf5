"""A relay in front of the real store that fails as stores do, on demand.

Head and body go through unchanged, Host included, so that signatures hold; only Connection is set
to close, which is not signed, and so every connection carries one request and obeys at once.
"""

import asyncio
import re
import threading
from collections import Counter, deque
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from tests.service import free_port

ERROR = '<?xml version="1.0"?><Error><Code>{}</Code><Message>on demand</Message></Error>'
PIECE = 64 * 1024
OF_AN_OBJECT = re.compile(r"/(staging|photos|renditions)/\d+/")
"""What is in a request's address where that is an object's: pings and lists are no photo's."""
Kind = Literal["pass", "answer", "hang", "reset", "slow", "late", "silent"]
UNANSWERED = ("hang", "silent")


@dataclass(frozen=True)
class Fault:
    """What happens to requests whose first line contains `only`. `rate` is in bytes a second,
    `wait` in seconds."""

    kind: Kind = "pass"
    status: int = 500
    code: str = "InternalError"
    only: str = ""
    rate: int = 0
    wait: float = 0.0
    never: str = ""
    """Requests whose first line contains this are not answered."""


@dataclass
class FaultyStore:
    """The relay; its methods may be called from any thread, and hold for every later request."""

    endpoint: str
    _target: tuple[str, int]
    _loop: asyncio.AbstractEventLoop
    _fault: Fault = Fault()
    _server: asyncio.Server | None = None
    _open: dict[asyncio.StreamWriter, Fault] = field(default_factory=dict)
    requests: int = 0
    """How many have come in."""
    heads: deque[str] = field(default_factory=lambda: deque(maxlen=1000))
    """Those of the last of them."""

    def told(self) -> str:
        """What was asked about objects since the last time: `2 GET, 1 PUT`, or a dash."""
        asked = [self.heads.popleft().split(" ", 2)[:2] for _ in range(len(self.heads))]
        methods = Counter(method for method, target in asked if _is_of_objects(method, target))
        return ", ".join(f"{n} {method}" for method, n in sorted(methods.items())) or "–"

    @property
    def hanging(self) -> int:
        """How many wait for an answer that does not come."""
        return sum(met.kind in UNANSWERED for met in list(self._open.values()))

    def passes(self) -> None:
        """Everything works; what hung is cut."""
        self._set(Fault())

    def answers(self, status: int, code: str = "InternalError", only: str = "") -> None:
        """Every request gets this status, and nothing happens."""
        self._set(Fault("answer", status, code, only))

    def hangs(self, only: str = "") -> None:
        """Requests are taken and never answered; those stand still whose body is on its way."""
        self._set(Fault("hang", only=only))

    def resets(self, only: str = "") -> None:
        """Requests are carried out, and the connection is reset in the middle of the answer."""
        self._set(Fault("reset", only=only))

    def late(self, seconds: float, only: str = "") -> None:
        """Requests are carried out, and answered so much later."""
        self._set(Fault("late", only=only, wait=seconds))

    def busy(self, seconds: float, never: str) -> None:
        """Everything is carried out and answered so much later, but for what is `never`."""
        self._set(Fault("late", wait=seconds, never=never))

    def silent(self, only: str = "") -> None:
        """Requests are carried out, and never answered."""
        self._set(Fault("silent", only=only))

    def slow(self, rate: int) -> None:
        """Bodies go to the store at so many bytes a second and connection."""
        self._set(Fault("slow", rate=rate))

    def refuses(self) -> None:
        """Nobody listens."""
        self._call(self._close())

    def _set(self, fault: Fault) -> None:
        self._call(self._change(fault))

    def _call(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _change(self, fault: Fault) -> None:
        self._fault = fault
        for writer, met in list(self._open.items()):
            if met.kind in UNANSWERED:
                writer.transport.abort()
        if self._server is None:
            port = urlsplit(self.endpoint).port
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = Fault()
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            self.heads.append(head.decode("latin-1"))
            fault = self._fault
            if fault.never and fault.never.encode() in head.partition(b"\r\n")[0]:
                fault = Fault("hang")
            if fault.only.encode() not in head.partition(b"\r\n")[0]:
                fault = Fault()
            self._open[writer] = fault
            await self._obey(fault, head, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            del self._open[writer]
            writer.close()

    def _hangs_now(self, head: bytes) -> bool:
        """Also what has begun before."""
        return (
            self._fault.kind == "hang" and self._fault.only.encode() in head.partition(b"\r\n")[0]
        )

    async def _obey(
        self, fault: Fault, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if fault.kind == "hang":
            while await reader.read(PIECE):  # until the other side gives up
                pass
            return
        if fault.kind == "answer":
            async for _ in _body(head, reader):
                pass
            writer.write(_failure(fault))
            await writer.drain()
            return
        await self._relay(fault, head, reader, writer)

    async def _relay(
        self, fault: Fault, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        back, there = await asyncio.open_connection(*self._target)
        try:
            there.write(_closing(head))
            async for piece in _body(head, reader):
                if self._hangs_now(head):
                    self._open[writer] = self._fault
                    await self._obey(self._fault, head, reader, writer)
                    return
                there.write(piece)
                await there.drain()
                if fault.rate:
                    await asyncio.sleep(len(piece) / fault.rate)
            if fault.kind == "reset":
                answer = await back.read(PIECE)
                writer.write(answer[: len(answer) // 2])
                await asyncio.sleep(0.05)
                writer.transport.abort()
                return
            piece = await back.read(PIECE)
            if fault.kind == "silent":
                while await reader.read(PIECE):  # until the other side gives up
                    pass
                return
            await asyncio.sleep(fault.wait)
            while piece:
                writer.write(piece)
                await writer.drain()
                piece = await back.read(PIECE)
        finally:
            there.close()


async def _body(head: bytes, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """As it comes, with its frames where it has such."""
    if re.search(rb"\r\ntransfer-encoding: *chunked", head, re.IGNORECASE):
        async for piece in _chunks(reader):
            yield piece
        return
    found = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    left = int(found[1]) if found else 0
    while left:
        piece = await reader.read(min(left, PIECE))
        if not piece:
            raise ConnectionResetError
        left -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        line = await reader.readuntil(b"\r\n")
        left = int(line, 16)
        yield line
        left += 2
        last = left == 2
        while left:
            piece = await reader.read(min(left, PIECE))
            if not piece:
                raise ConnectionResetError
            left -= len(piece)
            yield piece
        if last:
            return


def _is_of_objects(method: str, target: str) -> bool:
    return bool(OF_AN_OBJECT.search(target)) or method not in ("GET", "HEAD")


def _closing(head: bytes) -> bytes:
    kept = re.sub(rb"\r\nconnection:[^\r]*", b"", head, flags=re.IGNORECASE)
    return kept[:-2] + b"Connection: close\r\n\r\n"


def _failure(fault: Fault) -> bytes:
    body = ERROR.format(fault.code).encode()
    head = f"HTTP/1.1 {fault.status} On demand\r\nContent-Type: application/xml\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@contextmanager
def faulty_store(endpoint: str) -> Iterator[FaultyStore]:
    """A relay to this store, in a thread of its own; it passes everything at first."""
    target = urlsplit(endpoint)
    assert target.hostname is not None
    assert target.port is not None
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    store = FaultyStore(f"http://127.0.0.1:{free_port()}", (target.hostname, target.port), loop)
    store.passes()
    try:
        yield store
    finally:
        store.refuses()
        asyncio.run_coroutine_threadsafe(_cancel_all(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks, return_exceptions=True)

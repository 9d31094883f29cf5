"""What stands between the fleet and its object store, or another server that it asks by HTTP, so
that this can be made to fail.

Bytes pass unchanged, Host and path among them, so that signatures hold. A fault takes hold with the
next request of each connection: those that are under way finish, except when the relay refuses.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from photo_base.listener import CHUNK, Listener

LONGEST_HEAD = 64 * 1024

LENGTH = re.compile(rb"(?im)^content-length:[ \t]*(\d+)")
CODES = {429: "TooManyRequests", 500: "InternalError", 503: "SlowDown"}


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the server behaves: `pass`, `refuse` connections, `hang` without an answer, `answer`
    with `status`, or be `slow` by `delay` seconds for each request; the last two to everything, or
    to `only_writes`."""

    manner: Literal["pass", "refuse", "hang", "answer", "slow"] = "pass"
    status: int = 503
    only_writes: bool = False
    delay: float = 0.0


NORMAL = Behaviour()


class HttpRelay(Listener):
    """Listens on `port` of loopback and passes on to `endpoint`, which may be set after the start
    and before the first request."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.endpoint = ""
        self._behaviour = NORMAL
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        """Where the fleet finds the server."""
        host, port = self.address
        return f"http://{host}:{port}"

    async def behave(self, behaviour: Behaviour) -> None:
        """From now on like this."""
        self._behaviour = behaviour
        self._changed.set()
        self._changed = asyncio.Event()
        if behaviour.manner == "refuse":
            await self.stop()
        elif self._server is None:
            await self.start()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(self.endpoint, reader, writer)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while chunk := await reader.read(CHUNK):
                    if connection.is_new_request and not await self._act(connection, chunk):
                        continue
                    await connection.forward(chunk)
        finally:
            connection.close()

    async def _act(self, connection: "_Connection", chunk: bytes) -> bool:
        """Do to a request that begins as the server is to behave; whether it goes on to the server.
        Raises `OSError` when its connection is to be closed."""
        behaviour = self._behaviour
        spared = behaviour.only_writes and _is_read(chunk)
        if behaviour.manner == "answer" and not spared:
            await connection.answer(chunk, behaviour.status)
            return False
        if behaviour.manner == "hang":
            await self._changed.wait()
            raise ConnectionAbortedError
        if behaviour.manner == "slow" and not spared:
            await asyncio.sleep(behaviour.delay)
        return True


class _Connection:
    """One connection of a client, and the one to the store that carries it. A chunk that comes from
    the client after bytes of the store begins a new request: nobody pipelines."""

    def __init__(
        self, endpoint: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.is_new_request = True
        self._endpoint = endpoint
        self._reader = reader
        self._writer = writer
        self._store: asyncio.StreamWriter | None = None
        self._back: asyncio.Task[None] | None = None

    async def forward(self, chunk: bytes) -> None:
        """Send it to the store. Raises `OSError` when that is not there."""
        if self._store is None:
            address = urlsplit(self._endpoint)
            from_store, self._store = await asyncio.open_connection(
                address.hostname, address.port, limit=CHUNK
            )
            self._back = asyncio.create_task(self._bring_back(from_store))
        self.is_new_request = False
        self._store.write(chunk)
        await self._store.drain()

    async def answer(self, chunk: bytes, status: int) -> None:
        """Take in the request that begins with `chunk`, and answer it as S3 tells an error."""
        head = chunk
        while b"\r\n\r\n" not in head and len(head) < LONGEST_HEAD:
            more = await self._reader.read(CHUNK)
            if not more:
                raise ConnectionAbortedError
            head += more
        top, _, body = head.partition(b"\r\n\r\n")
        length = LENGTH.search(top)
        if length:
            await self._reader.readexactly(max(0, int(length[1]) - len(body)))
        told = f"<Error><Code>{CODES.get(status, 'Error')}</Code></Error>".encode()
        shown = b"" if top.startswith(b"HEAD ") else told
        self._writer.write(
            f"HTTP/1.1 {status} Fault\r\nContent-Type: application/xml\r\n"
            f"Content-Length: {len(told)}\r\n\r\n".encode()
            + shown
        )
        await self._writer.drain()

    def close(self) -> None:
        """Both sides, at once."""
        if self._back is not None:
            self._back.cancel()
        if self._store is not None:
            self._store.close()
        self._writer.close()

    async def _bring_back(self, from_store: asyncio.StreamReader) -> None:
        with suppress(OSError):
            while chunk := await from_store.read(CHUNK):
                self.is_new_request = True
                self._writer.write(chunk)
                await self._writer.drain()
        self._writer.close()


def _is_read(chunk: bytes) -> bool:
    return chunk.startswith((b"GET ", b"HEAD "))

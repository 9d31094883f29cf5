"""A PostgreSQL of a test's own, that may be stopped, hung, slowed down and brought back."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit, urlunsplit

from photo_local.postgres import Postgres
from tests.service import free_port
from tests.stack import POSTGRES, passable


class SlowPath:
    """A TCP relay to the database that holds every piece back for `delay` seconds."""

    def __init__(self, target: int | str) -> None:
        """To a port of this machine, or to a Unix socket."""
        self.delay = 0.0
        self._target = target
        self._relaying: set[asyncio.Task[object]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Its port, while it relays."""
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]
        for task in self._relaying:
            task.cancel()
        await asyncio.gather(*self._relaying, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relaying.add(task)
        with suppress(OSError, asyncio.CancelledError):
            if isinstance(self._target, str):
                back, forth = await asyncio.open_unix_connection(self._target)
            else:
                back, forth = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(self._pump(reader, forth), self._pump(back, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65_536):
                await asyncio.sleep(self.delay)
                writer.write(piece)
                await writer.drain()
        writer.close()


class OwnDatabase:
    """The server and the address under which a service should use it."""

    def __init__(self, folder: Path, options: dict[str, str]) -> None:
        self.port = free_port()
        self.log = folder / "postgres.log"
        passable(folder / "postgres")
        self._postgres = Postgres(
            folder / "postgres",
            secrets.token_hex(16),
            durable=False,
            port=self.port,
            options=options,
            log=self.log,
            programs=POSTGRES,
        )
        self._slow = SlowPath(self.port)

    async def start(self) -> None:
        await self._postgres.start()

    async def stop(self) -> None:
        await self._postgres.stop()

    def url(self, port: int | None = None) -> str:
        parts = urlsplit(self._postgres.url)
        account = f"{parts.username}:{parts.password}"
        return f"postgresql://{account}@127.0.0.1:{port or self.port}/photo_api"

    def signal(self, number: signal.Signals) -> None:
        """To every process of the server: a machine that hangs hangs as a whole."""
        assert self._postgres.pid is not None
        for pid in [self._postgres.pid, *_children(self._postgres.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def slow_down(self, seconds: float) -> None:
        self._slow.delay = seconds

    @asynccontextmanager
    async def slow_path(self) -> AsyncIterator[str]:
        """An address that `slow_down` slows down."""
        async with self._slow.open() as port:
            yield self.url(port)


def socket_of(settings: Mapping[str, str]) -> str:
    """The Unix socket of the database that a service with these settings uses."""
    (folder,) = parse_qs(urlsplit(settings["PHOTO_API_DATABASE_URL"]).query)["host"]
    return f"{folder}/.s.PGSQL.5432"


def through(settings: Mapping[str, str], port: int) -> str:
    """The address of that database behind a relay at `port`."""
    parts = urlsplit(settings["PHOTO_API_DATABASE_URL"])
    place = f"{parts.username}:{parts.password}@127.0.0.1:{port}"
    return urlunsplit(parts._replace(netloc=place, query=""))


def _children(pid: int) -> list[int]:
    import psutil

    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return []


@asynccontextmanager
async def own_postgres(folder: Path, **options: str) -> AsyncIterator[OwnDatabase]:
    """Running, and gone at the end."""
    database = OwnDatabase(folder, options)
    await database.start()
    try:
        yield database
    finally:
        database.signal(signal.SIGCONT)
        await database.stop()

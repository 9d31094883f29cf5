"""What one part of the stage reaches another by, so that it alone can be cut off."""

import asyncio
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit, urlunsplit

from photo_base.listener import CHUNK, LOOPBACK, Listener
from photo_base.tasks import first

DEFAULT_PORT = 5432


class Wire(Listener):
    """Passes on to the address that `through` or `leads_to` named last. Cut, it is silent, as a
    network is that lost its way: what is open stands still, what comes is never answered."""

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        super().__init__(port, host)
        self._far: str | tuple[str, int] = ""
        self._whole = asyncio.Event()
        self._whole.set()

    def through(self, url: str) -> str:
        """The same database, by way of this wire. Raises `LookupError` for one that listens to no
        socket of a folder, as the embedded one does."""
        parts = urlsplit(url)
        [folder] = parse_qs(parts.query).get("host") or [""]
        if not folder.startswith("/"):
            raise LookupError("the stage's database has no socket in a folder")
        self._far = f"{folder}/.s.PGSQL.{parts.port or DEFAULT_PORT}"
        login, at, _ = parts.netloc.rpartition("@")
        host, port = self.address
        return urlunsplit(parts._replace(netloc=f"{login}{at}{host}:{port}", query=""))

    def leads_to(self, host: str, port: int) -> None:
        """A server that listens there."""
        self._far = (host, port)

    def leads_nowhere(self) -> None:
        """New connections end at once, until somebody is named."""
        self._far = ""

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        """What stood still goes on, unless its ends have given it up."""
        self._whole.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._whole.wait()
            with suppress(OSError):
                back, on = await self._open()
                try:
                    await self._both_ways((reader, on), (back, writer))
                finally:
                    on.transport.abort()
        finally:
            writer.transport.abort()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._far, str):
            return await asyncio.open_unix_connection(self._far, limit=CHUNK)
        return await asyncio.open_connection(*self._far, limit=CHUNK)

    async def _both_ways(self, *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> None:
        """Until one of the two ends is gone."""
        await first(*(self._pass_on(*way) for way in ways))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Nothing is kept back that would be thrown away with the connection.
        writer.transport.set_write_buffer_limits(0)
        while chunk := await reader.read(CHUNK):
            await self._whole.wait()
            writer.write(chunk)
            await writer.drain()

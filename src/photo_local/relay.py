"""A TCP relay from a public address to a loopback port.

SeaweedFS stays on loopback with all its parts, and only its S3 port is reached
from outside. Bytes pass unchanged, so that the Host that a URL's signature covers stays as it was.
"""

import asyncio
from contextlib import suppress

from photo_base.tasks import cancel

CHUNK = 64 * 1024


class Relay:
    """Accepts on (host, port) and passes everything on to 127.0.0.1:`target_port`."""

    def __init__(self, host: str, port: int, target_port: int) -> None:
        self._host = host
        self._port = port
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to accept. Raises `OSError` when the address cannot be bound."""
        self._server = await asyncio.start_server(self._accept, self._host, self._port, limit=CHUNK)

    async def stop(self) -> None:
        """Close the socket and every connection at once."""
        if self._server is not None:
            self._server.close()
        await cancel(*self._connections)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._pass_on(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                inner_reader, inner_writer = await asyncio.open_connection(
                    "127.0.0.1", self._target_port, limit=CHUNK
                )
                try:
                    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
                finally:
                    inner_writer.close()
        finally:
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    writer.write_eof()

"""A TCP server of this process's own, which ends with every connection of it."""

import asyncio

from photo_base.tasks import cancel

CHUNK = 64 * 1024
LOOPBACK = "127.0.0.1"


class Listener:
    """Listens on `port` of `host`, and serves each connection in a task of its own."""

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        self.address = (host, port)
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to accept. Raises `OSError` when the address cannot be bound."""
        self._server = await asyncio.start_server(self._accept, *self.address, limit=CHUNK)

    async def stop(self) -> None:
        """Close the socket and every connection at once. Safe to repeat."""
        self.stop_listening()
        await cancel(*self._connections)

    def stop_listening(self) -> None:
        """Close the socket; connections stay. `start` opens it again."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

"""An address at which nobody answers any more, as a machine leaves it that vanished."""

import asyncio
import socket
from contextlib import suppress

LOOK = 0.005
FILLING = 2
"""Connections that a queue for one takes, the second only in part."""


class BlackHole:
    """Takes no connection at `host`:`port` and refuses none: they are never answered. On Linux a
    listening socket drops them while its queue is full (listen(2), tcp(7)), and ours holds one
    connection that nobody accepts. Connections that were open before are not touched."""

    def __init__(self, host: str, port: int) -> None:
        self.address = (host, port)
        self._sockets: list[socket.socket] = []

    def open(self) -> None:
        """From now on. Raises `OSError` while somebody listens there."""
        listening = socket.socket()
        self._sockets.append(listening)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(self.address)
        listening.listen(0)
        for _ in range(FILLING):
            filling = socket.socket()
            self._sockets.append(filling)
            filling.setblocking(False)
            with suppress(BlockingIOError):
                filling.connect(self.address)

    async def open_when_free(self, seconds: float) -> None:
        """As soon as nobody listens there. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    self.open()
                    return
                except OSError:
                    self.close()
                    await asyncio.sleep(LOOK)

    def close(self) -> None:
        """Let go of the address. Safe to repeat."""
        while self._sockets:
            self._sockets.pop().close()

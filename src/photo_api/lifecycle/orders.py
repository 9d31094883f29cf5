"""The line protocol between supervisor and worker, over a socket pair that also tells of death."""

import asyncio
import socket
from collections.abc import AsyncIterator


class Orders:
    """The worker's end: iterate over orders, until the supervisor is gone; report events."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)

    async def __aiter__(self) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        pending = b""
        while True:
            try:
                received = await loop.sock_recv(self._socket, 256)
            except OSError:
                return
            if not received:
                return
            *lines, pending = (pending + received).split(b"\n")
            for line in lines:
                yield line.decode()

    async def report(self, event: str) -> None:
        """Tell the supervisor, for instance `ready`."""
        await asyncio.get_running_loop().sock_sendall(self._socket, event.encode() + b"\n")

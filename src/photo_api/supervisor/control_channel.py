"""Messages between supervisor and worker, over a socket pair that also tells of death.

The sockets keep the borders of messages (SOCK_SEQPACKET): one send is one message, whole or not at
all. From the supervisor: `secrets JSON`, which is there at birth, `drain`, `retire`, `stop`, `about
JSON`, `checks JSON`, `look-at-storage`. From a worker: `ready`, `load JSON`, `check JSON`,
`recycle`, `refused database`, `refused store`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator

LONGEST = 64 * 1024


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """(the supervisor's end, the worker's end), non-blocking."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


async def messages(connection: socket.socket) -> AsyncIterator[str]:
    """What comes, until the other side is gone."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            received = await loop.sock_recv(connection, LONGEST)
        except OSError:
            return
        if not received:
            return
        yield received.decode()


class Orders:
    """The worker's end: iterate over orders, until the supervisor is gone; report events."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)

    def first(self) -> str:
        """The order that was there at birth. Raises OSError when there was none."""
        return self._socket.recv(LONGEST).decode()

    def __aiter__(self) -> AsyncIterator[str]:
        return messages(self._socket)

    async def report(self, event: str) -> None:
        """Tell the supervisor, for instance `ready`."""
        await asyncio.get_running_loop().sock_sendall(self._socket, event.encode())

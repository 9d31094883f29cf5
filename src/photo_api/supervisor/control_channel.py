"""Messages between supervisor and worker, over a socket pair whose end also shows that the other
side died.

The sockets keep the borders of messages (SOCK_SEQPACKET): one send is one message, whole or not at
all. The supervisor sends commands: `secrets JSON`, which is there at the start, `drain`, `retire`,
`stop`, `about JSON`, `checks JSON`, `delivery JSON`, `look-at-storage`, `look-at-fleet N`,
`metrics-N` with a piece of what a worker asked for. A worker sends events: `ready`, `load JSON`,
`check JSON`, `recycle`, `refused database`, `refused store`, `counts JSON`, `gauges JSON`,
`fleet N JSON`, `scrape`; at its end `finished`, when it carries no request any more, and `told`,
after which nothing comes.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

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


class ControlChannel:
    """A worker's end. Iterate over the commands, as (name, value), until the supervisor is gone."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        # A loop waits for room in a socket on behalf of one sender: another would take its place.
        self._turn = asyncio.Lock()

    def first(self) -> tuple[str, str]:
        """The command that was there at the start. Raises OSError when there was none."""
        return _parts(self._socket.recv(LONGEST).decode())

    async def __aiter__(self) -> AsyncIterator[tuple[str, str]]:
        async for message in messages(self._socket):
            yield _parts(message)

    async def send(self, event: str) -> None:
        """Tell the supervisor, for instance `ready`. Waits while it takes nothing."""
        async with self._turn:
            await asyncio.get_running_loop().sock_sendall(self._socket, event.encode())

    def send_last(self, events: Iterable[str], timeout: float) -> None:
        """Tell the supervisor when no loop runs any more. One that takes nothing for `timeout`
        seconds is not waited for, and hears no more."""
        self._socket.settimeout(timeout)
        with suppress(OSError):
            for event in events:
                self._socket.send(event.encode())


def _parts(message: str) -> tuple[str, str]:
    name, _, value = message.partition(" ")
    return name, value

"""Messages between supervisor and worker, over a socket pair whose end also shows that the other
side died.

The sockets keep the borders of messages (SOCK_SEQPACKET): one send is one message, whole or not at
all. To a worker that has started ahead (`spawning.py`) the supervisor sends the rest of its command
line, and to all of them commands: `secrets JSON`, which is there at the start, `drain`, `retire`,
`stop`, `about JSON`, `checks JSON`, `delivery JSON`, `look-at-storage`, `look-at-fleet N`,
`metrics-N` with a piece of what a worker asked for. A worker sends events: `ready`, `load JSON`,
`check JSON`, `recycle`, `refused database`, `refused store`, `counts JSON`, `gauges JSON`,
`fleet N JSON`, `scrape`; at its end `finished`, when it carries no request any more, and `told`,
after which nothing comes.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

LONGEST = 64 * 1024
MOST = 4
"""Descriptors that a worker is given."""


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

    def command_line(self) -> tuple[list[str], dict[str, str], dict[int, int]]:
        """What a worker that was started ahead is told: (the rest of its command line, what changes
        in its environment, the descriptors here by their numbers in the command line). Waits;
        raises ConnectionError when the supervisor is gone."""
        self._socket.setblocking(True)
        line, given, *_ = socket.recv_fds(self._socket, LONGEST, MOST, socket.MSG_CMSG_CLOEXEC)
        told = json.loads(_something(line))
        here = dict(zip(told["descriptors"], given, strict=True))
        return told["arguments"], told["environ"], here

    def first(self) -> tuple[str, str]:
        """The first command. Waits for it; raises ConnectionError when the supervisor is gone."""
        self._socket.setblocking(True)
        try:
            return _parts(_something(self._socket.recv(LONGEST)).decode())
        finally:
            self._socket.setblocking(False)

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


def _something(received: bytes) -> bytes:
    if not received:
        raise ConnectionAbortedError("the supervisor has ended")
    return received


def _parts(message: str) -> tuple[str, str]:
    name, _, value = message.partition(" ")
    return name, value

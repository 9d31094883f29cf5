"""Sockets that listen, on either family of addresses or on both, and their end."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

EVERY_ADDRESS = "::"
BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; on `::` for IPv4 as well, and for it alone where the kernel has
    no IPv6. Raises `OSError`."""
    # At once, not in a worker: two that start together can both bind, and one can listen.
    if host == EVERY_ADDRESS:
        if socket.has_dualstack_ipv6():
            return _listen(socket.AF_INET6, host, port, dualstack=True)
        host = "0.0.0.0"  # noqa: S104  (a server)
    return _listen(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port)


def _listen(family: int, host: str, port: int, *, dualstack: bool = False) -> socket.socket:
    return socket.create_server(
        (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=dualstack
    )


async def accept_the_last(
    sockets: Sequence[socket.socket],
    servers: Sequence[asyncio.AbstractServer],
    protocol: Callable[[], asyncio.Protocol],
) -> None:
    """What a web worker does when it stops accepting. Closing a socket resets the connections that
    wait in it to be accepted, whose requests may be on their way. So they are accepted, and further
    ones refused by the kernel in the same breath, for all processes that share the socket."""
    waiting = []
    for listening in sockets:
        listening.setblocking(False)
        with suppress(OSError):  # none waits, or another worker was first
            while True:
                waiting.append(listening.accept()[0])
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RD)
    for server in servers:
        server.close()
    loop = asyncio.get_running_loop()
    for connection in waiting:
        with suppress(OSError):
            await loop.connect_accepted_socket(protocol, connection)

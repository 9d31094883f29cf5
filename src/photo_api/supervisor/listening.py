"""Sockets that listen, on either family of addresses or on both."""

import socket

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

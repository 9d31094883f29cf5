"""Connections to PostgreSQL whose ends notice within half a minute that the other machine has
vanished: the only way in which either plane opens one.

What the operating system does by itself takes hours (tcp_keepalive_time of tcp(7)), and as long a
vanished migrator would hold its lock, and a client would wait for a vanished server.
"""

import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import asyncpg

IDLE, INTERVAL, PROBES = 10, 5, 4
"""Seconds without a word before the first probe, seconds between probes, and how many of them may
stay without an answer: 30 s in all."""

UNANSWERED = 30_000
"""Milliseconds for which what was sent may stay without acknowledgement."""

SERVER_SETTINGS = {
    "tcp_keepalives_idle": str(IDLE),
    "tcp_keepalives_interval": str(INTERVAL),
    "tcp_keepalives_count": str(PROBES),
    "tcp_user_timeout": str(UNANSWERED),
    "client_connection_check_interval": "10s",  # also while a statement runs
}
"""The same for the server's end, to be sent only where no pooler stands between: a pooler's server
connection would keep them, and PgBouncer refuses whoever sends them. Without effect on a Unix
socket."""


class UntrustedServer(ConnectionError):
    """Who answers is not proven to be the server that is meant, or nothing could be proven; the
    text says why, and holds no secret."""


async def open_connection(url: str, **options: Any) -> asyncpg.Connection:
    """`asyncpg.connect`, with this machine's end watched. Raises what that raises, and
    `UntrustedServer` for all that is wrong with TLS."""
    with _tls_told(url):
        connection: asyncpg.Connection = await asyncpg.connect(url, **options)
    try:
        watch_peer(_end(connection))
    except OSError:
        connection.terminate()
        raise
    return connection


@contextmanager
def _tls_told(url: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise UntrustedServer(f"its certificate is refused: {error.verify_message}") from error
    except ssl.SSLError as error:
        raise UntrustedServer(f"no TLS with it: {error.reason}") from error
    except asyncpg.ClientConfigurationError as error:
        if "certificate" not in str(error):
            raise
        raise UntrustedServer(str(error).partition("\n")[0]) from error
    except OSError as error:
        if "rejected SSL upgrade" in str(error):
            raise UntrustedServer("it speaks no TLS, which sslmode asks for") from error
        authority = dict(parse_qsl(urlsplit(url).query)).get("sslrootcert")
        if authority and not os.access(authority, os.R_OK):
            raise UntrustedServer(f"sslrootcert: {authority} cannot be read") from error
        raise


def _end(connection: Any) -> Any:
    """This machine's socket, to which the driver has no other way."""
    return connection._transport.get_extra_info("socket")


def watch_peer(end: Any) -> None:
    """Have the kernel notice that the machine at the other end of this socket has vanished. A Unix
    socket has no such machine; options that this system does not know are left out."""
    if end is None or end.family not in (socket.AF_INET, socket.AF_INET6):
        return
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", IDLE),
        ("TCP_KEEPINTVL", INTERVAL),
        ("TCP_KEEPCNT", PROBES),
        ("TCP_USER_TIMEOUT", UNANSWERED),
    ):
        if hasattr(socket, name):
            end.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

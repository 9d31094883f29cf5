"""Connections to PostgreSQL whose ends notice within half a minute that the other machine has
vanished: the only way in which either plane opens one.

What the operating system does by itself takes hours (tcp_keepalive_time of tcp(7)), and as long a
vanished migrator would hold its lock, and a client would wait for a vanished server.

An address may name several servers, `postgresql://user:password@one:5432,two:5432/name`. The one
that is not in recovery is taken; while none is (in the middle of a failover) a standby is, so that
reads go on. This is decided here and not by the driver, which tries one address after the other and
would spend the whole time on the first that does not answer.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from asyncpg.pgproto.pgproto import BufferError as CutShort

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
connection would keep them, and PgBouncer refuses clients that send them. Without effect on a Unix
socket."""


FAILURES = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a statement that met the end of its connection
)
"""What a lost, refused, hung or failing database raises."""

NO_SENSE = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, CutShort)
"""What the driver and readers of its rows raise, besides, at an answer that makes no sense: a
length, a text or a value that nobody foresaw."""

CUT = (
    ConnectionError,
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
"""Those of them by which the connection ended during a statement, at either end."""

HEAD_START, LAST_CHANCE = 1 / 8, 1 / 4
"""Shares of the time for connecting: what a silent server gets at most before the next is asked as
well, and what those that are still silent get once a standby has answered."""


class NotUnderstood(ConnectionError):
    """The server answers, and not what its reader expects: it is none, or has odd rows."""


class UntrustedServer(ConnectionError):
    """The server that answers is not proven to be the one that is meant, or nothing could be; the
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


async def connect_to_primary(
    url: str, options: Mapping[str, Any], *, timeout: float
) -> asyncpg.Connection:
    """A connection to the server of `url` that is not in recovery, else to one that is, unless the
    driver's `target_session_attrs` refuses it. Raises one of `FAILURES`, after `timeout` seconds
    at most."""
    addresses = servers(url)
    async with asyncio.timeout(timeout):
        if len(addresses) == 1:
            return await open_connection(url, **options)
        return await _choose(addresses, options, timeout)


@asynccontextmanager
async def only_reading(
    url: str, options: Mapping[str, Any], *, connecting: float, reading: float, statement: float
) -> AsyncIterator[asyncpg.Connection]:
    """A connection, as `connect_to_primary` makes it, that reads as of one moment and writes
    nothing: for `reading` seconds, `statement` for each statement. The server ends what a reader
    that stands still or has vanished would keep open. Raises one of `FAILURES`."""
    connection: asyncpg.Connection | None = None
    try:
        connection = await connect_to_primary(url, options, timeout=connecting)
        async with asyncio.timeout(reading):
            # The driver's own block would wait for the answer to its ROLLBACK, however long.
            await connection.execute(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
                f"SET LOCAL statement_timeout = '{statement:g}s';"
                f"SET LOCAL idle_in_transaction_session_timeout = '{reading:g}s'"
            )
            yield connection
            await connection.execute("COMMIT")
    except FAILURES:
        raise
    except NO_SENSE as error:
        kind = type(error).__name__  # its text may quote what was read
        raise NotUnderstood(f"what it sent is not understood ({kind})") from error
    finally:
        if connection is not None:
            connection.terminate()


class KeptConnection:
    """A connection that its owner has for itself: made by `open_one` when it is needed, and given
    up without a farewell once its use was broken off."""

    def __init__(self, open_one: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._open_one = open_one
        self._kept: asyncpg.Connection | None = None

    @asynccontextmanager
    async def use(self, timeout: float) -> AsyncIterator[asyncpg.Connection]:
        """The connection, for `timeout` seconds with its making. Raises one of `FAILURES`."""
        try:
            async with asyncio.timeout(timeout):
                if self._kept is None or self._kept.is_closed():
                    self._kept = await self._open_one()
                yield self._kept
        except BaseException:
            self.drop()
            raise

    def drop(self) -> None:
        """Let go of it without a word to the server, which may be hung."""
        if self._kept is not None:
            self._kept.terminate()
            self._kept = None


def servers(url: str) -> list[str]:
    """The address of each single server that `url` names, in either way that libpq knows."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    if hosts:
        several = [parts._replace(netloc=login + at + host) for host in hosts.split(",")]
        return [urlunsplit(one) for one in several]
    query = dict(parse_qsl(parts.query))
    names = query.get("host", "").split(",")
    ports = query.get("port", "").split(",")
    if len(names) == 1 or len(ports) not in (1, len(names)):
        return [url]  # one, or what the driver refuses with a reason
    ports *= len(names) // len(ports)
    places = [{"host": name, "port": port} for name, port in zip(names, ports, strict=True)]
    return [urlunsplit(parts._replace(query=urlencode(query | place))) for place in places]


def reason(error: BaseException) -> str:
    """For a log line: the type of an error, which describes an outage well enough and quotes no
    secret; of a server that is not trusted or not understood also why."""
    kind = type(error).__name__
    return f"{kind}: {error}" if isinstance(error, UntrustedServer | NotUnderstood) else kind


def is_refusal(error: BaseException) -> bool:
    """Whether a server, or a pooler before it, has refused the password or the role."""
    refused = isinstance(error, asyncpg.InvalidAuthorizationSpecificationError)
    # PgBouncer says it by its own code.
    pooled = isinstance(error, asyncpg.ProtocolViolationError) and "auth" in str(error)
    return refused or pooled


def is_cut(error: BaseException) -> bool:
    """Whether the connection ended during a statement, at either end. That is never the statement's
    fault."""
    closed = isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)
    return closed or isinstance(error, CUT)


async def _ask(
    url: str, options: Mapping[str, Any], opened: list[tuple[bool, asyncpg.Connection]]
) -> None:
    """Add the connection to `opened`, after whether it leads to a standby. That is asked in SQL:
    what a pooler reports of its server may be from before a failover."""
    connection = await open_connection(url, **options)
    try:
        opened.append((await connection.fetchval("SELECT pg_is_in_recovery()"), connection))
    except BaseException:
        connection.terminate()
        raise


async def _choose(
    addresses: list[str], options: Mapping[str, Any], timeout: float
) -> asyncpg.Connection:
    """Ask in the order given, the next one as soon as one has failed or been silent for long."""
    unasked = list(addresses)
    head_start = min(HEAD_START, 1 / 2 / len(addresses))  # the last one has half of the time
    asking: set[asyncio.Task[None]] = set()
    opened: list[tuple[bool, asyncpg.Connection]] = []
    failure: BaseException | None = None
    chosen: asyncpg.Connection | None = None
    try:
        while unasked or asking:
            if unasked:
                asking.add(asyncio.create_task(_ask(unasked.pop(0), options, opened)))
            patience = head_start if unasked else LAST_CHANCE if opened else 1
            answered, asking = await asyncio.wait(
                asking, timeout=patience * timeout, return_when=asyncio.FIRST_COMPLETED
            )
            for task in answered:
                failure = task.exception() or failure
            if not (answered or unasked) or any(not recovering for recovering, _ in opened):
                break
        if not opened:
            raise failure or TimeoutError
        chosen = min(opened, key=lambda one: one[0])[1]
        return chosen
    finally:
        for task in asking:
            task.cancel()
        for _, connection in opened:
            if connection is not chosen:
                connection.terminate()

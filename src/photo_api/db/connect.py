"""Connections to the database: to which of several servers, and what of a session may be relied on.

The address may name several servers, `postgresql://user:password@one:5432,two:5432/name`. The one
that is not in recovery is taken; while none is (in the middle of a failover) a standby is, so that
reads go on. This is decided here and not by the driver, which tries one address after the other and
would spend the whole time on the first that does not answer.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from photo_api.settings.dependencies import DatabaseSettings
from photo_base.postgres import SERVER_SETTINGS, UntrustedServer, open_connection

FAILURES = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a statement that met the end of its connection
)
"""What a lost, refused, hung or failing database raises."""

HEAD_START, LAST_CHANCE = 1 / 8, 1 / 4
"""Shares of the time for connecting: what a silent server gets before the next is asked as well,
and what those that are still silent get once a standby has answered."""

STATEMENTS_KEPT = 100
LONGEST_IDLE_TRANSACTION = "60s"


async def connect(
    settings: DatabaseSettings, name: str, *, timeout: float, session: bool = False
) -> asyncpg.Connection:
    """A connection that shows as `name` in pg_stat_activity, made within `timeout` seconds.
    `session` asks for one whose session lasts, past any transaction pooler. Raises one of
    `FAILURES`."""
    url = settings.session_url if session else settings.url
    return await connect_to_primary(
        url, session_options(settings, name, session=session), timeout=timeout
    )


def session_options(
    settings: DatabaseSettings, name: str, *, session: bool = False
) -> dict[str, Any]:
    """What the driver is told. Behind a transaction pooler nothing may be prepared, and only those
    parameters are sent that PgBouncer knows: it refuses a connection for any other."""
    pooled = settings.pooler == "transaction" and not session
    parameters = {"application_name": name, "timezone": "UTC"}
    if not pooled:
        parameters |= SERVER_SETTINGS
        parameters["idle_in_transaction_session_timeout"] = LONGEST_IDLE_TRANSACTION
    return {
        "target_session_attrs": "any",  # whatever the address says: a standby is of use
        "statement_cache_size": 0 if pooled else STATEMENTS_KEPT,
        "server_settings": parameters,
    }


async def connect_to_primary(
    url: str, options: Mapping[str, Any], *, timeout: float
) -> asyncpg.Connection:
    """A connection to the server of `url` that is not in recovery, else to one that is. Raises one
    of `FAILURES`, after `timeout` seconds at most."""
    addresses = servers(url)
    async with asyncio.timeout(timeout):
        if len(addresses) == 1:
            return await open_connection(url, **options)
        return await _choose(addresses, options, timeout)


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


def moved(before: DatabaseSettings, after: DatabaseSettings) -> bool:
    """Whether anything but a password differs, so that connections from before lead elsewhere or
    belong to somebody else."""
    urls = zip((before.url, before.session_url), (after.url, after.session_url), strict=True)
    return any(_without_password(old) != _without_password(new) for old, new in urls)


def _without_password(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    query = [pair for pair in parse_qsl(parts.query) if pair[0] != "password"]
    return login.partition(":")[0], at, hosts, parts.path, urlencode(query)


def reason(error: BaseException) -> str:
    """For a log line: the type of an error, which tells an outage well enough and quotes no
    secret; of a server that is not trusted also why."""
    kind = type(error).__name__
    return f"{kind}: {error}" if isinstance(error, UntrustedServer) else kind


def is_refusal(error: BaseException) -> bool:
    """Whether a server, or a pooler before it, has refused who asks: the password or the role."""
    refused = isinstance(error, asyncpg.InvalidAuthorizationSpecificationError)
    # PgBouncer says it by its own code.
    pooled = isinstance(error, asyncpg.ProtocolViolationError) and "auth" in str(error)
    return refused or pooled


def is_cut(error: BaseException) -> bool:
    """Whether a connection ended under what was asked, whoever ended it. That is never the fault of
    what was asked."""
    closed = isinstance(error, asyncpg.InterfaceError) and "closed" in str(error)
    return closed or isinstance(
        error,
        (
            ConnectionError,
            asyncpg.PostgresConnectionError,
            asyncpg.InternalClientError,
            asyncpg.AdminShutdownError,
            asyncpg.CrashShutdownError,
        ),
    )


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
    asking: set[asyncio.Task[None]] = set()
    opened: list[tuple[bool, asyncpg.Connection]] = []
    failure: BaseException | None = None
    chosen: asyncpg.Connection | None = None
    try:
        while unasked or asking:
            if unasked:
                asking.add(asyncio.create_task(_ask(unasked.pop(0), options, opened)))
            patience = HEAD_START if unasked else LAST_CHANCE if opened else 1
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

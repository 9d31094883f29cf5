"""The database's server, as far as any role sees it: its clock, its connections, its limits."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from photo_base.clock import Offset, measured
from photo_base.log_lines import one_line
from photo_base.postgres import FAILURES, only_reading, reason
from photo_fleet.balancer.database_address import VARIABLE
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import NotRead, Seen, Unseen

CONNECTING, READING, STATEMENT = 10.0, 15.0, 10.0
"""Seconds for a connection, for all that is read over it, and for each statement."""
LOCKED = 2.0
"""Seconds for a lock on one table, which somebody else holds."""
CLOCK_READINGS = 5
MOST_PROGRAMS = 20
DRIVER: Mapping[str, Any] = {
    "statement_cache_size": 0,  # a pooler in front may know nothing of prepared statements
    "server_settings": {"application_name": "photo-fleet doctor"},
}
CHECK = "photo-fleet role"
TOLD = 'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT now(), pg_is_in_recovery()"'

HOLDERS = (
    'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT pid, mode, usename, application_name,'
    " now() - xact_start AS since FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE granted AND relation = to_regclass('{table}')\""
)

LIMITS = """
    SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS recovering,
        current_setting('max_connections')::int AS most,
        current_setting('superuser_reserved_connections')::int
        -- Since PostgreSQL 16.
        + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
        (SELECT nullif(datconnlimit, -1) FROM pg_database
            WHERE datname = current_database()) AS of_database,
        to_regclass('instances') IS NOT NULL AS migrated,
        to_regclass('schema_migrations') IS NOT NULL
        AND has_table_privilege('schema_migrations', 'SELECT') AS told
"""
MIGRATIONS = "SELECT name FROM schema_migrations ORDER BY name LIMIT 10000"
# Of others' sessions every role sees whose they are and what they call themselves. Those without a
# database or a role are the server's own, and take up none of the connections.
SESSIONS = """
    SELECT coalesce(application_name, '') AS program, count(*) AS sessions,
        min(nullif(rolconnlimit, -1)) AS of_role
    FROM pg_stat_activity LEFT JOIN pg_roles ON pg_roles.oid = usesysid
    WHERE datid IS NOT NULL AND usesysid IS NOT NULL GROUP BY 1 ORDER BY 2 DESC
"""


@dataclass(frozen=True, slots=True)
class Server:
    """What a PostgreSQL told. `clock` is its clock against ours. `connections` are the clients'
    now, ours among them, by the program's name (the `MOST_PROGRAMS` largest), `in_use` all of them;
    `max_connections` has room for `reserved` ones of superusers and of those who may use them.
    `database_limit` and `role_limit` are lower limits of this database, and of the roles that are
    connected as a service; None: none. `migrated`: it has a registry. `migrations` are those that
    it has, which raise `Unseen` where they could not be read; None when our role may not."""

    version: str
    recovering: bool
    clock: Offset
    max_connections: int
    reserved: int
    in_use: int = 0
    connections: Mapping[str, int] = field(default_factory=dict)
    database_limit: int | None = None
    role_limit: int | None = None
    migrated: bool = True
    migrations: Sequence[str] | None = None

    @property
    def usable(self) -> int:
        """Connections that the service may have at most, whatever limits them first."""
        limits = (self.max_connections - self.reserved, self.database_limit, self.role_limit)
        return min(limit for limit in limits if limit is not None)


@dataclass(frozen=True, slots=True)
class DatabaseLook:
    """`server` is what it told, or None; `problem` is then what it said instead: `full` when it has
    no connection left, `refused` when it turned us away without one or nobody listens there."""

    server: Server | None
    problem: str = ""
    full: bool = False
    refused: bool = False


async def take(reach: Reach, seen: Seen) -> DatabaseLook:
    """Raises `Unseen` without an address, and when it is silent: what does not answer us may well
    answer others."""
    if reach.database is None:
        raise Unseen(
            "nobody has told the database's address", f"{VARIABLE}_FILE=… photo-fleet doctor"
        )
    try:
        async with connected(reach) as connection:
            return DatabaseLook(await _read(connection))
    except asyncpg.TooManyConnectionsError as error:
        return DatabaseLook(None, one_line(error)[:200], full=True)
    except (ConnectionRefusedError, asyncpg.CannotConnectNowError) as error:
        return DatabaseLook(None, one_line(error)[:200], refused=True)
    except FAILURES as error:
        raise Unseen(f"the database: {explained(error)}", TOLD) from error


@asynccontextmanager
async def connected(reach: Reach) -> AsyncIterator[asyncpg.Connection]:
    """A connection in a transaction that only reads, with a bound for each statement and for the
    block; of several servers the primary, else a standby. Raises one of `FAILURES`."""
    assert reach.database is not None
    async with only_reading(
        reach.database(), DRIVER, connecting=CONNECTING, reading=READING, statement=STATEMENT
    ) as connection:
        await connection.execute(f"SET LOCAL lock_timeout = '{LOCKED:g}s'")
        yield connection


async def rows_of(
    connection: asyncpg.Connection, table: str, sql: str, *arguments: object
) -> list[asyncpg.Record]:
    """The rows of a statement about this table. Raises `Unseen` when the server refuses it, and
    leaves the transaction as it was."""
    await connection.execute("SAVEPOINT one_table")
    try:
        return list(await connection.fetch(sql, *arguments))
    except asyncpg.PostgresError as error:
        await connection.execute("ROLLBACK TO SAVEPOINT one_table")
        raise Unseen(f"{table}: {_refused(error)}", HOLDERS.format(table=table)) from error


def _refused(error: asyncpg.PostgresError) -> str:
    if isinstance(error, asyncpg.LockNotAvailableError):
        return f"somebody holds a lock on it for more than {LOCKED:g} s"
    if isinstance(error, asyncpg.QueryCanceledError):
        return f"no answer within {STATEMENT:g} s"
    return explained(error)


async def _read(connection: asyncpg.Connection) -> Server:
    async def now() -> float:
        told: float = await connection.fetchval(
            "SELECT extract(epoch FROM clock_timestamp())::float8"
        )
        return told

    clock = await measured(now, CLOCK_READINGS)
    (limits,) = await connection.fetch(LIMITS)
    rows = await connection.fetch(SESSIONS)
    services = [row for row in rows if row["program"].startswith("photo-api")]
    role_limits = [row["of_role"] for row in services if row["of_role"] is not None]
    return Server(
        version=one_line(limits["version"])[:100],
        recovering=limits["recovering"],
        clock=clock,
        max_connections=limits["most"],
        reserved=limits["reserved"],
        in_use=sum(row["sessions"] for row in rows),
        connections={
            one_line(row["program"])[:64]: row["sessions"] for row in rows[:MOST_PROGRAMS]
        },
        database_limit=limits["of_database"],
        role_limit=min(role_limits, default=None),
        migrated=limits["migrated"],
        migrations=await _migrations(connection) if limits["told"] else None,
    )


async def _migrations(connection: asyncpg.Connection) -> Sequence[str]:
    try:
        rows = await rows_of(connection, "schema_migrations", MIGRATIONS)
    except Unseen as unseen:
        return NotRead(unseen)
    return tuple(one_line(name)[:100] for (name,) in rows)


def explained(error: BaseException) -> str:
    """Why the database could not be read, without any secret."""
    return "no answer in time" if isinstance(error, TimeoutError) else reason(error)

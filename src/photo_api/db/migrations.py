"""Schema migrations: plain SQL files beside this module, applied in order, by whoever is first.

A file whose first line is `-- outside a transaction` is run statement by statement, for CREATE
INDEX CONCURRENTLY; all others are one transaction each together with their record.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, NamedTuple

from photo_api.db.connect import connect
from photo_api.settings.dependencies import DatabaseSettings

log = logging.getLogger(__name__)

LOCK = 0x70686F746F  # "photo": one advisory lock for all who migrate this database
OUTSIDE = "-- outside a transaction"
LOCK_POLL = 0.1
LOCK_TIMEOUT = "5s"


class Migration(NamedTuple):
    """One file; `name` such as `0001_initial` is what the database records."""

    name: str
    sql: str


def known_migrations() -> list[Migration]:
    """All migrations of this release, in the order in which they apply."""
    folder = files("photo_api.db").joinpath("sql")
    found = [item for item in folder.iterdir() if item.name.endswith(".sql")]
    return [
        Migration(item.name.removesuffix(".sql"), item.read_text(encoding="utf-8"))
        for item in sorted(found, key=lambda item: item.name)
    ]


async def applied_migrations(connection: Any) -> set[str]:
    """Names of what the database has; empty for a database without our schema."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return set()
    rows = await connection.fetch("SELECT name FROM schema_migrations")
    return {row["name"] for row in rows}


async def migrate(settings: DatabaseSettings) -> list[str]:
    """Apply what is missing; gives the names applied. Any number of instances may call this at the
    same moment: one works, the others wait."""
    connection = await connect(settings, "photo-api migrate", timeout=10, session=True)
    try:
        async with _exclusive(connection):
            return await _apply_missing(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def _exclusive(connection: Any) -> AsyncIterator[None]:
    # Polled, because a session that waits inside pg_advisory_lock holds a snapshot, and CREATE
    # INDEX CONCURRENTLY waits for all older snapshots: a deadlock.
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
        await asyncio.sleep(LOCK_POLL)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def _apply_missing(connection: Any) -> list[str]:
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    applied = await applied_migrations(connection)
    missing = [item for item in known_migrations() if item.name not in applied]
    for item in missing:
        await _apply(connection, item)
        log.info("applied migration %s", item.name)
    return [item.name for item in missing]


async def _apply(connection: Any, item: Migration) -> None:
    record = "INSERT INTO schema_migrations (name) VALUES ($1)"
    if item.sql.startswith(OUTSIDE):
        for statement in filter(None, (part.strip() for part in item.sql.split(";\n"))):
            await connection.execute(statement)
        await connection.execute(record, item.name)
        return
    async with connection.transaction():
        await connection.execute(item.sql)
        await connection.execute(record, item.name)

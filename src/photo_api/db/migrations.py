"""Schema migrations: plain SQL files beside this module, applied in order, by the first instance.

A file's first lines may say more, as comments:
`-- outside a transaction`: it is run statement by statement, for CREATE INDEX CONCURRENTLY; all
others are one transaction each together with their record. Such a file must stand being begun
anew (DROP INDEX CONCURRENTLY IF EXISTS before it creates one).
`-- breaks the release before: <why>`: the release that runs now cannot work on the schema it makes.
It is refused on a database in use, unless that is explicitly allowed.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import takewhile
from typing import Any, NamedTuple

from photo_api.db.connect import connect
from photo_api.db.fitness import UnfitDatabase, unfitness
from photo_api.settings.dependencies import DatabaseSettings

log = logging.getLogger(__name__)

LOCK = 0x70686F746F  # "photo": one advisory lock for all processes that migrate this database
OUTSIDE = "-- outside a transaction"
BREAKS = "-- breaks the release before:"
LOCK_POLL = 0.1
LOCK_TIMEOUT = "5s"


class Migration(NamedTuple):
    """One file; `name` such as `0001_initial` is what the database records."""

    name: str
    sql: str

    @property
    def header(self) -> list[str]:
        """The comments before the first statement."""
        return list(takewhile(lambda line: line.startswith("--"), self.sql.splitlines()))

    @property
    def outside(self) -> bool:
        return OUTSIDE in self.header

    @property
    def breaks(self) -> str | None:
        """Why the release before cannot work on this schema; None when it can."""
        reasons = [line.removeprefix(BREAKS) for line in self.header if line.startswith(BREAKS)]
        return reasons[0].strip() if reasons else None


class BreakingMigrations(Exception):
    """Refused: `reasons` by the names of the migrations that would break the release before."""

    def __init__(self, reasons: dict[str, str]) -> None:
        named = "\n".join(f"  {name}: {why}" for name, why in reasons.items())
        super().__init__(
            "Nothing was migrated, because the release that runs on this database would break:\n"
            f"{named}\n"
            "Stop it everywhere first, then migrate with --allow-breaking."
        )
        self.reasons = reasons


def known_migrations(folder: Traversable | None = None) -> list[Migration]:
    """All migrations in `folder`, by default those of this release, in the order in which they
    apply."""
    folder = folder or files("photo_api.db").joinpath("sql")
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


async def missing_migrations(connection: Any) -> list[str]:
    """Names of what this release knows and the database lacks."""
    applied = await applied_migrations(connection)
    return [item.name for item in known_migrations() if item.name not in applied]


async def migrate(
    settings: DatabaseSettings,
    allow_breaking: bool = False,
    migrations: Sequence[Migration] | None = None,
) -> list[str]:
    """Apply what is missing (of this release's, if none are given); gives the names applied. Any
    number of instances may call this at the same moment: one works, the others wait.

    Raises `UnfitDatabase` for one on which the service cannot work, and `BreakingMigrations`, with
    nothing applied, when the database is in use and one of them breaks the release before, unless
    `allow_breaking`."""
    known = known_migrations() if migrations is None else migrations
    connection = await connect(settings, "photo-api migrate", timeout=10, session=True)
    try:
        if unfit := await unfitness(connection):
            raise UnfitDatabase(unfit)
        async with _exclusive(connection):
            return await _apply_missing(connection, known, allow_breaking)
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


async def _apply_missing(
    connection: Any, known: Sequence[Migration], allow_breaking: bool
) -> list[str]:
    applied = await applied_migrations(connection)
    missing = [item for item in known if item.name not in applied]
    breaking = {item.name: item.breaks for item in missing if item.breaks is not None}
    if breaking and applied and not allow_breaking:
        raise BreakingMigrations(breaking)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    await connection.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    for item in missing:
        await _apply(connection, item)
        log.info("applied migration %s", item.name)
    return [item.name for item in missing]


async def _apply(connection: Any, item: Migration) -> None:
    record = "INSERT INTO schema_migrations (name) VALUES ($1)"
    if item.outside:
        for statement in filter(None, (part.strip() for part in item.sql.split(";\n"))):
            await connection.execute(statement)
        await connection.execute(record, item.name)
        return
    async with connection.transaction():
        await connection.execute(item.sql)
        await connection.execute(record, item.name)

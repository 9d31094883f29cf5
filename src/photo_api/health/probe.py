"""The one probe of the database that an instance has, however many ask for its health."""

import time
from collections.abc import Callable

import asyncpg

from photo_api.contract import PROBE_TIMEOUT
from photo_api.db.connect import connect, moved
from photo_api.db.fitness import unfitness
from photo_api.db.migrations import missing_migrations
from photo_api.health.checks import Check, found
from photo_api.settings.dependencies import DatabaseSettings
from photo_base.postgres import FAILURES, KeptConnection, is_refusal


class DatabaseProbe:
    """Asks over a connection of its own: a busy pool must not look like a failed database."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._connection = KeptConnection(self._connect)
        self._schema_complete = False
        self.refused: Callable[[], None] = lambda: None

    def use(self, settings: DatabaseSettings) -> None:
        """Check this database from now on, over the same connection if only the password is new."""
        before, self._settings = self._settings, settings
        if moved(before, settings):
            self.close()

    async def check(self) -> Check:
        """`SELECT 1` within 1.5 s; and, until it was complete once, whether the database is fit and
        its schema has every migration that this release knows (newer ones are fine)."""
        started = time.monotonic()
        try:
            async with self._connection.use(PROBE_TIMEOUT) as connection:
                error = await self._ask(connection)
        except TimeoutError:
            error = f"no answer within {PROBE_TIMEOUT:g} s"
        except FAILURES as failure:
            error = type(failure).__name__
            if is_refusal(failure):
                self.refused()
        if error is not None:
            self.close()
        return found(started, error)

    async def _ask(self, connection: asyncpg.Connection) -> str | None:
        await connection.fetchval("SELECT 1")
        if not self._schema_complete:
            if unfit := await unfitness(connection):
                return unfit
            missing = await missing_migrations(connection)
            if missing:
                return f"schema incomplete, run photo-api migrate: {', '.join(missing)}"
            self._schema_complete = True
        return None

    def close(self) -> None:
        """Drop the connection without waiting for the server, which may hang."""
        self._connection.drop()

    async def _connect(self) -> asyncpg.Connection:
        return await connect(self._settings, "photo-api probe", timeout=PROBE_TIMEOUT)

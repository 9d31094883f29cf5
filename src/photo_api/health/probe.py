"""The one probe of the database that an instance has, however many ask for its health."""

import asyncio
import time
from collections.abc import Callable

import asyncpg

from photo_api.db.connect import connect, moved
from photo_api.db.migrations import missing_migrations
from photo_api.health.checks import Check, found
from photo_api.settings.dependencies import DatabaseSettings
from photo_base.postgres import FAILURES, is_refusal

PROBE_TIMEOUT = 1.5


class DatabaseProbe:
    """Asks over a connection of its own: a busy pool must not look like a failed database."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._connection: asyncpg.Connection | None = None
        self._schema_complete = False
        self.refused: Callable[[], None] = lambda: None

    def use(self, settings: DatabaseSettings) -> None:
        """Check this database from now on, over the same connection if only the password is new."""
        before, self._settings = self._settings, settings
        if moved(before, settings):
            self.close()

    async def check(self) -> Check:
        """`SELECT 1` within 1.5 s; and, until it was complete once, whether the schema has every
        migration that this release knows (newer ones are fine)."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                error = await self._ask()
        except TimeoutError:
            error = f"no answer within {PROBE_TIMEOUT:g} s"
        except FAILURES as failure:
            error = type(failure).__name__
            if is_refusal(failure):
                self.refused()
        if error is not None:
            self.close()
        return found(started, error)

    async def _ask(self) -> str | None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._settings, "photo-api probe", timeout=PROBE_TIMEOUT
            )
        await self._connection.fetchval("SELECT 1")
        if not self._schema_complete:
            missing = await missing_migrations(self._connection)
            if missing:
                return f"schema incomplete, run photo-api migrate: {', '.join(missing)}"
            self._schema_complete = True
        return None

    def close(self) -> None:
        """Drop the connection without waiting for the server, which may hang."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

"""The connection pool: bounded waiting, and no round trip to reset what nobody changed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import orjson

from photo_api.settings.dependencies import DatabaseSettings


class DatabaseUnavailable(Exception):
    """No connection could be had in time: the pool is exhausted or the server does not answer."""


class Database:
    """A pool of connections to PostgreSQL. Errors of the driver pass through unchanged; only
    `http.errors` makes answers of them."""

    def __init__(self, pool: asyncpg.Pool, wait: float) -> None:
        self._pool = pool
        self._wait = wait

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        """A connection, outside any transaction. Raises `DatabaseUnavailable` after the wait."""
        try:
            connection = await self._pool.acquire(timeout=self._wait)
        except (TimeoutError, OSError, asyncpg.PostgresError) as error:
            raise DatabaseUnavailable(type(error).__name__) from error
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection inside a transaction, committed once at the end or rolled back."""
        async with self.acquire() as connection, connection.transaction():
            yield connection

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        async with self.acquire() as connection:
            return list(await connection.fetch(query, *args))

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        async with self.acquire() as connection:
            row: asyncpg.Record | None = await connection.fetchrow(query, *args)
            return row

    async def fetchval(self, query: str, *args: object) -> Any:
        async with self.acquire() as connection:
            return await connection.fetchval(query, *args)

    async def execute(self, query: str, *args: object) -> str:
        async with self.acquire() as connection:
            return str(await connection.execute(query, *args))


async def _set_codecs(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: orjson.dumps(value).decode(),
        decoder=orjson.loads,
    )


async def _keep(_: asyncpg.Connection) -> None:
    """Pool connections never LISTEN, lock or SET, so there is nothing to reset between uses; the
    driver's own reset is one more round trip for each request."""


@asynccontextmanager
async def open_database(settings: DatabaseSettings, name: str) -> AsyncIterator[Database]:
    """The pool for one process; `name` shows in pg_stat_activity. It starts empty, so a process
    can start (and say that it is not ready) while the database is down."""
    pool = asyncpg.create_pool(
        settings.url,
        min_size=0,
        max_size=settings.pool_size,
        command_timeout=settings.statement_timeout,
        timeout=settings.pool_wait,
        max_inactive_connection_lifetime=300,
        init=_set_codecs,
        reset=_keep,
        server_settings={
            "application_name": name,
            "timezone": "UTC",
            "idle_in_transaction_session_timeout": "60s",
        },
    )
    async with pool:
        yield Database(pool, settings.pool_wait)

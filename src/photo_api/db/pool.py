"""The connection pool: bounded waiting, quick refusal while the server is down, and no round trip
to reset what nobody changed: its connections never LISTEN, lock or SET beyond a transaction."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import orjson

from photo_api.db.connect import moved, session_options
from photo_api.db.connections import Connections
from photo_api.db.statement_spans import keep_no_spans, keep_spans
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import (
    BREAKER_OPEN,
    DATABASE_CONNECTIONS,
    DATABASE_REFUSALS,
    DATABASE_WAITING,
)
from photo_api.resilience import PAUSE, Breaker
from photo_api.settings.dependencies import DatabaseSettings
from photo_api.settings.secrets import LiveSettings
from photo_api.tracing import record, sampled
from photo_base.postgres import FAILURES, connect_to_primary, is_refusal, reason
from photo_base.tasks import cancel

log = logging.getLogger(__name__)

CONNECT_SHARE = 2 / 3
"""Share of the pool's wait after which a connection that is not made counts as a failure. Less than
all of it, so that this is seen before the request that waits for it gives up."""

OUTDATED = (asyncpg.InvalidCachedStatementError, asyncpg.OutdatedSchemaCacheError)
"""A migration has changed what statements return, which every connection has read before."""

ANSWER_WAIT = 1.0
"""Seconds in which a server that let a statement run into its timeout has to answer anything."""

PARTING = 0.25
"""Seconds for closing the pool, after which a hung server gets no more goodbyes: within the second
of `contract.STOP_MARGIN` in which what is left is cut, or the process is killed before it has told
what it cut."""


class DatabaseUnavailable(Exception):
    """No connection could be had in time: the pool is exhausted or the server does not answer."""


class Database:
    """A pool of connections to PostgreSQL. Errors of the driver pass through unchanged; only
    `http.errors` makes answers of them.

    While the server is down no caller waits for it: a task of the pool asks whether it is back, and
    all others are refused at once. A pool whose connections are merely all in use refuses only
    callers that have waited. A server that refuses our credentials is not down: connections from
    before go on, and `refused` is called."""

    def __init__(self, settings: DatabaseSettings, name: str, size: int) -> None:
        self._settings = settings
        self._options = session_options(settings, name) | {
            "command_timeout": settings.statement_timeout
        }
        self.refused: Callable[[], None] = lambda: None
        self._refused_until = 0.0
        self._connect_wait = settings.pool_wait * CONNECT_SHARE
        self._breaker = Breaker("database")
        self._failing = False  # has the breaker counted anything: all that a request looks at
        self._asking: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._settling = set[asyncio.Task[None]]()
        self._waiting = 0
        self._refusals = 0
        self._connections = Connections(size, settings.pool_wait, self._connect)

    def acquire(self) -> "_Use":
        """A connection, outside any transaction, as a context. Raises `DatabaseUnavailable` after
        the wait, or at once while the server is down."""
        return _Use(self)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A connection inside a transaction, committed once at the end or rolled back."""
        async with self.acquire() as connection, connection.transaction():
            try:
                yield connection
            except TimeoutError:
                # Before the rollback, which would wait as long again for a server that is hung.
                await self._settle(connection)
                raise

    async def fetch(self, query: str, *args: object) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._alone("fetch", query, args)
        return rows

    async def fetchrow(self, query: str, *args: object) -> asyncpg.Record | None:
        row: asyncpg.Record | None = await self._alone("fetchrow", query, args)
        return row

    async def fetchval(self, query: str, *args: object) -> Any:
        return await self._alone("fetchval", query, args)

    async def execute(self, query: str, *args: object) -> str:
        return str(await self._alone("execute", query, args))

    async def _alone(self, ask: str, query: str, args: tuple[object, ...]) -> Any:
        """One statement on a connection of its own, mostly with nothing to wait for besides."""
        lent = None if self._failing or sampled() is not None else self._connections.take_at_once()
        if lent is None:
            async with self.acquire() as connection:
                return await getattr(connection, ask)(query, *args)
        try:
            found = await getattr(lent, ask)(query, *args)
        except Exception as error:
            await self.give_back(lent, error)
            raise
        except BaseException:
            self.give_back_later(lent)
            raise
        if self._failing:
            self._succeeded()
        self._connections.give_back(lent)
        return found

    def watched_by(self, counts: Counts, process: str) -> None:
        """Have the pool of this kind of process counted."""
        ours = self._connections
        counts.watch(DATABASE_CONNECTIONS, process, "in_use", read=lambda: ours.in_use)
        counts.watch(DATABASE_CONNECTIONS, process, "idle", read=lambda: ours.idle)
        counts.watch(DATABASE_WAITING, process, read=lambda: self._waiting)
        counts.watch(DATABASE_REFUSALS, process, read=lambda: self._refusals)
        counts.watch(BREAKER_OPEN, "database", read=lambda: self._breaker.is_open)

    def use(self, settings: DatabaseSettings) -> None:
        """Make new connections with the address and password of these. Those that there are stay,
        unless more than the password differs."""
        before, self._settings = self._settings, settings
        self._refused_until = 0.0
        if moved(before, settings):
            self._connections.expire()

    async def close(self) -> None:
        """Let go of all connections, within `PARTING` seconds."""
        await cancel(*filter(None, (self._asking, self._looking)), *self._settling)
        with suppress(*FAILURES):
            await self._connections.close(PARTING)

    async def take(self) -> asyncpg.Connection:
        """For `give_back` or `give_back_later`; otherwise as `acquire`."""
        if self._failing and self._breaker.is_open:
            self._refusals += 1
            raise DatabaseUnavailable("the server does not answer")
        try:
            return self._connections.take_at_once() or await self._take_when_there_is_one()
        except FAILURES as error:
            self._refusals += 1
            if isinstance(error, TimeoutError):
                self._start_asking()
            raise DatabaseUnavailable(reason(error)) from error

    async def _take_when_there_is_one(self) -> asyncpg.Connection:
        self._waiting += 1
        try:
            return await self._connections.take()
        finally:
            self._waiting -= 1

    async def give_back(self, connection: asyncpg.Connection, error: BaseException | None) -> None:
        """After a use that ended so."""
        try:
            if error is None:
                if self._failing:
                    self._succeeded()
            elif isinstance(error, TimeoutError):
                await self._settle(connection)
            elif isinstance(error, asyncpg.ReadOnlySQLTransactionError):
                self._start_looking()
            elif isinstance(error, OUTDATED):
                self._connections.expire()
        finally:
            self._connections.give_back(connection)

    def give_back_later(self, connection: asyncpg.Connection) -> None:
        """After a use that was cancelled: its statement may go on for a while, for which nobody
        waits."""
        task = asyncio.create_task(self.give_back(connection, TimeoutError()))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def _connect(self) -> asyncpg.Connection:
        """What connections are made with."""
        if time.monotonic() < self._refused_until:
            raise asyncpg.InvalidAuthorizationSpecificationError("refused a moment ago")
        try:
            async with asyncio.timeout(self._connect_wait):
                connection = await self._open()
        except FAILURES as error:
            if is_refusal(error):
                self._refused_until = time.monotonic() + PAUSE
                self.refused()
            else:
                self._failed(error)
            raise
        self._succeeded()
        return connection

    async def _open(self) -> asyncpg.Connection:
        connection = await connect_to_primary(
            self._settings.url, self._options, timeout=self._connect_wait
        )
        try:
            await _set_codecs(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _settle(self, connection: Any) -> None:
        """After a statement's timeout: was it slow, or is its server gone? The driver has asked for
        its cancellation, which anything asked now waits for."""
        try:
            await connection.execute("SELECT 1", timeout=ANSWER_WAIT)
        except FAILURES as error:
            if _is_an_answer(error):
                return  # for instance that the transaction has failed
            connection.terminate()
            # Its siblings may be dead too: none is used again.
            self._connections.expire()
            self._failed(error)
        except asyncio.CancelledError:
            connection.terminate()
            raise

    def _succeeded(self) -> None:
        self._failing = False
        self._breaker.succeeded()

    def _failed(self, error: BaseException, *, proof: bool = False) -> None:
        self._failing = True
        was_open = self._breaker.is_open
        if proof:
            self._breaker.trip()
        else:
            self._breaker.failed()
        if self._breaker.is_open and not was_open:
            log.warning("the database is taken to be down: %s", reason(error))
            self._connections.expire()
            self._start_asking()

    def _start_asking(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_until_answered())

    async def _ask_until_answered(self) -> None:
        """Ask the server over fresh connections, until it answers. One that does not take a new
        connection in time is down, however many of the pool's are merely busy."""
        while True:
            was_open = self._breaker.is_open
            try:
                await _part(await self._connect())
                if was_open:
                    log.warning("the database answers again")
            except (OSError, TimeoutError) as error:
                self._failed(error, proof=True)
            except FAILURES as error:
                log.debug("the database refuses: %s", reason(error))
            except Exception:  # without a further question it would be taken to be down for ever
                log.exception("the database cannot be asked")
            await asyncio.sleep(PAUSE * random.uniform(0.75, 1.25))
            if not self._breaker.is_open:
                return

    def _start_looking(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_for_primary())

    async def _look_for_primary(self) -> None:
        """After a write that was refused: when a fresh connection may write, the pool's are those
        of a former primary, and all are replaced."""
        try:
            connection = await self._connect()
            try:
                if await connection.fetchval("SHOW transaction_read_only") == "off":
                    self._connections.expire()
                    log.warning("connections to a read-only server are replaced")
            finally:
                await _part(connection)
        except FAILURES as error:
            log.debug("no primary is found: %s", type(error).__name__)
        except Exception:  # nobody awaits this; the next refused write looks again
            log.exception("the primary cannot be looked for")
        await asyncio.sleep(PAUSE)


class _Use:
    """A connection for as long as this context lasts."""

    __slots__ = ("_connection", "_database", "_traced")

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> asyncpg.Connection:
        trace = sampled()
        began = time.monotonic() if trace is not None else 0.0
        self._connection = await self._database.take()
        self._traced = trace is not None
        if self._traced:
            record("database connection", time.monotonic() - began)
            keep_spans(self._connection)
        return self._connection

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._traced:
            keep_no_spans(self._connection)
        if error is None or isinstance(error, Exception):
            await self._database.give_back(self._connection, error)
        else:
            self._database.give_back_later(self._connection)
        if self._traced:
            # The driver tells of a statement at the loop's next turn, when a trace may have ended.
            await asyncio.sleep(0)


async def _set_codecs(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: orjson.dumps(value).decode(),
        decoder=orjson.loads,
    )


def _is_an_answer(error: BaseException) -> bool:
    lost = isinstance(error, asyncpg.PostgresConnectionError)
    return isinstance(error, asyncpg.PostgresError) and not lost


async def _part(connection: asyncpg.Connection) -> None:
    with suppress(*FAILURES):
        await connection.close(timeout=ANSWER_WAIT)


@asynccontextmanager
async def open_database(
    settings: DatabaseSettings, name: str, size: int | None = None
) -> AsyncIterator[Database]:
    """The pool for one process, of `size` connections or as the settings say; `name` shows in
    pg_stat_activity. It starts empty, so a process can start (and say that it is not ready) while
    the database is down."""
    database = Database(settings, name, size or settings.pool_size)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def follow_database(
    live: LiveSettings, name: str, size: int | None = None
) -> AsyncIterator[Database]:
    """As `open_database`, and kept with the secrets that change meanwhile."""
    async with open_database(live.now.database, name, size) as database:
        database.refused = lambda: live.refused("database")
        live.follow(lambda settings: database.use(settings.database))
        yield database

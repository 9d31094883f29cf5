"""This instance's row in the registry: kept alive by heartbeats, and kept true.

Nothing here ever decides what this instance does: a registry that cannot be written is a warning,
and what could not be written is soon tried again.
"""

import asyncio
import json
import logging
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import asyncpg

from photo_api.cloud.identity import Identity
from photo_api.contract import HEARTBEAT
from photo_api.db.capacity import check_capacity
from photo_api.db.connect import connect, moved
from photo_api.registry import queries, receipts
from photo_api.registry.failure_detector import FailureDetector
from photo_api.registry.queries import Removals
from photo_api.registry.receipts import Ended, Receipt
from photo_api.settings.dependencies import DatabaseSettings
from photo_api.telemetry.events import Event
from photo_api.telemetry.failures import bug
from photo_base.capacity import DEPLOYED
from photo_base.postgres import FAILURES, KeptConnection, reason

log = logging.getLogger(__name__)

FIRST_RETRY = 0.25
"""Seconds after a heartbeat that failed; twice as long after each that follows, up to HEARTBEAT."""

TIME_BOX = 2.0
"""Seconds that one use of the connection may take, so that a hung database holds nothing up."""

LAST_WORD = 2.0
"""Seconds for the last word of an instance, all tries together; `contract.STOP_MARGIN` has them."""

FIRST_TRY = 1.2
"""Seconds of them after which a connection that does not answer is given up for another."""

MOST_PENDING = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened and still has to be written; `state` None leaves the state. `at` is
    on the monotonic clock. `ended`: it is the end, with this receipt."""

    state: str | None
    event: str
    cause: str | None
    at: float
    ended: Ended | None = None


class Registration:
    """Kept by the supervisor, over a connection of its own. `load` is asked at each heartbeat for
    what this instance carries."""

    def __init__(
        self,
        database: DatabaseSettings,
        identity: Identity,
        *,
        address: str,
        port: int,
        workers: int,
        load: Callable[[], Mapping[str, object]],
    ) -> None:
        self._database = database
        self._me = queries.Boot(**asdict(identity), address=address, port=port, workers=workers)
        self._load = load
        self._detector = FailureDetector(self._me, self._connected, self.note)
        self._connection = KeptConnection(self._connect)
        # Bounded: after a long outage the newest events are worth more than memory.
        self._pending: deque[Change] = deque(maxlen=MOST_PENDING)
        self._state = "starting"
        self._began = time.monotonic()
        self._was_ready = False
        self._enlisted_at: float | None = None
        self.draining_written_at: float | None = None
        """When the registry had heard that this instance drains (monotonic)."""
        self.after_heartbeat: Callable[[Any], Awaitable[None]] | None = None
        """Asks the database something more over the same connection, within the same time box."""
        self._noted = asyncio.Event()
        self._busy = asyncio.Lock()

    def learn_region(self, region: str) -> None:
        """Where this instance stands, which the cloud had not told at start; the next sign of life
        brings it into its row."""
        self._me = replace(self._me, region=region)

    def use(self, database: DatabaseSettings) -> None:
        """Write to this database from now on, over the same connection if only its password is
        new."""
        before, self._database = self._database, database
        if moved(before, database):
            self._connection.drop()

    def change(self, state: str, event: str, cause: str | None = None) -> None:
        """Note a change of state, in order; it wakes `keep`, which writes it."""
        self._state = state
        self._was_ready = self._was_ready or state == "ready"
        self._pending.append(Change(state, event, cause, time.monotonic()))
        self._noted.set()

    def note(self, event: str, cause: str) -> None:
        """Note what happened without a change of state; written as soon as that is possible."""
        self._pending.append(Change(None, event, cause, time.monotonic()))
        self._noted.set()

    async def keep(self) -> None:
        """Heartbeats until cancelled, and what happened in between at once."""
        retry = FIRST_RETRY
        while True:
            self._noted.clear()
            written = await self.flush()
            pause = HEARTBEAT if written else retry
            retry = FIRST_RETRY if written else min(2 * retry, HEARTBEAT)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.9, 1.1)):
                    await self._noted.wait()

    async def end(self, receipt: Receipt) -> bool:
        """Write that this instance has stopped, and its receipt: again and again for `LAST_WORD`
        seconds, to the same effect. Whether the registry surely has it."""
        log.info("ended", extra=_fields(event=Event.INSTANCE_ENDED, **self._told(receipt)))
        await self._detector.close()
        self._state, now = "stopped", time.monotonic()
        ended = Ended(self._was_ready, now - self._began, receipt)
        self._pending.append(Change("stopped", "stopped", receipt.cause, now, ended))
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORD):
                while not await self.flush(FIRST_TRY) and self._pending:
                    await asyncio.sleep(2 * FIRST_RETRY)
        return not self._pending

    def _told(self, receipt: Receipt) -> dict[str, object]:
        me = {"ended_instance": self._me.instance, "ended_boot": self._me.boot_id}
        return me | {"was_ready": self._was_ready} | asdict(receipt)

    async def flush(self, time_box: float = TIME_BOX) -> bool:
        """Write what is pending and a heartbeat now; whether that worked within the time box. What
        the others do is looked at beside."""
        try:
            async with self._connected(time_box) as connection:
                gap = await self._write(connection)
                if self.after_heartbeat is not None and self._state != "stopped":
                    await self.after_heartbeat(connection)
        except FAILURES as error:
            self._detector.heartbeat_failed()
            # Before the migration there is no registry, and readiness says so already.
            unmigrated = isinstance(error, asyncpg.UndefinedTableError)
            level = logging.INFO if unmigrated else logging.WARNING
            traceback = None if unmigrated else bug(error)
            log.log(level, "registry not written: %s", reason(error), exc_info=traceback)
            return False
        if self._state != "stopped":
            self._detector.heartbeat_written(gap)
        return True

    async def warn_of_capacity(self, workers: int, jobs: int, *, deployed: bool) -> None:
        """Log a warning if the whole group's connections do not fit into the database; with those
        of the instance that a deploy adds if it is `deployed`."""
        with suppress(*FAILURES):
            async with self._connected() as connection:
                more = DEPLOYED if deployed else 0
                advice = await check_capacity(connection, self._database, workers, jobs, more)
            if advice is not None:
                log.warning("the database takes too few connections: %s", advice)

    async def removals(self) -> Removals | None:
        """How many balancers there are, and how many send nothing to this instance any more; None
        when the database cannot tell."""
        try:
            async with self._connected() as connection:
                return await queries.removals(connection, self._me.boot_id)
        except FAILURES:
            return None

    async def close(self) -> None:
        """Stop the failure detector and close the connection."""
        await self._detector.close()
        async with self._busy:
            self._connection.drop()

    @asynccontextmanager
    async def _connected(self, time_box: float = TIME_BOX) -> AsyncIterator[Any]:
        """The connection, for one user at a time and for `time_box` seconds; given up when its use
        was broken off. Raises one of `FAILURES`."""
        async with self._busy, self._connection.use(time_box) as connection:
            yield connection

    async def _connect(self) -> asyncpg.Connection:
        return await connect(self._database, "photo-api registry", timeout=TIME_BOX)

    async def _write(self, connection: Any) -> float:
        """Everything that is pending, and the heartbeat; then the row is as it should be. Gives the
        seconds since the heartbeat before, infinite when that is not known."""
        if self._enlisted_at is None:
            await queries.enlist(connection, self._me, "starting", "started")
            self._enlisted_at = time.monotonic()
        gap = 0.0
        while True:
            while self._pending:
                change = self._pending[0]
                await self._write_change(connection, change)
                if self._pending and self._pending[0] is change:
                    self._pending.popleft()
            load = json.dumps(dict(self._load()))
            row = await queries.heartbeat(connection, self._me.boot_id, load)
            gap = max(gap, float("inf") if row is None else row["gap"])
            if not self._pending:  # else something has happened meanwhile
                break
        await self._mend(connection, row)
        return gap

    async def _write_change(self, connection: Any, change: Change) -> None:
        if change.state is None:
            ago = time.monotonic() - change.at
            await queries.add_event(connection, self._me, change.event, change.cause, ago)
        elif change.ended is None or not await self._write_end(connection, change.ended):
            await queries.change(connection, self._me, change.state, change.event, change.cause)
            if change.state == "draining":
                self.draining_written_at = time.monotonic()

    async def _write_end(self, connection: Any, ended: Ended) -> bool:
        """False when this database takes no such receipt: one that is not migrated yet."""
        me = self._me
        try:
            await receipts.end(connection, me.boot_id, me.instance, me.version, ended)
        except (
            asyncpg.SyntaxOrAccessError,
            asyncpg.DataError,
            asyncpg.IntegrityConstraintViolationError,
        ) as error:
            log.warning("the registry takes no receipt: %s", reason(error), exc_info=bug(error))
            return False
        return True

    async def _mend(self, connection: Any, row: Any) -> None:
        """Write a row that is not ours as it should be: pruned, deleted, restored out of a backup,
        lost with a failover, changed by hand, or declared lost."""
        state = self._state
        if row is None:
            ago = time.monotonic() - (self._enlisted_at or 0)
            cause = "its row was missing"
            await queries.enlist(connection, self._me, state, "corrected", cause, ago)
            log.warning("the registry had no row of this instance", extra=_fields(state=state))
        elif wrong := _differences(row, self._me, state):
            lost = row["state"] == "lost"
            event = ("recovered", None) if lost else ("corrected", f"its row said {wrong}")
            if wrong == "region None":  # `learn_region`
                await queries.correct(connection, self._me, state, state, "located")
                return
            await queries.correct(connection, self._me, row["state"], state, *event)
            said = "was taken for lost; is back" if lost else "the registry was wrong"
            log.warning(said, extra=_fields(state=state, row=wrong))


def _differences(row: Any, me: queries.Boot, state: str) -> str:
    """What the row says wrongly; empty when all of it is right."""
    should = {"state": state} | {name: getattr(me, name) for name in queries.PLACE}
    wrong = [f"{name} {row[name]}" for name, value in should.items() if row[name] != value]
    return ", ".join(wrong)


def _fields(**fields: object) -> dict[str, object]:
    return {"fields": fields}

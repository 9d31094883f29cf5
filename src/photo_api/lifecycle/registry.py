"""This instance's row in the registry: kept alive, kept true, and the others' watched over.

Nothing here ever decides what this instance does: a registry that cannot be written is a warning,
and what could not be written is tried again with the next heartbeat.
"""

import asyncio
import json
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from photo_api.contract import LIVE_PATH
from photo_api.db.capacity import check_capacity
from photo_api.db.connect import FAILURES, connect
from photo_api.lifecycle import registry_queries as queries
from photo_api.lifecycle.identity import Identity
from photo_api.settings.dependencies import DatabaseSettings

log = logging.getLogger(__name__)

HEARTBEAT = 5.0
TIME_BOX = 2.0
"""Seconds that one write may take, so that a hung database holds nothing up."""

MOST_PENDING = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened and still has to be written; `state` None leaves the state. `at` is
    on the monotonic clock."""

    state: str | None
    event: str
    cause: str | None
    at: float


class Registry:
    """The supervisor's link to the registry, over a connection of its own. `load` is asked at each
    heartbeat for what this instance carries."""

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
        self._identity = identity
        self._place = {"address": address, "port": port, "workers": workers}
        self._load = load
        self._connection: asyncpg.Connection | None = None
        # Bounded: after a long outage the newest events are worth more than memory.
        self._pending: deque[Change] = deque(maxlen=MOST_PENDING)
        self._state = "starting"
        self._enlisted = False
        self._unbroken_since: float | None = None
        self._noted = asyncio.Event()
        self._busy = asyncio.Lock()

    def change(self, state: str, event: str, cause: str | None = None) -> None:
        """Note a change of state, in order; `keep` or `flush` writes it."""
        self._state = state
        self._pending.append(Change(state, event, cause, time.monotonic()))

    def note(self, event: str, cause: str) -> None:
        """Note what happened without a change of state; written as soon as that is possible."""
        self._pending.append(Change(None, event, cause, time.monotonic()))
        self._noted.set()

    async def keep(self) -> None:
        """Heartbeats until cancelled, and what happened in between at once."""
        while True:
            self._noted.clear()
            await self.flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT * random.uniform(0.9, 1.1)):
                    await self._noted.wait()

    async def flush(self) -> bool:
        """Write what is pending and a heartbeat now; whether that worked within the time box."""
        async with self._busy:
            try:
                async with asyncio.timeout(TIME_BOX):
                    await self._write()
            except FAILURES as error:
                self._unbroken_since = None
                self._drop_connection()
                # Before the migration there is no registry, and readiness says so already.
                unmigrated = isinstance(error, asyncpg.UndefinedTableError)
                level = logging.INFO if unmigrated else logging.WARNING
                log.log(level, "registry not written: %s", type(error).__name__)
                return False
        await self._watch_others()
        return True

    async def warn_of_capacity(self, workers: int, jobs: int) -> None:
        """Say so if the whole group's connections do not fit into the database."""
        async with self._busy:
            with suppress(*FAILURES):
                async with asyncio.timeout(TIME_BOX):
                    connection = await self._connected()
                    advice = await check_capacity(connection, self._database, workers, jobs)
                if advice is not None:
                    log.warning("the database takes too few connections: %s", advice)

    async def removed_from_balancers(self) -> bool:
        """Whether there are balancers and all of them send nothing to this instance any more; False
        also when the database cannot tell."""
        async with self._busy:
            try:
                async with asyncio.timeout(TIME_BOX):
                    connection = await self._connected()
                    return await queries.removed_from_balancers(connection, self._identity.boot_id)
            except FAILURES:
                self._drop_connection()
                return False

    async def close(self) -> None:
        """Let go of the connection."""
        self._drop_connection()

    async def _write(self) -> None:
        connection = await self._connected()
        identity = self._identity
        if not self._enlisted:
            await queries.enlist(
                connection,
                identity.boot_id,
                instance=identity.instance,
                node=identity.node,
                region=identity.region,
                version=identity.version,
                **self._place,  # type: ignore[arg-type]
            )
            self._enlisted = True
        while self._pending:
            change = self._pending[0]
            await self._write_change(connection, change)
            if self._pending and self._pending[0] is change:
                self._pending.popleft()
        await self._beat(connection)

    async def _write_change(self, connection: Any, change: Change) -> None:
        boot_id = self._identity.boot_id
        if change.state is None:
            ago = time.monotonic() - change.at
            await queries.add_event(connection, boot_id, change.event, change.cause, ago)
        else:
            await queries.change(connection, boot_id, change.state, change.event, change.cause)

    async def _beat(self, connection: Any) -> None:
        boot_id = self._identity.boot_id
        state = await queries.heartbeat(connection, boot_id, json.dumps(dict(self._load())))
        if state is None:
            # Pruned after a long absence: write it down anew.
            self._enlisted = False
        elif state == "lost" and self._state != "stopped":
            await queries.change(connection, boot_id, self._state, "recovered")
            log.warning("was taken for lost; is back", extra={"fields": {"state": self._state}})
        if self._unbroken_since is None:
            self._unbroken_since = time.monotonic()

    async def _watch_others(self) -> None:
        """Declare others lost, but only if our own heartbeats have succeeded for a whole timeout:
        after an outage of the database everybody looks silent, oneself included."""
        since = self._unbroken_since
        if since is None or time.monotonic() - since < queries.LOST_AFTER:
            return
        try:
            async with asyncio.timeout(TIME_BOX):
                silent = await queries.suspects(await self._connected(), self._identity.boot_id)
            for row in silent:
                if not await is_alive(row["address"], row["port"]):
                    await self._declare_lost(row["boot_id"])
        except FAILURES as error:
            log.warning("cannot look after others: %s", type(error).__name__)

    async def _declare_lost(self, boot_id: str) -> None:
        async with asyncio.timeout(TIME_BOX):
            connection = await self._connected()
            if await queries.declare_lost(connection, boot_id, self._identity.instance):
                log.warning("declared lost", extra={"fields": {"lost_boot": boot_id}})

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._database, "photo-api registry", timeout=TIME_BOX)
        return self._connection

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def is_alive(address: str, port: int) -> bool:
    """Whether the process behind this address answers that it lives, asked without any library: a
    bare HTTP/1.0 request, at most `TIME_BOX` seconds."""
    try:
        async with asyncio.timeout(TIME_BOX):
            reader, writer = await asyncio.open_connection(address, port)
            try:
                writer.write(f"GET {LIVE_PATH} HTTP/1.0\r\n\r\n".encode())
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return status.split()[1:2] == [b"200"]

"""What the registry says about the instances of this group: read, never written."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from photo_base.postgres import FAILURES, KeptConnection, connect_to_primary

TIME_BOX = 2.0
"""Seconds that one look may take, so that a hung database holds nothing up."""

EVENTS_AT_ONCE = 200
RECEIPTS_SHOWN = 10
DRIVER = {"server_settings": {"application_name": "photo-fleet up"}}

QUEUE_AGE = (
    "SELECT coalesce(extract(epoch FROM now() - min(available_at)), 0)::float8"
    " FROM jobs WHERE state = 'queued' AND available_at <= now()"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One boot, as the registry has it."""

    boot_id: str
    instance: str
    port: int
    state: str
    version: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something that an instance, or another one about it, wrote down."""

    at: datetime
    instance: str
    event: str
    cause: str


@dataclass(frozen=True, slots=True)
class Look:
    """Rows by instance, what happened since the look before, the age in seconds of the oldest job
    that waits, and the last receipts, the newest first, by the names of their columns."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    events: Sequence[Event] = ()
    queue_age: float = 0.0
    receipts: Sequence[Mapping[str, Any]] = ()


class Registry:
    """Looks at what has begun since the first look, over one connection of its own;
    `url` is called for each that is made."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._connection = KeptConnection(self._connect)
        self._began: datetime | None = None
        self._last_event = 0

    async def look(self) -> Look | None:
        """The present; None while the database does not answer."""
        try:
            async with self._connection.use(TIME_BOX) as connection:
                return await self._look(connection)
        except asyncpg.UndefinedTableError:
            return Look()  # nobody has migrated yet
        except FAILURES:
            return None

    async def migrations(self) -> frozenset[str] | None:
        """Names of those that were applied, over a connection beside; None while the database does
        not answer."""
        beside = KeptConnection(self._connect)
        try:
            async with beside.use(TIME_BOX) as connection:
                rows = await connection.fetch("SELECT name FROM schema_migrations")
        except asyncpg.UndefinedTableError:
            return frozenset()
        except FAILURES:
            return None
        finally:
            beside.drop()
        return frozenset(row["name"] for row in rows)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.drop()

    async def _look(self, connection: Any) -> Look:
        if self._began is None:
            self._began = await connection.fetchval("SELECT clock_timestamp()")
        # Of two boots with the same name the newer is written last.
        rows = await connection.fetch(
            "SELECT boot_id::text, instance, port, state, version FROM instances"
            " WHERE started_at >= $1 ORDER BY started_at",
            self._began,
        )
        events = await connection.fetch(
            "SELECT id, at, instance, event, coalesce(cause, '') AS cause FROM instance_events"
            " WHERE id > $1 AND at >= $2 ORDER BY id LIMIT $3",
            self._last_event, self._began, EVENTS_AT_ONCE,
        )  # fmt: skip
        age = await connection.fetchval(QUEUE_AGE)
        receipts = await connection.fetch(
            "SELECT to_jsonb(receipt) FROM instance_receipts AS receipt WHERE written_at >= $1"
            " ORDER BY written_at DESC LIMIT $2",
            self._began, RECEIPTS_SHOWN,
        )  # fmt: skip
        if events:
            self._last_event = events[-1]["id"]
        return Look(
            {row["instance"]: Row(**row) for row in rows},
            [Event(row["at"], row["instance"], row["event"], row["cause"]) for row in events],
            age,
            [json.loads(receipt) for (receipt,) in receipts],
        )

    async def _connect(self) -> Any:
        return await connect_to_primary(self._url(), DRIVER, timeout=TIME_BOX)

"""What a scale-in asks of the registry, and the lock by which one at a time is under way."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from photo_api.contract import LOST_AFTER
from photo_base.postgres import FAILURES, KeptConnection, connect_to_primary, reason
from photo_fleet.group.openstack.cloud import NoAnswer

TIME_BOX = 5.0
"""Seconds that a look may take, its connection included."""

LOCK = "photo-fleet group scale-in"

DRIVER = {
    "target_session_attrs": "primary",
    "statement_cache_size": 0,  # a pooler in front may know nothing of prepared statements
    "server_settings": {"application_name": LOCK},
}


@dataclass(frozen=True, slots=True)
class Row:
    """The latest boot at an address. `age` are seconds since its heartbeat."""

    boot_id: str
    state: str
    version: str
    started_at: float
    age: float

    @property
    def lives(self) -> bool:
        """It has said so lately, and not that it stopped."""
        return self.state != "stopped" and self.age < LOST_AFTER

    @property
    def ready(self) -> bool:
        """It serves, and has said so lately."""
        return self.state == "ready" and self.lives


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a boot told of its end; None where nobody knows."""

    ending: str
    finished: int | None
    cut: int | None


class Registry:
    """Reads by the role of `photo-fleet role`; `url` is asked for each connection. Every method
    raises `NoAnswer`."""

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._connection = KeptConnection(self._connect)
        self._lock = KeptConnection(self._connect)
        self._locked = False

    async def rows(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Row]:
        """The latest boot at each of these."""
        found = await self._fetch(
            "SELECT DISTINCT ON (address, port) address, port, boot_id::text, state, version,"
            " extract(epoch FROM started_at)::float8 AS started_at,"
            " extract(epoch FROM now() - heartbeat_at)::float8 AS age FROM instances"
            " WHERE address = ANY($1) ORDER BY address, port, started_at DESC",
            [host for host, _ in places],
        )
        return {
            (one["address"], one["port"]): Row(
                *(one[name] for name in ("boot_id", "state", "version", "started_at", "age"))
            )
            for one in found
        }

    async def receipt(self, boot_id: str) -> Receipt | None:
        """What is known of its end."""
        found = await self._fetch(
            "SELECT ending, requests_finished, requests_cut FROM instance_receipts"
            " WHERE boot_id = $1::uuid",
            boot_id,
        )
        return Receipt(*found[0]) if found else None

    async def lock(self) -> bool:
        """Hold the lock, as this object does until `close`; whether it does. It lasts as long as a
        transaction that does nothing else, so that a pooler of transactions keeps it too."""
        if await self.holds():
            return True
        try:
            async with self._lock.use(TIME_BOX) as connection:
                await connection.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0")
                self._locked = await connection.fetchval(
                    "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", LOCK
                )
                if not self._locked:
                    await connection.execute("ROLLBACK")
        except FAILURES as error:
            raise NoAnswer(f"the registry's database does not answer: {reason(error)}") from None
        return self._locked

    async def holds(self) -> bool:
        """Whether the connection with the lock still stands; asked before what cannot be undone."""
        if not self._locked:
            return False
        try:
            async with self._lock.use(TIME_BOX) as connection:
                # A connection made anew is in no transaction.
                self._locked = await connection.fetchval(
                    "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory'"
                    " AND pid = pg_backend_pid() AND granted"
                )
        except FAILURES:
            self._locked = False
        return self._locked

    def close(self) -> None:
        """Let go of the lock and of the connections."""
        self._locked = False
        self._lock.drop()
        self._connection.drop()

    async def _fetch(self, statement: str, *values: object) -> list[Any]:
        for last in (False, True):  # a kept connection may have ended since
            try:
                async with self._connection.use(TIME_BOX) as connection:
                    return await connection.fetch(statement, *values)
            except FAILURES as error:
                if last:
                    raise NoAnswer(
                        f"the registry's database does not answer: {reason(error)}"
                    ) from None
                await asyncio.sleep(0)
        raise AssertionError

    async def _connect(self) -> Any:
        return await connect_to_primary(self._url(), DRIVER, timeout=TIME_BOX)

"""The balancer's connection to the registry: listening, seen every few seconds, bounded in time."""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from photo_api.contract import HEARTBEAT, REGISTRY_CHANNEL
from photo_base.postgres import KeptConnection, connect_to_primary
from photo_fleet.balancer import registry
from photo_fleet.balancer.membership import Registered
from photo_fleet.balancer.state import StateFile

log = logging.getLogger(__name__)

TIME_BOX = 2.0
"""Seconds that one look at the registry may take, so that a hung database is an absent one."""

PRUNE_EVERY = 60.0

DRIVER = {
    "target_session_attrs": "primary",
    "statement_cache_size": 0,  # a pooler in front may know nothing of prepared statements
    "server_settings": {"application_name": "photo-fleet balance"},
}


class RegistryLink:
    """Reads and writes under the id of `state`; `wake` is called when an instance has changed, and
    `url` for each connection. Every method raises one of `postgres.FAILURES`, after which the next
    one connects anew."""

    def __init__(self, url: Callable[[], str], state: StateFile, wake: Callable[[], None]) -> None:
        self._url = url
        self._state = state
        self._wake = wake
        self._connection = KeptConnection(self._connect)
        self._beat_at = self._pruned_at = float("-inf")
        self._unusable: set[str] = set()
        self._acknowledged: set[str] = set()

    async def read(self, known: Collection[str]) -> list[Registered]:
        """All boots that may run and those of `known`; on the way this balancer is seen."""
        async with self._connection.use(TIME_BOX) as connection:
            await self._keep_house(connection)
            rows = await registry.instances(connection, known)
        found = {row["boot_id"]: registry.registered(row) for row in rows}
        self._warn_of(row for row in rows if found[row["boot_id"]] is None)
        return [one for one in found.values() if one is not None]

    async def acknowledge(self, boots: frozenset[str]) -> frozenset[str]:
        """Say of these, once each, that nothing is sent to them any more; those said now."""
        self._acknowledged &= boots
        new = boots - self._acknowledged
        if new:
            async with self._connection.use(TIME_BOX) as connection:
                if not await registry.acknowledge(connection, self._state.me, new):
                    self._beat_at = float("-inf")  # the next look finds out under which id
                    return frozenset()
            self._acknowledged |= new
        return new

    async def leave(self) -> None:
        """Nobody is to wait for this balancer any more."""
        async with self._connection.use(TIME_BOX) as connection:
            await registry.leave(connection, self._state.me)

    def drop(self) -> None:
        """Let go of the connection without a farewell."""
        self._connection.drop()

    async def _connect(self) -> Any:
        connection = await connect_to_registry(self._url())
        self._beat_at = self._pruned_at = float("-inf")
        self._acknowledged.clear()
        try:
            await connection.add_listener(REGISTRY_CHANNEL, lambda *_: self._wake())
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _keep_house(self, connection: Any) -> None:
        now = time.monotonic()
        if now - self._beat_at >= HEARTBEAT:
            if not await registry.beat(connection, self._state.me):
                await self._enlist(connection)
            self._beat_at = now
        if now - self._pruned_at >= PRUNE_EVERY:
            await registry.prune(connection, self._state.me)
            self._pruned_at = now

    async def _enlist(self, connection: Any) -> None:
        """Hold the kept id, or a new one when another session lives under it."""
        self._acknowledged.clear()
        if not await registry.enlist(connection, self._state.me, self._state.ended):
            former = self._state.renew()
            fields = {"former": former, "balancer": self._state.me.id}
            log.warning(
                "another balancer lives under this id; taking a new one", extra={"fields": fields}
            )
            await registry.enlist(connection, self._state.me, None)
        self._state.enlisted()

    def _warn_of(self, rows: Iterable[Any]) -> None:
        for row in rows:
            if row["boot_id"] not in self._unusable:
                self._unusable.add(row["boot_id"])
                fields = {"boot_id": row["boot_id"], "address": row["address"]}
                log.warning(
                    "no IP address and port, so never a member: start it with `--host` and one",
                    extra={"fields": fields},
                )


async def connect_to_registry(url: str) -> Any:
    """A connection to the one server of `url` that takes writes. Raises one of `FAILURES`."""
    return await connect_to_primary(url, DRIVER, timeout=TIME_BOX)

"""A registry of a test's own: instances that run in the test, and rows of others that do not."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import asyncpg

from photo_api.cloud.identity import Identity
from photo_api.registry import queries
from photo_api.registry.registration import Registration
from photo_api.settings.loading import load
from photo_fleet.drill.faults.black_hole import BlackHole
from tests.service import free_port

NODE = "here"


@dataclass
class OwnFleet:
    """What one test reads and does to the registry behind `connection`."""

    settings: dict[str, str]
    connection: Any
    running: list[Registration] = field(default_factory=list)

    def start(self, url: str = "") -> tuple[str, Registration]:
        """An instance's link to the registry, and its boot id."""
        database = load(self.settings | ({"PHOTO_API_DATABASE_URL": url} if url else {})).database
        boot_id = str(uuid4())
        registry = Registration(
            database,
            Identity(boot_id, "10.0.0.1", NODE, None, "1"),
            address="127.0.0.1",
            port=free_port(),
            workers=1,
            load=dict,
        )
        self.running.append(registry)
        return boot_id, registry

    async def other(
        self, port: int, *, silent: float = 0, node: str = NODE, workers: int = 1
    ) -> str:
        """The row of another, whose last heartbeat was so many seconds ago."""
        boot = queries.Boot(str(uuid4()), "10.0.0.2", node, None, "1", "127.0.0.1", port, workers)
        await queries.enlist(self.connection, boot, "ready", "started")
        await self.do(
            "UPDATE instances SET heartbeat_at = now() - make_interval(secs => $2)"
            " WHERE boot_id = $1::uuid",
            boot.boot_id, float(silent),
        )  # fmt: skip
        return boot.boot_id

    async def do(self, statement: str, *args: object) -> None:
        await self.connection.execute(statement, *args)

    async def row(self, boot_id: str) -> dict[str, Any]:
        query = "SELECT * FROM instances WHERE boot_id = $1::uuid"
        return dict(await self.connection.fetchrow(query, boot_id) or {})

    async def state(self, boot_id: str) -> str:
        return str((await self.row(boot_id)).get("state"))

    async def events(self, boot_id: str) -> list[tuple[str, str | None]]:
        query = "SELECT event, cause FROM instance_events WHERE boot_id = $1::uuid ORDER BY id"
        return [tuple(row) for row in await self.connection.fetch(query, boot_id)]

    async def close(self) -> None:
        for registry in self.running:
            await registry.close()
        await self.connection.close()


async def own_fleet(settings: dict[str, str]) -> OwnFleet:
    """With an empty registry."""
    connection = await asyncpg.connect(settings["PHOTO_API_DATABASE_URL"])
    await connection.execute("TRUNCATE instances, instance_events, instance_receipts")
    return OwnFleet(settings, connection)


@contextmanager
def vanished() -> Iterator[int]:
    """A port at which connections are neither taken nor refused."""
    hole = BlackHole("127.0.0.1", free_port())
    hole.open()
    try:
        yield hole.address[1]
    finally:
        hole.close()


@contextmanager
def hanging() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(100)
        yield listening.getsockname()[1]


async def looked(registry: Registration) -> None:
    """One heartbeat, and the look at others after it."""
    assert await registry.flush()
    while (looking := registry._detector._looking) is not None and not looking.done():
        await asyncio.wait([looking])

"""A group in a fake OpenStack beside a real registry. Its instances are rows there: a stop order
makes them draining, and then stopped."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from photo_fleet.group.openstack.cloud import Cloud, account_of
from photo_fleet.group.openstack.registry import Registry
from photo_fleet.group.openstack.scale_in import Order, Removed, ScaleIn
from photo_fleet.group.openstack.stack import StackGroup
from photo_fleet.spec.fleet import Fleet
from tests.group_openstack.fake_answers import Machine
from tests.group_openstack.fake_openstack import FakeOpenstack, running_openstack_apis

PORT = 8000
FLEET = Fleet()
SHORT = replace(FLEET, drain=replace(FLEET.drain, grace=1, kill_delay=1))


@dataclass
class Stage:
    """`silent`: instances that never tell their end. `brutal`: servers that were deleted while
    their instance had not told that it stopped."""

    cloud: FakeOpenstack
    connection: Any
    url: str
    said: list[str] = field(default_factory=list)
    role: str = ""
    """The registry's address for who sees no more of the database."""
    silent: set[str] = field(default_factory=set)
    brutal: list[str] = field(default_factory=list)
    fleet: Fleet = FLEET

    async def instance(self, address: str, state: str = "ready", age: float = 500.0) -> Machine:
        """A member and its row."""
        machine = self.cloud.add(address, PORT, age + 100)
        await self.row(address, state, age)
        return machine

    async def row(self, address: str, state: str, age: float, version: str = "0.2.0") -> None:
        await self.connection.execute(
            "INSERT INTO instances (boot_id, instance, node, version, address, port, workers,"
            " state, started_at, heartbeat_at)"
            " VALUES (gen_random_uuid(), $1, 'node', $5, $1, $2, 1, $3,"
            " now() - make_interval(secs => $4), now() + interval '1 hour')",
            address, PORT, state, age, version,
        )  # fmt: skip

    def scale_in(self, fleet: Fleet | None = None) -> ScaleIn:
        group = StackGroup(Cloud(account_of(self.cloud.environ)), "photo-api")
        registry = Registry(lambda: self.role)
        return ScaleIn(fleet or self.fleet, group, registry, self.said.append, pace=0.02)

    async def run(self, **order: Any) -> Removed:
        return await self.scale_in().run(Order(**order))

    @property
    def environ(self) -> dict[str, str]:
        """Of the command."""
        return self.cloud.environ | {"PHOTO_FLEET_DATABASE_URL": self.role}

    async def eventually(self, what: Callable[[], bool]) -> None:
        """Waits for it."""
        deadline = time.monotonic() + 30
        while not what():
            assert time.monotonic() < deadline, self.cloud.writes
            await asyncio.sleep(0.02)

    def end(self, machine: Machine) -> None:
        """In a thread: what the power button starts."""
        asyncio.run(self._end(machine))

    async def _end(self, machine: Machine) -> None:
        states = ("draining",) if machine.address in self.silent else ("draining", "stopped")
        connection = await asyncpg.connect(self.url)
        for state in states:
            await asyncio.sleep(0.03)
            await connection.execute(
                "UPDATE instances SET state = $2 WHERE address = $1", machine.address, state
            )
        await connection.close()

    def deleted(self, machine: Machine) -> None:
        """In a thread: a hard kill."""
        state = asyncio.run(self._state(machine.address))
        if state != "stopped":
            self.brutal.append(f"{machine.address} {state}")

    async def _state(self, address: str) -> str:
        connection = await asyncpg.connect(self.url)
        state = await connection.fetchval(
            "SELECT state FROM instances WHERE address = $1 ORDER BY started_at DESC", address
        )
        await connection.close()
        return str(state)


@asynccontextmanager
async def staged(settings: dict[str, str], role: str, size: int = 4) -> AsyncIterator[Stage]:
    url = settings["PHOTO_API_DATABASE_URL"]
    connection = await asyncpg.connect(url)
    await connection.execute("TRUNCATE instances, instance_events, instance_receipts")
    with running_openstack_apis() as cloud:
        stage = Stage(cloud, connection, url, role=role)
        cloud.on_stop, cloud.on_delete = stage.end, stage.deleted
        for number in range(size):
            await stage.instance(f"10.0.0.{number + 1}", age=500.0 - number)
        try:
            yield stage
        finally:
            await connection.close()

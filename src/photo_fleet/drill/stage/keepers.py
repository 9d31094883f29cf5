"""What may keep the members of a stage's nginx in place of the one balancer in this process: a
process that can be killed, two balancers, or one that believes its probes alone."""

import asyncio
import os
import sys
from contextlib import suppress
from dataclasses import replace
from signal import SIGKILL, SIGTERM
from typing import Any

from photo_api.contract import ALIVE
from photo_base.postgres import FAILURES
from photo_base.processes import Program, Running, send
from photo_fleet.balancer import registry
from photo_fleet.balancer.database_address import VARIABLE
from photo_fleet.balancer.follow import Balance
from photo_fleet.balancer.membership import Decision, Member, Membership, Outcome, Registered
from photo_fleet.balancer.nginx_members import NginxSocket, NginxUnavailable
from photo_fleet.balancer.probes import probe
from photo_fleet.balancer.registry_link import connect_to_registry
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.nginx import Nginx
from photo_fleet.spec.fleet import HealthCheck

LOOK = 0.2
LONGEST_STOP = 10.0


class TwoBalancers:
    """A second nginx and its balancer beside the first. A member is one that both have."""

    def __init__(self, first: Balance, second: Balance, nginx: Nginx) -> None:
        self._both = (first, second)
        self._nginx = nginx

    @property
    def members(self) -> tuple[Member, ...]:
        first, second = self._both
        return tuple(member for member in first.members if member in second.members)

    def state(self) -> dict[str, Any]:
        """That of the first, in panic when one of them is."""
        return {**self._both[0].state(), "panic": any(one.state()["panic"] for one in self._both)}

    async def run(self) -> None:
        """Until `stop`. Raises what one of them raised, and `CannotStart`."""
        await self._nginx.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                for one in self._both:
                    tasks.create_task(one.run())
        finally:
            await self._nginx.stop()

    def stop(self) -> None:
        for one in self._both:
            one.stop()


class BalancerProcess:
    """`photo-fleet balance` as a process, which is started again when it has ended, with the
    registry at `database_url`. Members are those that nginx itself has."""

    def __init__(
        self, layout: Layout, database_url: str, check: HealthCheck, nginx: NginxSocket
    ) -> None:
        self._layout = layout
        self._database_url = database_url
        self._check = check
        self._nginx = nginx
        self._ending = asyncio.Event()
        self._down = False
        self._running: Running | None = None
        self._members: tuple[Member, ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        return self._members

    def state(self) -> dict[str, Any]:
        """Only that it is not in panic: it would say so in its log."""
        return {"panic": False}

    async def run(self) -> None:
        """Until `stop`. Raises `CannotStart`."""
        try:
            while not self._ending.is_set():
                if not self._down and (self._running is None or not self._running.alive):
                    self._running = await Running.start(self._program())
                with suppress(NginxUnavailable):
                    self._members = tuple((await self._nginx.held()).members)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), LOOK)
        finally:
            if self._running is not None:
                await self._running.stop((SIGTERM, LONGEST_STOP))

    def stop(self) -> None:
        self._ending.set()

    async def kill(self, seconds: float) -> None:
        """SIGKILL, and nobody in its place for so long. Raises `LookupError` when none runs."""
        if self._running is None or not self._running.alive:
            raise LookupError("no balancer runs")
        self._down = True
        try:
            send([self._running.pid], SIGKILL)
            await asyncio.sleep(seconds)
        finally:
            self._down = False

    def _program(self) -> Program:
        spec = self._layout.data / "balance.toml"
        check = self._check
        spec.write_text(
            f'[health_check]\ninterval = "{check.interval:g}s"\ntimeout = "{check.timeout:g}s"\n'
        )
        command = [sys.executable, "-m", "photo_fleet.cli", "balance", str(spec), "--name", "drill"]
        command += ["--socket", str(self._layout.run / "members.sock")]
        command += ["--state", str(self._layout.balancer)]
        environ = {**os.environ, VARIABLE: self._database_url}
        log = self._layout.logs / "balance.log"
        return Program("photo-fleet balance", command, environ, log, self._layout.data)


class ProbesAlone:
    """A balancer that takes in every instance that the registry calls ready, and takes one out only
    for failing probes: it ignores that an instance drains, and acknowledges no removal."""

    def __init__(self, database_url: str, check: HealthCheck, nginx: NginxSocket) -> None:
        self._database_url = database_url
        self._check = check
        self._nginx = nginx
        self._membership = Membership(check)
        self._known: dict[str, Registered] = {}
        self._told = Decision((), False)
        self._ending = asyncio.Event()

    @property
    def members(self) -> tuple[Member, ...]:
        return self._told.members

    def state(self) -> dict[str, Any]:
        return {"panic": self._told.panic}

    async def run(self) -> None:
        """Until `stop`."""
        loop = asyncio.get_running_loop()
        connection: Any = None
        async with asyncio.TaskGroup() as probes:
            while not self._ending.is_set():
                try:
                    if connection is None or connection.is_closed():
                        connection = await connect_to_registry(self._database_url)
                    await self._read(connection, loop.time())
                except FAILURES:
                    connection = None
                for member in self._membership.due(loop.time()):
                    probes.create_task(self._probe(member))
                with suppress(NginxUnavailable):
                    await self._tell(self._membership.decide())
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), LOOK)
        if connection is not None:
            connection.terminate()

    def stop(self) -> None:
        self._ending.set()

    async def _read(self, connection: Any, now: float) -> None:
        rows = [registry.registered(row) for row in await registry.instances(connection, [])]
        alive = {row.member.id: row for row in rows if row is not None and row.state in ALIVE}
        ready = {boot: row for boot, row in alive.items() if row.state == "ready"}
        in_use = alive.keys() | {member.id for member in self._told.members}
        kept = {boot: row for boot, row in self._known.items() if boot in in_use}
        self._known = {**ready, **kept}
        self._membership.registered(self._known.values(), now)

    async def _probe(self, member: Member) -> None:
        seen = await probe(member.address, self._check.path, self._check.timeout)
        if seen.outcome is Outcome.DRAINING:
            seen = replace(seen, outcome=Outcome.FAILED)
        self._membership.probed(member, seen, asyncio.get_running_loop().time())

    async def _tell(self, decision: Decision) -> None:
        if decision != self._told:
            await self._nginx.put(decision)
            self._told = decision

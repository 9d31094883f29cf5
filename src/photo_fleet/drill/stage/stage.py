"""The stage of a drill: a real fleet on this machine, every part of which can be hurt."""

import asyncio
import json
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from photo_base.embedded import EmbeddedAddresses
from photo_base.environment import PREFIX
from photo_base.postgres import open_connection
from photo_base.processes import CannotStart
from photo_fleet.balancer.follow import Balance
from photo_fleet.balancer.nginx_members import NginxSocket
from photo_fleet.drill.evidence.objects import Account, Bucket
from photo_fleet.drill.stage import object_store
from photo_fleet.drill.stage.demands import SETTINGS, Demands, stage_spec
from photo_fleet.drill.stage.http_relay import HttpRelay
from photo_fleet.drill.stage.keepers import BalancerProcess, ProbesAlone, TwoBalancers
from photo_fleet.drill.stage.process_tree import children, command_line
from photo_fleet.drill.stage.sinks import Sinks
from photo_fleet.drill.stage.standby import Standby
from photo_fleet.drill.stage.wire import Wire
from photo_fleet.group.local import Refused
from photo_fleet.local_fleet.control import ask
from photo_fleet.local_fleet.embedded import Embedded
from photo_fleet.local_fleet.fleet import LocalFleet, Stand
from photo_fleet.local_fleet.front import Keeper
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.local_spec import local_spec
from photo_fleet.local_fleet.nginx import Nginx
from photo_fleet.local_fleet.secrets import load_or_create
from photo_fleet.spec.edge import EDGE_PATH
from photo_fleet.spec.fleet import Fleet
from photo_fleet.spec.loading import load

LOOK = 0.2
LONGEST_START = 240.0
LONGEST_SETTLING = 120.0
"""Seconds besides the grace of an instance that leaves."""

SEEN_BY_BALANCER = "seen_by_balancer"
"""A schema that a balancer in a process of its own looks into first."""


class Stage:
    """A running fleet in `folder`, reached at `url`; `addresses` lead to what all share."""

    def __init__(
        self, folder: Path, demands: Demands, size: int, embedded: Embedded | None = None
    ) -> None:
        self.folder = folder
        self.demands = demands
        self.relay = HttpRelay(_free_port())
        self.wire, self.registry_wire = Wire(_free_port()), Wire(_free_port())
        self._detours: list[Wire] = []
        self.standby: Standby | None = None
        self._layout = Layout(folder)
        self._found: EmbeddedAddresses | None = None
        self._direct_url = ""
        self._keeper: Keeper | None = None
        self._running: asyncio.Task[None] | None = None
        self.sinks = Sinks(_free_port)
        settings = {**SETTINGS, "ACCESS_TTL": str(demands.access_ttl)}
        if demands.probe_cdn is not None:  # which a release before knows not to read
            settings["CDN_PROBE_INTERVAL"] = str(demands.probe_cdn)
        environ = {PREFIX + name: value for name, value in settings.items()}
        environ |= self.sinks.environ if demands.sinks else {}
        self._spec = stage_spec(demands, size)
        self._fleet = LocalFleet(
            self._spec,
            self._layout,
            _free_port(),
            environ={**_environ(), **environ},
            stand=Stand(demands.store, self._put_relay_between, self._keeper_of, embedded),
        )
        self.url = self._fleet.url
        self._second = Layout(folder / "second"), _free_port()
        second = f"http://127.0.0.1:{self._second[1]}"
        self.other_urls: tuple[str, ...] = (second,) if demands.balancers > 1 else ()

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, demands: Demands, size: int, say: Callable[[str], None]
    ) -> AsyncIterator["Stage"]:
        """Build it, with all instances serving. Raises `CannotStart`."""
        stage = cls(folder, demands, size)
        sinks = stage.sinks.running(stage._layout) if demands.sinks else nullcontext()
        async with sinks, stage.running(say):
            await stage.settled(LONGEST_START)
            yield stage

    @asynccontextmanager
    async def running(self, say: Callable[[str], None]) -> AsyncIterator[None]:
        """While this is open the fleet runs, and its journal is said; its instances may be yet to
        come. Raises `CannotStart`."""
        self._fleet.journal.heard = lambda item: say(str(item))
        stop = asyncio.Event()
        for item in (self.relay, self.wire, self.registry_wire):
            await item.start()
        running = self._running = asyncio.create_task(self._fleet.run(stop))
        try:
            yield
        finally:
            stop.set()
            self._fleet.hurry.set()  # nobody uses it any more
            with suppress(CannotStart):
                await running
            if self.standby is not None:
                await self.standby.stop()
            for wire in (*self._detours, self.wire, self.registry_wire):
                await wire.stop()
            await self.relay.stop()

    @property
    def addresses(self) -> EmbeddedAddresses:
        """Where the database and the store are; the store behind its relay."""
        if self._found is None:
            raise CannotStart("the stage has no database yet")
        return self._found

    async def follow(self) -> "Standby":
        """A standby of the database, for the rest of this stage, which nobody uses afterwards.
        Raises `CannotStart`."""
        connections = self._spec.database.max_connections
        self.standby = await Standby.start(self._layout, self._direct_url, connections)
        return self.standby

    @property
    def carried_out(self) -> Fleet:
        """The spec that its nginx and its instances are rendered from."""
        return load(self._layout.spec)

    @property
    def database_url(self) -> str:
        """With the password in it."""
        return self.addresses.database_url

    @property
    def bucket(self) -> Bucket | Account:
        """Where photos are, with the service's own key."""
        return object_store.bucket_of(self.addresses)

    @property
    def access_logs(self) -> list[Path]:
        """nginx's, a line of JSON for each request."""
        logs = self._layout.logs, self._second[0].logs
        return sorted(file for folder in logs for file in folder.glob("access.log*"))

    @property
    def instance_logs(self) -> list[Path]:
        """Those of all instances that there were."""
        return sorted(self._layout.logs.glob("127.*.log*"))

    @property
    def nginx_pid(self) -> int:
        """That of nginx's master process. Raises `OSError` while there is none."""
        return int((self._layout.run / "nginx.pid").read_text())

    @property
    def database_pid(self) -> int:
        """That of PostgreSQL's first process. Raises `OSError` while there is none."""
        file = self._layout.embedded / "postgres" / "cluster" / "postmaster.pid"
        return int(file.read_text().splitlines()[0])

    @property
    def store_pid(self) -> int:
        """That of the object store, or of Swift's proxy. Raises `LookupError` while there is
        none."""
        return object_store.pid_of(self.keeper_pid, *object_store.PROGRAMS)

    @property
    def keystone_pid(self) -> int:
        """Raises `LookupError` where none runs."""
        return object_store.pid_of(self.keeper_pid, object_store.KEYSTONE)

    @property
    def keeper_pid(self) -> int:
        """That of the process which starts the database and the store again when they end."""
        return self._fleet_pid("photo_local.command")

    def instances(self) -> list[dict[str, Any]]:
        """As `photo-fleet status` shows them, the oldest first."""
        return list(self._fleet.status()["instances"])

    @property
    def desired(self) -> int:
        """How many instances there are to be."""
        return int(self._fleet.status()["desired"])

    def serving(self) -> list[dict[str, Any]]:
        """Those that are ready and get requests."""
        return [item for item in self.instances() if item["state"] == "ready" and item["member"]]

    def member_ids(self) -> set[str]:
        """The boots that nginx sends to, also those whose instance has ended."""
        return {member.id for member in self._keeper.members} if self._keeper else set()

    def address_of(self, boot_id: str) -> str | None:
        """`host:port` where nginx sends to this boot; None when it does not."""
        members = self._keeper.members if self._keeper else ()
        return next((item.address for item in members if item.id == boot_id), None)

    async def detour(self, host: str, port: int) -> Wire:
        """A wire that leads there from another port of the same address, for as long as this stage
        stands: nginx keeps its connections."""
        wire = Wire(_free_port(host), host)
        wire.leads_to(host, port)
        await wire.start()
        self._detours.append(wire)
        return wire

    async def kill_balancer(self, seconds: float) -> None:
        """End the process that keeps nginx's members, for so long. Raises `LookupError` on a stage
        that has no such process."""
        if not isinstance(self._keeper, BalancerProcess):
            raise LookupError("this stage's balancer is no process of its own")
        await self._keeper.kill(seconds)

    @contextmanager
    def not_listening(self) -> Iterator[None]:
        """While this is open nginx's configuration has no port for clients; it takes effect, and
        its end too, when nginx is told to reload."""
        address = f"listen {urlsplit(self.url).netloc} "
        nowhere = f"listen unix:{self._layout.run / 'nobody.sock'} "
        with self._reconfigured(address, nowhere):
            yield

    @contextmanager
    def without_edge(self) -> Iterator[None]:
        """The same, with an error in place of every image of the edge."""
        location = f"location ^~ {EDGE_PATH}/ {{"
        with self._reconfigured(location, f"{location} return 503;"):
            yield

    @contextmanager
    def _reconfigured(self, words: str, others: str) -> Iterator[None]:
        files = [path for path in self._layout.nginx.rglob("*") if path.is_file()]
        before = {path: text for path in files if words in (text := path.read_text())}
        if not before:
            raise LookupError(f"nginx's configuration does not say {words!r}")
        try:
            for path, text in before.items():
                path.write_text(text.replace(words, others))
            yield
        finally:
            for path, text in before.items():
                path.write_text(text)

    def listens(self) -> bool:
        """Whether nginx takes connections of clients."""
        address = urlsplit(self.url)
        with suppress(OSError):
            socket.create_connection((address.hostname, address.port), timeout=1).close()
            return True
        return False

    def states(self) -> dict[str, int]:
        """How many instances are in which state."""
        return dict(Counter(str(item["state"]) for item in self.instances()))

    async def order(self, **request: object) -> dict[str, Any]:
        """Have the fleet do something, as `photo-fleet scale | deploy | drain` would; returns when
        it is done. Raises `Refused`."""
        answer = await ask(self._layout.control, request, lambda _: None)
        if not answer["done"]:
            raise Refused(str(answer["error"]))
        return answer

    async def settled(self, seconds: float | None = None) -> None:
        """Wait until as many serve as are desired, and no other is left. Raises `TimeoutError`, and
        `CannotStart` when the fleet has ended."""
        async with asyncio.timeout(seconds or LONGEST_SETTLING + self._spec.drain.grace):
            while not self._is_settled():
                self.check()
                await asyncio.sleep(LOOK)

    def check(self) -> None:
        """Raises `CannotStart`, with the reason, when the fleet has ended by itself."""
        if self._running is not None and self._running.done():
            self._running.result()
            raise CannotStart("the fleet has ended")

    async def resized(self, size: int) -> None:
        """Bring it to `size` instances, unless it has them. Raises `Refused`, `TimeoutError`."""
        if self.desired != size:
            await self.order(do="scale", size=size)
        await self.settled()

    async def query(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of one statement, on a connection of its own."""
        return await rows_of(self.database_url, statement, *arguments)

    async def as_superuser(self, *statements: str) -> None:
        """Each of these in a transaction of its own."""
        for statement in statements:
            await rows_of(self.addresses.superuser_url, statement)

    def secrets(self) -> Mapping[str, str]:
        """Those that all instances share."""
        found: dict[str, str] = json.loads(self._layout.secrets.read_text())
        return found

    @property
    def cdn_secret(self) -> str:
        """With which URLs for the edge are signed."""
        return load_or_create(self._layout.secrets).cdn_keys.partition(":")[2]

    async def store_answers(self) -> bool:
        """Whether the store takes requests."""
        return await object_store.answers(self.addresses)

    def _fleet_pid(self, mark: str) -> int:
        """Of a program that belongs to this fleet. Raises `LookupError`."""
        for pid in children(os.getpid()):
            words = command_line(pid)
            if mark in words and str(self.folder) in words:
                return pid
        raise LookupError(f"{mark} does not run")

    def _is_settled(self) -> bool:
        status = self._fleet.status()
        everybody = len(status["instances"]) == status["desired"] == len(self.serving())
        return bool(status["settled"]) and everybody and self._found is not None

    def _keeper_of(self, balance: Balance, addresses: EmbeddedAddresses, nginx: Nginx) -> Keeper:
        check, url = self._spec.health_check, addresses.database_url
        members = NginxSocket(nginx.members_socket)
        keeper: Keeper = balance
        if self._spec.drain.removal == "health-only":
            keeper = ProbesAlone(url, check, members)
        elif self.demands.balancer_process:
            # What faults put there, it sees in place of the tables of that name.
            address = f"{self.registry_wire.through(url)}?search_path={SEEN_BY_BALANCER},public"
            keeper = BalancerProcess(self._layout, address, check, members)
        elif self.demands.balancers > 1:
            layout, port = self._second
            layout.prepare()
            spec = local_spec(self._spec, addresses, self.url)
            keys = load_or_create(self._layout.secrets).cdn_keys
            other = Nginx(spec, layout, port, keys)
            other.forget_members()
            socket, name = NginxSocket(other.members_socket), f"drill on port {port}"
            second = Balance(
                self._layout.database_address, socket, state=layout.balancer, name=name, check=check
            )
            keeper = TwoBalancers(balance, second, other)
        self._keeper = keeper
        return keeper

    def _put_relay_between(self, addresses: EmbeddedAddresses) -> EmbeddedAddresses:
        found = object_store.put_behind(self.relay, addresses)
        self._direct_url = addresses.superuser_url
        if self.demands.standby:
            owner, superuser = found.database_url, found.superuser_url
            found = replace(
                found,
                database_url=self.wire.through(owner),
                superuser_url=self.wire.through(superuser),
            )
        self._found = found
        return found


async def rows_of(url: str, statement: str, *arguments: object) -> list[asyncpg.Record]:
    """Of one statement on the database at `url`, on a connection of its own."""
    connection = await open_connection(url, timeout=10)
    try:
        return list(await connection.fetch(statement, *arguments, timeout=60))
    finally:
        await connection.close()


def _environ() -> dict[str, str]:
    """Nothing of the caller's reaches the service under test."""
    own = (PREFIX, "NOTIFY_SOCKET")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def _free_port(host: str = "127.0.0.1") -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port

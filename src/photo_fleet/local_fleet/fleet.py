"""A whole fleet on one machine: database, store, nginx, balancer and group, started and ended."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from dataclasses import dataclass, field
from typing import Any

from photo_base.embedded import EmbeddedAddresses
from photo_base.processes import CannotStart, write
from photo_base.tasks import cancel, first
from photo_fleet.balancer import metrics
from photo_fleet.balancer.discovery import known_to
from photo_fleet.balancer.follow import Balance
from photo_fleet.balancer.nginx_members import NginxSocket
from photo_fleet.group.instance import Release
from photo_fleet.group.local import LocalGroup, Refused
from photo_fleet.group.registry_view import Registry
from photo_fleet.local_fleet.commands import Commands
from photo_fleet.local_fleet.control import control_socket
from photo_fleet.local_fleet.deploys import Deploys
from photo_fleet.local_fleet.embedded import STORES, Embedded, StoreOptions
from photo_fleet.local_fleet.front import Keeper, NginxFront
from photo_fleet.local_fleet.journal import Journal, JournalHandler
from photo_fleet.local_fleet.launcher import Launcher, caller_environment
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.local_fleet.local_spec import front_ends, local_spec
from photo_fleet.local_fleet.nginx import Nginx, check_port, required_nginx
from photo_fleet.local_fleet.secrets import load_or_create
from photo_fleet.local_fleet.traffic import Traffic
from photo_fleet.local_fleet.watching import (
    Watcher,
    alertmanager_beside,
    gateway_beside,
    prometheus_beside,
)
from photo_fleet.render.places import Places
from photo_fleet.rules.checks import check
from photo_fleet.spec import toml_text
from photo_fleet.spec.fleet import Fleet

BALANCER_LOG = "photo_fleet.balancer"
NGINX_PAUSE = 1.0
FIRST_LOOKS = 20
EVENTS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class Stand:
    """What somebody puts in place of a fleet's parts: `between` takes where the database and the
    store are, and gives where the fleet shall look for them, `keeping` gives something in place of
    the balancer that would keep nginx's members. `embedded` are a database and a store that are
    there before the fleet and outlive it."""

    store: StoreOptions = field(default_factory=StoreOptions)
    between: Callable[[EmbeddedAddresses], EmbeddedAddresses] = lambda addresses: addresses
    keeping: Callable[[Balance, EmbeddedAddresses, Nginx], Keeper] = lambda balance, *_: balance
    embedded: Embedded | None = None


class LocalFleet:
    """The fleet of `spec` in one folder, reached at `port` of loopback. `time_scale` shortens
    policies and probes, never a drain. The instances get `environ`, or that of this process.
    `watched`: with Prometheus and a Pushgateway, where these are installed."""

    def __init__(
        self,
        spec: Fleet,
        layout: Layout,
        port: int,
        time_scale: float = 1.0,
        *,
        environ: Mapping[str, str] | None = None,
        stand: Stand | None = None,
        watched: bool = False,
    ) -> None:
        self._watched = watched
        self._spec = spec
        self._stand = stand or Stand()
        self._environ = caller_environment() if environ is None else environ
        self._layout = layout
        self._port = port
        self._time_scale = time_scale
        self._group: LocalGroup | None = None
        self._front: NginxFront | None = None
        self._traffic: Traffic | None = None
        self._deploys: Deploys | None = None
        self._watchers: dict[str, str] = {}
        self.url = f"http://127.0.0.1:{port}"
        self.journal = Journal()
        self.hurry = asyncio.Event()
        """Set: what still drains at the end is killed."""

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; then everything drains and ends. Raises `CannotStart` when a part cannot
        run, or when the database or the store could not be kept."""
        self._layout.prepare()
        required_nginx(Places.below(self._layout.data, self._port))
        check_port(self._port)
        async with AsyncExitStack() as running:
            tell = self.journal.tell
            for finding in check(self._spec):
                tell("", finding.level, f"{finding.numbers}: {finding.consequence}")
            tell("", "up", f"starting PostgreSQL, {STORES[self._stand.store.kind]} and nginx")
            starting = asyncio.ensure_future(self._start(running))
            if not await _first(starting, stop):
                return
            embedded, nginx, work = starting.result()
            tell("", "up", f"{self.url} passes to {self._spec.group.desired} instances to come")
            keeper = asyncio.create_task(self._keep(nginx))
            ended = asyncio.ensure_future(_failure(embedded, [*work, keeper]))
            running.push_async_callback(cancel, ended, keeper)
            if await _first(ended, stop):
                raise CannotStart(ended.result())
            tell("", "down", "everything drains and ends")

    def status(self) -> dict[str, Any]:
        """Everything that people and machines may want to know."""
        group, front, bounds = self._group, self._front, self._spec.group
        return {
            "fleet": self._spec.name,
            "url": self.url,
            "watchers": self._watchers,
            "data": str(self._layout.data),
            "time_scale": self._time_scale,
            "min": bounds.min,
            "max": bounds.max,
            "desired": group.desired if group else bounds.desired,
            "settled": group is not None and group.settled,
            "deploying": group is not None and group.deploying,
            "release": group.release.label if group else "",
            "releases": group.releases if group else [],
            "deploy": self._deploys.describe(group.staying, group.deploying)
            if group and self._deploys
            else None,
            "database": group is not None and group.database_ok,
            "panic": front is not None and front.panic,
            "averages": group.averages if group else {},
            "decision": group.last_decision if group else "",
            "instances": group.status() if group else [],
            "receipts": list(group.receipts) if group else [],
            "requests": self._traffic.describe() if self._traffic else {},
            "events": [item.describe() for item in self.journal.last(EVENTS_SHOWN)],
        }

    async def _start(
        self, running: AsyncExitStack
    ) -> tuple[Embedded, Nginx, list[asyncio.Task[None]]]:
        """Start all; `running` ends them in the opposite order."""
        layout, connections = self._layout, self._spec.database.max_connections
        tell = self.journal.tell
        origins = front_ends(self._spec, self.url)
        embedded = self._stand.embedded
        if embedded is None:
            embedded = await Embedded.start(layout, origins, connections, self._stand.store)
            running.push_async_callback(embedded.stop)
        addresses = self._stand.between(embedded.addresses)
        gateway = await self._watched_by("Pushgateway", gateway_beside(layout, tell), running)
        alerts = alertmanager_beside(self._spec, layout, tell)
        alertmanager = await self._watched_by("Alertmanager", alerts, running)
        spec = local_spec(self._spec, addresses, self.url, gateway, alertmanager)
        write(layout.spec, toml_text.text(spec))
        secrets = load_or_create(layout.secrets)
        deploys = self._deploys = Deploys(layout.deploys)
        launcher = Launcher(
            spec, layout, addresses, secrets, self._environ, last_number=deploys.last_number
        )
        first_release = await self._first_release(launcher, deploys)
        await launcher.migrate(first_release)
        nginx = Nginx(spec, layout, self._port, secrets.cdn_keys)
        nginx.forget_members()
        running.push_async_callback(nginx.stop)
        await nginx.start()
        made = self._make_balance(nginx)
        balance = self._stand.keeping(made, addresses, nginx)
        front = self._front = NginxFront(balance, nginx.members_socket)
        traffic = self._traffic = Traffic(nginx.access_log)
        work = [await running.enter_async_context(self._balancing(balance))]
        beside = prometheus_beside(
            spec, layout, lambda: known_to(made), lambda: self._told(made), gateway, tell=tell
        )
        await self._watched_by("Prometheus", beside, running)
        registry = await _began(Registry(layout.database_address))
        group = self._group = self._make_group(registry, launcher, front, first_release)
        running.push_async_callback(group.close, self.hurry)
        commands = Commands(group, front, launcher, deploys, self.status, registry.migrations)
        await running.enter_async_context(control_socket(layout.control, commands.act))
        for item in (group.run(), front.follow(), traffic.follow()):
            task = asyncio.create_task(item)
            running.push_async_callback(cancel, task)
            work.append(task)
        return embedded, nginx, work

    async def _watched_by(
        self, name: str, beside: AbstractAsyncContextManager[Watcher], running: AsyncExitStack
    ) -> str:
        """Its address; empty when it is not wanted or does not run."""
        if not self._watched:
            return ""
        watcher = await running.enter_async_context(beside)
        self.journal.tell("", "watched", watcher.told)
        if watcher.url:
            self._watchers[name] = watcher.url
        return watcher.url

    def _told(self, balance: Balance) -> str:
        """What Prometheus is told of nginx and of the group."""
        return metrics.text(balance, desired=self._group.desired if self._group else None)

    def _make_balance(self, nginx: Nginx) -> Balance:
        return Balance(
            self._layout.database_address,
            NginxSocket(nginx.members_socket),
            state=self._layout.balancer,
            name=f"{self._spec.name} on port {self._port}",
            check=self._spec.health_check,
            probe_scale=self._time_scale,
        )

    async def _first_release(self, launcher: Launcher, deploys: Deploys) -> Release:
        """What was deployed last as a whole; where that is gone, or nothing was, our own. Raises
        `CannotStart`."""
        former, tell = deploys.settled, self.journal.tell
        try:
            release = await (launcher.again(former) if former else launcher.release(None))
        except Refused as gone:
            try:
                release = await launcher.release(None)
            except Refused as refused:
                raise CannotStart(str(refused)) from None
            tell("", "deploy", f"{gone}; instances start from {release.label}, that of `up`")
        deploys.settled = release
        if told := deploys.describe((), under_way=False):
            tell("", "deploy", f"that of {told['release']} was {told['state']}: {told['mend']}")
        return release

    def _make_group(
        self, registry: Registry, launcher: Launcher, front: NginxFront, release: Release
    ) -> LocalGroup:
        return LocalGroup(
            self._spec,
            launcher,
            registry,
            front,
            self.journal.tell,
            release=release,
            time_scale=self._time_scale,
        )

    @asynccontextmanager
    async def _balancing(self, balance: Keeper) -> AsyncIterator[asyncio.Task[None]]:
        """The balancer, until the instances have drained; what it says goes into the journal."""
        log = logging.getLogger(BALANCER_LOG)
        handler = JournalHandler(self.journal)
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
        task = asyncio.create_task(balance.run())
        try:
            yield task
        finally:
            balance.stop()
            with suppress(Exception):
                await task
            log.removeHandler(handler)

    async def _keep(self, nginx: Nginx) -> None:
        """Start nginx again whenever it dies."""
        while True:
            code = await nginx.died()
            self.journal.tell("", "nginx", f"ended with {code}; starting it again")
            try:
                await nginx.start()
            except CannotStart as error:
                self.journal.tell("", "nginx", str(error))
                await asyncio.sleep(NGINX_PAUSE)


async def _began(registry: Registry) -> Registry:
    """It shows what begins after its first look, so that comes before any instance: on a busy
    machine one could otherwise be ready before, and never be seen. Raises `CannotStart`."""
    for _ in range(FIRST_LOOKS):
        if await registry.look() is not None:
            return registry
        await asyncio.sleep(0.1)
    raise CannotStart("the database does not answer; see embedded.log")


async def _first(work: "asyncio.Future[Any]", stop: asyncio.Event) -> bool:
    """Whether `work` was done before `stop` was set; if not, it is cancelled. Raises what it
    raised."""
    try:
        await first(work, stop.wait())
        if work.done():
            work.result()
        return work.done()
    finally:
        await cancel(work)


async def _failure(embedded: Embedded, work: list[asyncio.Task[None]]) -> str:
    """Why the fleet cannot go on; waits until that is so."""
    [ended, *_] = await first(embedded.running.wait(), *work)
    if ended not in work:
        log = embedded.running.program.log
        return f"the database or the store ended, see {log}:\n{embedded.running.last_words()}"
    error = ended.exception()
    return "a part of the fleet failed:\n" + "".join(traceback.format_exception(error)).rstrip()

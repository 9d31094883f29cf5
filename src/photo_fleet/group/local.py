"""The group as processes of this machine, kept at its desired size."""

import asyncio
import ipaddress
import signal
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from signal import SIGTERM
from typing import Any, Protocol

import httpx

from photo_base.processes import CannotStart, Program, Running
from photo_base.tasks import first
from photo_fleet.group.choice import first_to_leave
from photo_fleet.group.cpu import Tree
from photo_fleet.group.instance import Instance, Release
from photo_fleet.group.policy import PolicyEngine, period, scaled
from photo_fleet.group.registry_view import Look, Registry
from photo_fleet.group.replacement import Backoff
from photo_fleet.group.samples import Reading
from photo_fleet.spec.fleet import Fleet

INTERVAL = 1.0
"""Seconds between samples, so that a shortened window still holds some."""

KILL_MARGIN = 2.0
"""Seconds beyond the grace, or what the platform waits, after which a drain is taken to hang."""

LONGEST_START = 120.0
"""Seconds for which an instance may be unready while the registry answers; then another one takes
its place. While it does not answer, one that was never ready is looked at like the others then."""


class Refused(Exception):
    """The group cannot do what it was asked for; the text says why and what to do."""


class Front(Protocol):
    """What stands before the instances and sends them requests."""

    def is_member(self, boot_id: str) -> bool:
        """Whether it sends to this boot."""

    def in_flight(self, boot_id: str) -> float | None:
        """Requests that it waits for; None when it cannot tell."""


class Launcher(Protocol):
    """How an instance is started."""

    def program(self, name: str, release: Release) -> Program:
        """The process that serves under this name, which is its address too. Raises `CannotStart`
        when the release is gone."""


Tell = Callable[[str, str, str], None]
"""Takes an instance's name or "", a kind of event, and its text."""


class LocalGroup:
    """Starts, samples, replaces and drains instances. `run` does the work; the other methods only
    say what is wanted. `time_scale` shortens policies and probes, never a drain. `start_limit` is
    in seconds."""

    def __init__(
        self,
        fleet: Fleet,
        launcher: Launcher,
        registry: Registry,
        front: Front,
        tell: Tell,
        *,
        release: Release,
        time_scale: float = 1.0,
        start_limit: float = LONGEST_START,
    ) -> None:
        self._fleet = fleet
        self._start_limit = start_limit
        self._read_at: float | None = None
        self._launcher = launcher
        self._registry = registry
        self._front = front
        self._tell = tell
        group = scaled(fleet.group, time_scale)
        self._engine = PolicyEngine(group, INTERVAL, period(INTERVAL, time_scale))
        self._probe_interval = max(INTERVAL, fleet.health_check.interval / time_scale)
        self._backoff = Backoff()
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._boots = 0
        self.release = release
        self.desired = fleet.group.desired
        self.deploying = False
        self.instances: dict[str, Instance] = {}
        self.last_decision = ""
        self.database_ok = True
        self.receipts: Sequence[Mapping[str, Any]] = ()
        """Of the instances that ended last, the newest first."""

    async def run(self) -> None:
        """Keep the group until cancelled. The instances stay; `close` ends them."""
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.TaskGroup() as work:
            work.create_task(self._keep_size())
            work.create_task(self._watch())
            work.create_task(self._probe_all(http))

    async def close(self, hurry: asyncio.Event) -> None:
        """Drain every instance, at the same time, and wait for the end of all; those that are left
        when `hurry` is set are killed."""
        for instance in list(self.instances.values()):
            if not instance.leaving:
                self.leave(instance, "the fleet ends")
        while self._tasks:
            await first(*self._tasks, *([] if hurry.is_set() else [hurry.wait()]))
            if hurry.is_set():
                for instance in self.instances.values():
                    instance.process.kill()
        self._registry.close()

    @property
    def staying(self) -> list[Instance]:
        """Those that count: not asked to leave, and not on trial."""
        return [item for item in self.instances.values() if not item.leaving and not item.on_trial]

    @property
    def settled(self) -> bool:
        """Whether it has its desired size, every instance is ready, and no deploy is under way."""
        staying = self.staying
        arrived = len(staying) == self.desired and all(item.ready for item in staying)
        return arrived and not self.deploying

    @property
    def changeable(self) -> bool:
        """Whether its size and release may be changed: it is settled, or what is missing cannot be
        had, because starts come to nothing. They are tried again beside any change."""
        return self.settled or (not self.deploying and self._backoff.failed_starts > 0)

    @property
    def releases(self) -> list[dict[str, object]]:
        """Which there are among the instances that stay, and how many of each: the oldest first."""
        counted = Counter(item.release.number for item in self.staying)
        known = {item.release.number: item.release for item in self.staying}
        return [
            {"release": known[number].label, "version": known[number].version, "instances": count}
            for number, count in sorted(counted.items())
        ]

    @property
    def averages(self) -> dict[str, float]:
        """The group's average of each metric that a policy looks at."""
        return self._engine.averages

    def scale(self, size: int, cause: str) -> None:
        """Want so many from now on. Raises `Refused` outside of the group's bounds."""
        group = self._fleet.group
        if not group.min <= size <= group.max:
            raise Refused(
                f"{size} is not between group.min {group.min} and group.max {group.max};"
                " change the bounds in the spec"
            )
        self._tell("", "scale", f"{self.desired} → {size}: {cause}")
        self.desired = size
        self._engine.changed(time.monotonic())
        self._backoff.forget()
        self._wake.set()

    def find(self, name: str) -> Instance:
        """By name. Raises `Refused` when there is none."""
        try:
            return self.instances[name]
        except KeyError:
            names = ", ".join(self.instances) or "none"
            raise Refused(f"there is no instance {name}; there are: {names}") from None

    async def start(self, release: Release, *, on_trial: bool = False) -> Instance:
        """Start one more. Raises `CannotStart`."""
        self._boots += 1
        name = self._new_name()
        process = await Running.start(self._launcher.program(name, release))
        cores = self._fleet.group.local.cores_per_instance
        now = time.monotonic()
        instance = Instance(name, self._boots, release, process, cores, now)
        instance.on_trial = on_trial
        self.instances[name] = instance
        self._tell(name, "start", f"process {process.pid}, release {release.label}")
        self._keep(self._attend(instance))
        return instance

    def adopt(self, newcomer: Instance) -> None:
        """A deploy's newcomer has proven its release: it counts, and others are started from it."""
        newcomer.on_trial = False
        self.go_on_with(newcomer.release)

    def go_on_with(self, release: Release) -> None:
        """Whoever is missing is started from it, at once."""
        self.release = release
        self._backoff.forget()
        self._wake.set()

    def leave(self, instance: Instance, cause: str) -> None:
        """Have it drain; it is killed when it still runs after the grace, or after what the
        platform waits if that is less, and a margin."""
        if not instance.leaving:
            instance.leaving = cause
            self._tell(instance.name, "drain", cause)
            self._keep(self._drain(instance))
            self._wake.set()

    def kill(self, instance: Instance) -> None:
        """SIGKILL, as a machine dies; it is replaced."""
        self._tell(instance.name, "kill", "SIGKILL on demand")
        instance.process.kill()

    def status(self) -> list[dict[str, object]]:
        """All instances, the oldest first."""
        now = time.monotonic()
        return [
            item.describe(now, self._front.is_member(item.boot_id))
            for item in self.instances.values()
        ]

    async def _keep_size(self) -> None:
        while True:
            self._wake.clear()
            await self._converge()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), INTERVAL)

    async def _converge(self) -> None:
        while len(self.staying) < self.desired:
            if not self._backoff.allows(time.monotonic()):
                return
            try:
                await self.start(self.release)
            except CannotStart as error:
                pause = self._backoff.failed(time.monotonic())
                self._tell("", "failed", f"{error}; again in {pause:g} s")
                return
        while len(self.staying) > self.desired:
            chosen = first_to_leave([item.candidate() for item in self.staying])
            self.leave(self.instances[chosen], "scale-in")

    async def _watch(self) -> None:
        while True:
            began = time.monotonic()
            look = await self._registry.look()
            self._take(look)
            self._replace_unready()
            self._decide(None if look is None else look.queue_age)
            await asyncio.sleep(max(0.1, began + INTERVAL - time.monotonic()))

    def _take(self, look: Look | None) -> None:
        """What the registry, the front and the kernel tell about each instance."""
        if (look is not None) is not self.database_ok:
            self.database_ok = look is not None
            self._tell("", "database", "answers again" if look else "does not answer")
        if look is not None:
            self.receipts = look.receipts
        now, tree = time.monotonic(), Tree()
        # A time without a look counts for nobody: this process may have stood still.
        since = 0.0 if self._read_at is None else min(now - self._read_at, 2 * INTERVAL)
        self._read_at = now
        for instance in self.instances.values():
            if look is not None:
                if instance.name in look.rows:
                    instance.take(look.rows[instance.name], now)
                if instance.looked_at(since) and not instance.on_trial:
                    self._backoff.arrived()
            instance.cpu = instance.meter.percent(tree)
            instance.in_flight = self._front.in_flight(instance.boot_id)
        for event in look.events if look is not None else ():
            self._tell(event.instance, event.event, event.cause)

    def _replace_unready(self) -> None:
        for instance in self.staying:
            if instance.unready > self._start_limit:
                pause = self._backoff.failed(time.monotonic())
                text = f"{instance.state} and not ready for {self._start_limit:g} s"
                after = f"in {pause:g} s" if pause else "at once"
                self._tell(instance.name, "unready", f"{text}: it leaves, replaced {after}")
                self.leave(instance, text)

    def _decide(self, queue_age: float | None) -> None:
        readings = [
            Reading(item.name, item.ready_since, item.values(queue_age))
            for item in self.staying
            if item.ready and item.ready_since is not None
        ]
        now = time.monotonic()
        decision = self._engine.step(now, self.desired, readings, self.changeable)
        self.last_decision = decision.reason
        if decision.change:
            self._tell("", "policy", decision.reason)
            self.desired += decision.change
            self._wake.set()

    async def _probe_all(self, http: httpx.AsyncClient) -> None:
        while True:
            now = time.monotonic()
            looked_at = [
                item
                for item in self.staying
                if item.port and (item.ready_since or now - item.started > LONGEST_START)
            ]
            await asyncio.gather(*(self._probe(http, item) for item in looked_at))
            await asyncio.sleep(self._probe_interval)

    async def _probe(self, http: httpx.AsyncClient, instance: Instance) -> None:
        path, timeout = self._fleet.group.replace_on, self._fleet.health_check.timeout
        try:
            async with asyncio.timeout(timeout):
                answer = await http.get(f"http://{instance.name}:{instance.port}{path}")
            answered = answer.status_code == 200
        except (httpx.HTTPError, TimeoutError):
            answered = False
        if instance.liveness.heard(answered) and instance.process.alive and not instance.leaving:
            failures = instance.liveness.failures
            text = f"{path} failed {failures} times in a row: killed and replaced"
            self._tell(instance.name, "hang", text)
            instance.process.kill()

    async def _attend(self, instance: Instance) -> None:
        """See its process end, and have it replaced unless it was asked to leave."""
        code = await instance.process.wait()
        instance.process.kill()  # what may be left of it
        del self.instances[instance.name]
        lived = time.monotonic() - instance.started
        if instance.leaving or instance.on_trial:
            self._tell(instance.name, "end", f"{_exit(code)} after {lived:.0f} s")
        else:
            now, backoff = time.monotonic(), self._backoff
            pause = backoff.died(now, lived) if instance.proven else backoff.failed(now)
            after = f"in {pause:g} s" if pause else "at once"
            text = f"{_exit(code)} after {lived:.0f} s by itself; replaced {after}"
            self._tell(instance.name, "died", text)
        self._wake.set()

    async def _drain(self, instance: Instance) -> None:
        drain = self._fleet.drain
        patience = min(drain.grace, drain.kill_delay) + KILL_MARGIN
        if not await instance.process.stop((SIGTERM, patience)):
            self._tell(instance.name, "kill", f"it still drained after {patience:g} s")

    def _new_name(self) -> str:
        """The next address upward: none is used twice, so that nobody is taken for another."""
        base = ipaddress.ip_address(self._fleet.group.local.base_address)
        return str(base + self._boots - 1)

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _exit(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"

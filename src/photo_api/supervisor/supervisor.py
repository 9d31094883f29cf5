"""The parent of an instance's processes: it binds the socket, starts the workers, checks what they
depend on, and is the only one that obeys signals."""

import asyncio
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from photo_api.cloud.identity import Identity
from photo_api.cloud.metadata import Metadata
from photo_api.contract import WEB_WORKER
from photo_api.health.readiness import READY, phase_of, status_of
from photo_api.http.phase import Phase
from photo_api.metrics.counts import Counts
from photo_api.own_process import reap_orphans, resident_bytes
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings, SecretFiles
from photo_api.supervisor.child import Child, told_exit
from photo_api.supervisor.control_socket import RunDirectoryError, control_socket, run_directories
from photo_api.supervisor.drain import CUT, Drain
from photo_api.supervisor.listening import listen
from photo_api.supervisor.load import LoadMeter
from photo_api.supervisor.metrics import InstanceMetrics
from photo_api.supervisor.migrating import migrate_at_start
from photo_api.supervisor.pushing import Pushing
from photo_api.supervisor.secrets import SecretWatch
from photo_api.supervisor.signals import SignalHandlers
from photo_api.supervisor.slot import Slot, load_of
from photo_api.supervisor.spawning import MALLOC, Ahead
from photo_api.supervisor.systemd import notify
from photo_api.supervisor.termination import Termination
from photo_api.telemetry.pushgateway import Pushgateway, scraped_at
from photo_base.tasks import cancel

if TYPE_CHECKING:
    from photo_api.registry.registration import Registration
    from photo_api.supervisor.monitor import Monitor

log = logging.getLogger(__name__)

KEEP_HOUSE = 1.0
LOOK_AT_WORKERS = 0.25
STATES = {Phase.STARTING: "starting", Phase.SERVING: "ready", Phase.DRAINING: "draining"}
"""What the registry and the control socket call an instance's phases."""

WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104  (to be told apart, not bound)


class Supervisor:
    """Runs `workers` web workers and, unless `jobs` is false, one job process. With `migrate` it
    brings the schema up to this release first."""

    def __init__(
        self,
        secrets: SecretFiles,
        identity: Identity,
        *,
        host: str,
        port: int,
        workers: int,
        jobs: bool = True,
        migrate: bool = False,
        metadata: Metadata | None = None,
    ) -> None:
        self._settings = secrets.settings
        self._environ = secrets.environ
        self._live = LiveSettings(secrets.settings)
        self._secrets = SecretWatch(secrets, self._live)
        self._address = (host, port)
        self._workers = workers
        self._jobs = jobs
        self._migrate = migrate
        self._stop = asyncio.Event()
        self._end_now = asyncio.Event()
        self._cause, self._stopped_at = "failure", 0.0
        self._failed = False
        self._started = False
        self._without_workers = 0.0  # seconds
        self._identity = identity
        self._termination = Termination(secrets.settings, secrets.environ, metadata)
        self._slots: list[Slot] = []
        self.port = port
        self.counts = Counts()
        self.ahead: Ahead | None = None
        """A web worker that has started already."""

    async def run(self) -> int:
        """Until a signal or `stop`; the exit code. Raises OSError when the port cannot be had."""
        handlers = SignalHandlers(self.stop, self._end_now.set, self._replace_workers)
        handlers.install()
        with listen(*self._address) if self._workers else socket.socket() as listening:
            if self._workers:
                self.port = listening.getsockname()[1]
            self._slots = self._make_slots(listening)
            running = [self._watched(slot.keep_running()) for slot in self._slots]
            await asyncio.sleep(0)  # they are started now, and import while the rest here does
            registration = self._make_registration()
            monitor = self._make_monitor(registration)
            self._pushing = self._make_pushing()
            work = self._housekeeping(registration, monitor, handlers)
            helpers = [self._watched(task) for task in work]
            drain = Drain(
                self._settings.lifecycle,
                self._environ,
                self._slots,
                running,
                listening,
                registration,
                self._watched,
                self._end_now,
                self.counts,
                self._termination.sent_to_until,
            )
            clean = False
            try:
                await self._stop.wait()
                clean = await drain.run(self._cause)
            finally:
                await cancel(*helpers, *running)
                told = drain.tell_end(self._cause, failed=self._failed)
                await asyncio.gather(told, self._end_pushing())
        await self._termination.complete(self._end_now)
        return 0 if clean and not self._failed else 1

    def _watched(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[Any]:
        """A task that may end, but not by an error: the instance would go on without it, so it
        drains."""

        def ended(task: asyncio.Task[Any]) -> None:
            if not task.cancelled() and (error := task.exception()):
                log.error("the supervisor failed; the instance ends", exc_info=error)
                self._failed = True
                self.stop(f"{type(error).__name__} in the supervisor")

        task = asyncio.create_task(work)
        task.add_done_callback(ended)
        return task

    def follow_secrets(self, use: Callable[[Settings], None]) -> None:
        """Have `use` called with the present settings, and with those after each change."""
        self._live.follow(use)

    def stop(self, reason: str) -> None:
        """Begin the drain, as SIGTERM does."""
        if not self._stop.is_set():
            self._cause, self._stopped_at = reason, time.monotonic()
            log.info("draining", extra={"fields": {"cause": reason}})
            self._stop.set()

    @property
    def phase(self) -> Phase:
        """As `phase_of` decides; the registry and `photo-api drain` are told."""
        return phase_of(
            started=self._started,
            without_workers=self._without_workers,
            draining=self._stop.is_set(),
        )

    def status(self) -> dict[str, object]:
        """For the control socket."""
        return {
            "pid": os.getpid(),
            "port": self.port,
            "instance": self._identity.instance,
            "boot_id": self._identity.boot_id,
            "version": self._identity.version,
            "state": STATES[self.phase],
            "in_flight": load_of(self._slots).in_flight,
        }

    def _make_slots(self, listening: socket.socket) -> list[Slot]:
        common, shared = ["--boot-id", self._identity.boot_id], list[int]()
        if self._settings.store == "swift":
            shared = [os.memfd_create("token", os.MFD_CLOEXEC)]
            common += ["--token", str(shared[0])]
        environ = {**self._environ, **_environ_of(self._identity)}
        life = self._settings.lifecycle
        descriptor = listening.fileno()
        web = [
            Slot(
                f"web-{number}",
                WEB_WORKER,
                [*common, "--socket", str(descriptor)],
                MALLOC | environ,
                [descriptor, *shared],
                longest_end=life.drain_wait + life.log_flush + CUT,
            )
            for number in range(1, self._workers + 1)
        ]
        jobs = [Slot("jobs", "photo_api.job_worker", common, environ, shared, after=web)]
        slots = web + jobs * self._jobs
        for slot in slots:
            slot.first_command = self._secrets.command
        if web:
            web[0].ahead = self.ahead
        return slots

    def _make_registration(self) -> "Registration":
        # The database's driver is imported while the workers start.
        from photo_api.registry.registration import Registration

        meter = LoadMeter()

        def load() -> dict[str, object]:
            workers = load_of(self._slots)
            return {
                "cpu_percent": meter.cpu_percent(),
                "in_flight": workers.in_flight,
                "memory_bytes": resident_bytes() + workers.memory_bytes,
            }

        host = self._address[0]
        registration = Registration(
            self._settings.database,
            self._identity,
            address=self._identity.instance if host in WILDCARDS else host,
            port=self.port,
            workers=self._workers,
            load=load,
        )
        self._live.follow(lambda settings: registration.use(settings.database))
        return registration

    def _make_monitor(self, registration: "Registration") -> "Monitor":
        from photo_api.health.probe import DatabaseProbe
        from photo_api.supervisor.monitor import Monitor
        from photo_api.supervisor.path_follower import PathFollower

        probe = DatabaseProbe(self._settings.database)
        probe.refused = lambda: self._live.refused("database")
        self._live.follow(lambda settings: probe.use(settings.database))
        path = PathFollower(self._settings.cdn.url, self.counts)
        registration.after_heartbeat = path.look
        web = self._slots[: self._workers]
        monitor = Monitor(probe, web, registration.note, self.counts, path)
        self._metrics = self._make_metrics(monitor)
        about = json.dumps({"port": self.port, "workers": self._workers})

        def on_exit(slot: Slot, code: int) -> None:
            self._metrics.died(slot)
            registration.note("worker_died", f"{slot.name} {told_exit(code)}")

        def on_event(slot: Slot, child: Child, event: str, value: str) -> None:
            if event == "ready":
                child.send(f"about {about}")
                monitor.tell(child)
            elif event == "refused":
                self._secrets.refused(value)
            elif event == "check":
                monitor.take_event(value)
            elif event in ("counts", "gauges", "fleet", "scrape"):
                self._metrics.take(child, event, value)
            elif event == "recycle" and slot.replace():
                registration.note("worker_replaced", f"{slot.name} after {value} requests")

        for slot in self._slots:
            slot.on_exit, slot.on_event = on_exit, on_event
        return monitor

    def _make_metrics(self, monitor: "Monitor") -> InstanceMetrics:
        required = self._settings.lifecycle.health_checks

        def ready() -> bool:
            return status_of(self.phase, map(monitor.check, required)) == READY

        def drains_for() -> float:
            return time.monotonic() - self._stopped_at if self._stop.is_set() else 0.0

        told = self._slots, ready, monitor.check, drains_for, self._live
        return InstanceMetrics(self.counts, lambda: self._identity, *told)

    def _make_pushing(self) -> Pushing | None:
        gateway = Pushgateway.of(self._live)
        if gateway is None:
            return None
        return Pushing(
            gateway,
            self._settings.lifecycle.push_interval,
            lambda: scraped_at(self._identity.instance, self.port),
            lambda: self._metrics.text(openmetrics=False),
            self.counts,
        )

    async def _end_pushing(self) -> None:
        if self._pushing is not None:
            await self._pushing.end()

    def _housekeeping(
        self, registration: "Registration", monitor: "Monitor", handlers: SignalHandlers
    ) -> list[Coroutine[Any, Any, object]]:
        work: list[Coroutine[Any, Any, object]] = [
            self._follow_readiness(registration, monitor),
            _endless(registration.keep()),
            _endless(monitor.run()),
            _endless(self._metrics.keep()),
            self._serve_control(),
            _endless(self._secrets.run(self._send_to_all, registration.note)),
            _endless(_keep_house(handlers, self._slots)),
        ]
        if self._pushing is not None:
            work.append(_endless(self._pushing.run()))
        if self._migrate:
            work.append(migrate_at_start(self._live))

        def learned(region: str) -> None:
            self._identity = replace(self._identity, region=region)
            registration.learn_region(region)

        work.append(self._termination.follow(self.stop, learned))
        work.append(self._termination.keep_open(self._stop))
        work.append(self._termination.deregister(self._stop))
        return work

    async def _serve_control(self) -> None:
        configured = self._settings.lifecycle.run_dir
        directory = run_directories(configured, self._environ)[0]
        try:
            async with control_socket(directory, self.status, self.stop):
                await asyncio.Event().wait()
        except RunDirectoryError as error:
            log.warning("`photo-api drain` cannot reach this instance: %s", error)

    async def _follow_readiness(self, registration: "Registration", monitor: "Monitor") -> None:
        """Tell systemd that all processes run, and the registry each change of phase."""
        await asyncio.gather(*(slot.ready.wait() for slot in self._slots))
        notify(self._environ, f"READY=1\nSTATUS=serving on port {self.port}")
        await monitor.database_ok.wait()
        self._started = True
        if self._stop.is_set():
            return
        registration.change("ready", "ready")
        await registration.flush()
        jobs = self._settings.jobs.concurrency if self._jobs else 0
        deployed = self._settings.mode == "production"
        await registration.warn_of_capacity(self._workers, jobs, deployed=deployed)
        log.info("ready", extra={"fields": {"port": self.port, "workers": self._workers}})
        web, told = self._slots[: self._workers], Phase.SERVING
        while web and not self._stop.is_set():
            if self.phase is not told:
                told = self.phase
                if told is Phase.STARTING:
                    registration.change("starting", "without_workers", "no web worker runs")
                    log.error("not ready: no web worker runs")
                else:
                    registration.change("ready", "ready", "a web worker runs again")
                    log.info("ready again")
            await asyncio.sleep(LOOK_AT_WORKERS)
            alive = any(slot.ready.is_set() for slot in web)
            self._without_workers = 0.0 if alive else self._without_workers + LOOK_AT_WORKERS

    def _send_to_all(self, command: str) -> None:
        for slot in self._slots:
            slot.send(command)

    def _replace_workers(self) -> None:
        log.info("replacing the workers")
        self._secrets.look_soon()
        for slot in self._slots:
            slot.replace()


def _environ_of(identity: Identity) -> dict[str, str]:
    """The identity, for the workers, which do not ask the cloud's metadata."""
    return {
        "PHOTO_API_INSTANCE_IP": identity.instance,
        "PHOTO_API_NODE_NAME": identity.node,
        "PHOTO_API_REGION": identity.region or "",
    }


async def _endless(work: Coroutine[Any, Any, object]) -> None:
    """Run what should never end. Raises RuntimeError when it does."""
    name = getattr(work, "__qualname__", "a task")
    await work
    raise RuntimeError(f"{name} ended")


async def _keep_house(handlers: SignalHandlers, slots: list[Slot]) -> None:
    while True:
        await asyncio.sleep(KEEP_HOUSE)
        handlers.restore()
        if os.getpid() == 1:
            reap_orphans({pid for slot in slots for pid in slot.pids})

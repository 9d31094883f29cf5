"""The parent of an instance's processes: it binds the socket, starts the workers, looks at what
they depend on, and is the only one that obeys signals."""

import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from photo_api.cloud.identity import Identity
from photo_api.cloud.metadata import Metadata
from photo_api.settings.secrets import LiveSettings, SecretFiles
from photo_api.supervisor.child import Child
from photo_api.supervisor.control_socket import RunDirectoryError, control_socket, run_directories
from photo_api.supervisor.drain import CUT, carried, finish, lame_duck
from photo_api.supervisor.load import LoadMeter, resident_bytes
from photo_api.supervisor.migrating import migrate_at_start
from photo_api.supervisor.orphans import reap_orphans
from photo_api.supervisor.secrets import SecretWatch
from photo_api.supervisor.signals import Handlers
from photo_api.supervisor.slot import Process
from photo_api.supervisor.systemd import notify

if TYPE_CHECKING:
    from photo_api.registry.row import Registry
    from photo_api.supervisor.monitor import Monitor

log = logging.getLogger(__name__)

KEEP_HOUSE = 1.0
LOOK_AT_WORKERS = 0.25
WITHOUT_WORKERS = 2.0
"""Seconds without any web worker after which the instance is not ready."""

BACKLOG = 2048
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
        self._cause = "failure"
        self._failed = False
        self._state = "starting"
        self._identity = identity
        self._metadata = metadata
        self._processes: list[Process] = []
        self.port = port

    async def run(self) -> int:
        """Until a signal or `stop`; the exit code. Raises OSError when the port cannot be had."""
        handlers = Handlers(self.stop, self._end_now.set, self._replace_workers)
        handlers.install()
        with _bind(self._address) if self._workers else socket.socket() as listening:
            if self._workers:
                self.port = listening.getsockname()[1]
            self._processes = self._make_processes(listening)
            for item in self._processes:
                item.greeting = self._secrets.message
            running = [asyncio.create_task(item.keep_running()) for item in self._processes]
            for process in running:
                process.add_done_callback(self._ended)
            await asyncio.sleep(0)  # they are started now, and import while the rest here does
            registry = self._make_registry()
            monitor = self._make_monitor(registry)
            helpers = [
                asyncio.create_task(work)
                for work in self._housekeeping(registry, monitor, handlers)
            ]
            for helper in helpers:
                helper.add_done_callback(self._ended)
            clean = False
            try:
                await self._stop.wait()
                clean = await self._drain(registry, running, listening)
            finally:
                for task in (*helpers, *running):
                    task.cancel()
                await asyncio.gather(*helpers, *running, return_exceptions=True)
                await self._say_stopped(registry)
        await self._complete_termination()
        return 0 if clean and not self._failed else 1

    def _ended(self, task: asyncio.Task[Any]) -> None:
        """Whatever watches over the instance may end, but not by an error: then so does the
        instance, rather than go on unwatched."""
        if not task.cancelled() and (error := task.exception()):
            log.error("the supervisor failed; the instance ends", exc_info=error)
            self._failed = True
            self.stop(f"{type(error).__name__} in the supervisor")

    def stop(self, reason: str) -> None:
        """Begin the drain, as SIGTERM does."""
        if not self._stop.is_set():
            self._cause = reason
            log.info("draining", extra={"fields": {"cause": reason}})
            self._stop.set()

    def status(self) -> dict[str, object]:
        """For the control socket."""
        return {
            "pid": os.getpid(),
            "port": self.port,
            "instance": self._identity.instance,
            "boot_id": self._identity.boot_id,
            "version": self._identity.version,
            "state": self._state,
            "in_flight": carried(self._processes).in_flight,
        }

    def _make_processes(self, listening: socket.socket) -> list[Process]:
        common = ["--boot-id", self._identity.boot_id]
        environ = {**self._environ, **_told(self._identity)}
        life = self._settings.lifecycle
        descriptor = listening.fileno()
        web = [
            Process(
                f"web-{number}",
                "photo_api.web_worker",
                [*common, "--socket", str(descriptor)],
                environ,
                [descriptor],
                longest_end=life.drain_wait + life.log_flush + CUT,
            )
            for number in range(1, self._workers + 1)
        ]
        if not self._jobs:
            return web
        return [*web, Process("jobs", "photo_api.job_worker", common, environ, after=web)]

    def _make_registry(self) -> "Registry":
        # The database's driver is imported while the workers start.
        from photo_api.registry.row import Registry

        meter = LoadMeter()

        def load() -> dict[str, object]:
            their = carried(self._processes)
            return {
                "cpu_percent": meter.cpu_percent(),
                "in_flight": their.in_flight,
                "memory_bytes": resident_bytes() + their.memory_bytes,
            }

        host = self._address[0]
        registry = Registry(
            self._settings.database,
            self._identity,
            address=self._identity.instance if host in WILDCARDS else host,
            port=self.port,
            workers=self._workers,
            load=load,
        )
        self._live.follow(lambda settings: registry.use(settings.database))
        return registry

    def _make_monitor(self, registry: "Registry") -> "Monitor":
        from photo_api.health.probe import DatabaseProbe
        from photo_api.supervisor.monitor import Monitor

        web = self._processes[: self._workers]
        probe = DatabaseProbe(self._settings.database)
        probe.refused = lambda: self._live.refused("database")
        self._live.follow(lambda settings: probe.use(settings.database))
        monitor = Monitor(probe, web, registry.note)

        about = {"port": self.port, "workers": self._workers}

        def died(process: Process, code: int) -> None:
            registry.note("worker_died", f"{process.name} {_exit(code)}")

        def heard(process: Process, child: Child, event: str, value: str) -> None:
            if event == "ready":
                child.order(f"about {json.dumps(about)}")
                monitor.tell(child)
            elif event == "refused":
                self._secrets.refused(value)
            elif event == "check":
                monitor.take_report(value)
            elif event == "recycle" and process.replace():
                registry.note("worker_replaced", f"{process.name} after {value} requests")

        for process in self._processes:
            process.died, process.heard = died, heard
        return monitor

    def _housekeeping(
        self, registry: "Registry", monitor: "Monitor", handlers: Handlers
    ) -> list[Coroutine[Any, Any, object]]:
        work: list[Coroutine[Any, Any, object]] = [
            self._announce(registry, monitor),
            _endless(registry.keep()),
            _endless(monitor.run()),
            self._serve_control(),
            _endless(self._secrets.run(self._tell, registry.note)),
            _endless(_keep_house(handlers, self._processes)),
        ]
        if self._migrate:
            work.append(migrate_at_start(self._live))
        if self._is_on_amazon():
            work.append(self._follow_notices())
        return work

    async def _follow_notices(self) -> None:
        from photo_api.cloud.notices import notice

        self.stop(await notice(self._settings.cloud))

    async def _complete_termination(self) -> None:
        """Whoever stopped us: the group may be terminating this machine and wait for our word."""
        from photo_api.cloud.notices import complete_lifecycle_action

        if self._is_on_amazon():
            region = self._identity.region
            await complete_lifecycle_action(self._settings.cloud, self._metadata, region)

    def _is_on_amazon(self) -> bool:
        return self._metadata is not None and self._metadata.provider == "aws"

    async def _serve_control(self) -> None:
        configured = self._settings.lifecycle.run_dir
        directory = run_directories(configured, self._environ)[0]
        try:
            async with control_socket(directory, self.status, self.stop):
                await asyncio.Event().wait()
        except RunDirectoryError as error:
            log.warning("`photo-api drain` cannot reach this instance: %s", error)

    async def _announce(self, registry: "Registry", monitor: "Monitor") -> None:
        """The service manager hears when all processes run, the registry when they can serve: a
        database that is away at boot must not end in a restart."""
        await asyncio.gather(*(process.ready.wait() for process in self._processes))
        notify(self._environ, f"READY=1\nSTATUS=serving on port {self.port}")
        await monitor.database_ok.wait()
        if self._stop.is_set():
            return
        self._state = "ready"
        registry.change("ready", "ready")
        await registry.flush()
        jobs = self._settings.jobs.concurrency if self._jobs else 0
        deployed = self._settings.mode == "production"
        await registry.warn_of_capacity(self._workers, jobs, deployed=deployed)
        log.info("ready", extra={"fields": {"port": self.port, "workers": self._workers}})
        await self._stay_ready_while_workers_live(registry)

    async def _stay_ready_while_workers_live(self, registry: "Registry") -> None:
        """An instance without a living worker answers nobody, so the balancers should know. One
        that is replaced at once keeps nobody waiting for long."""
        web = self._processes[: self._workers]
        absent = 0.0
        while web:
            await asyncio.sleep(LOOK_AT_WORKERS)
            alive = any(process.ready.is_set() for process in web)
            absent = 0.0 if alive else absent + LOOK_AT_WORKERS
            if self._stop.is_set():
                return
            if absent >= WITHOUT_WORKERS and self._state == "ready":
                self._state = "starting"
                registry.change("starting", "without_workers", "no web worker runs")
                log.error("not ready: no web worker runs")
            elif alive and self._state == "starting":
                self._state = "ready"
                registry.change("ready", "ready", "a web worker runs again")
                log.info("ready again")

    def _tell(self, order: str) -> None:
        for process in self._processes:
            process.order(order)

    def _replace_workers(self) -> None:
        log.info("replacing the workers")
        self._secrets.look_soon()
        for process in self._processes:
            process.replace()

    async def _drain(
        self, registry: "Registry", running: list[asyncio.Task[None]], listening: socket.socket
    ) -> bool:
        """Readiness fails at once, then the registry hears of it; serving goes on for the lame
        duck, and then requests in flight get to finish. Whether everybody ended by themselves."""
        self._tell("drain")
        notify(self._environ, "STOPPING=1\nSTATUS=draining")
        self._state = "draining"
        registry.change("draining", "draining", self._cause)
        writing = asyncio.create_task(registry.flush())
        writing.add_done_callback(self._ended)
        life = self._settings.lifecycle
        duck = lame_duck(life.lame_duck, self._processes, registry.removed_from_balancers)
        await self._unless_ended_now(duck)
        ending = finish(self._processes, running, listening, life.drain_wait + life.log_flush)
        clean = await self._unless_ended_now(ending)
        writing.cancel()
        return bool(clean)

    async def _say_stopped(self, registry: "Registry") -> None:
        cut = carried(self._processes).cut
        requests = "request" if cut == 1 else "requests"
        cause = f"{self._cause}; {cut} {requests} cut at the limit" if cut else self._cause
        registry.change("stopped", "stopped", cause)
        if not await registry.flush():
            log.warning("the registry does not know that this instance stopped")
        await registry.close()

    async def _unless_ended_now(self, work: Coroutine[Any, Any, Any]) -> object:
        """What `work` gives; None when a second signal came first."""
        task = asyncio.create_task(work)
        ended = asyncio.create_task(self._end_now.wait())
        try:
            await asyncio.wait([task, ended], return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for item in (task, ended):
                item.cancel()


def _told(identity: Identity) -> dict[str, str]:
    """Who the instance is, for its workers: nobody else asks the cloud's metadata."""
    return {
        "PHOTO_API_INSTANCE_IP": identity.instance,
        "PHOTO_API_NODE_NAME": identity.node,
        "PHOTO_API_REGION": identity.region or "",
    }


async def _endless(work: Coroutine[Any, Any, object]) -> None:
    """Raises RuntimeError when it ends, which nobody would notice otherwise."""
    name = getattr(work, "__qualname__", "a task")
    await work
    raise RuntimeError(f"{name} ended")


async def _keep_house(handlers: Handlers, processes: list[Process]) -> None:
    while True:
        await asyncio.sleep(KEEP_HOUSE)
        handlers.keep()
        if os.getpid() == 1:
            reap_orphans({pid for process in processes for pid in process.pids})


def _exit(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"


def _bind(address: tuple[str, int]) -> socket.socket:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        # At once, not in a worker: two that start together can both bind, and one can listen.
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening

"""One web worker: a uvicorn server that takes commands from the supervisor and obeys no signal.

Run as `python -m photo_api.web_worker --name web-1 --boot-id ID --socket FD --control FD`. Among
the commands are `drain` (readiness fails, serve on), `retire` (accept no more) and `stop` (finish
what is in flight); the end of the channel means that the supervisor is dead, and ends the worker.
"""

from photo_api import quick_start
from photo_api.own_process import die_with_parent, resident_bytes

if __name__ == "__main__":
    die_with_parent()
    quick_start.leave_out_what_no_request_needs()

import asyncio
import json
import logging
import math
import os
import random
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

import uvicorn

from photo_api.app import create_app
from photo_api.health.checks import from_line, to_line
from photo_api.health.worker_health import WorkerHealth
from photo_api.http.connections import Connections
from photo_api.http.middleware import count_for_objective
from photo_api.http.phase import Phase, WorkerPhase
from photo_api.http.protocol import protocol_class
from photo_api.metrics.declared import REQUESTS, UNMATCHED
from photo_api.metrics.metric import OTHER
from photo_api.metrics.reporting import LAST_REPORT
from photo_api.settings.loading import Settings
from photo_api.supervisor.listening import accept_the_last
from photo_api.supervisor.load import WorkerLoad
from photo_api.supervisor.worker_process import IGNORED, WorkerProcess, worker_process
from photo_api.telemetry.logs import open_access_log

log = logging.getLogger(__name__)

BACKLOG = 2048
LOAD_INTERVAL, LOAD_INTERVAL_AT_END = 1.0, 0.2
LOOK_AT_END = 0.01


class Server(uvicorn.Server):
    """uvicorn without signal handlers; it tells the supervisor when it listens."""

    def __init__(
        self,
        config: uvicorn.Config,
        worker: WorkerProcess,
        health: WorkerHealth,
        connections: Connections,
    ) -> None:
        super().__init__(config)
        self._channel = worker.channel
        self._secrets = worker.secrets
        self._metrics = worker.metrics
        self._recycle_after = worker.secrets.live.now.http.recycle_after
        self._health = health
        self._phase = health.phase
        self._connections = connections
        self._broken_off: int | None = None
        self._accepts = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        following = asyncio.create_task(self._follow())
        await super().startup(sockets)
        _insist_on_ignoring()
        if not self.should_exit:
            await self._channel.send("ready")
        quick_start.all_is_loaded()
        reporting = asyncio.create_task(self._report_load())
        counting = asyncio.create_task(self._metrics.keep())
        for task in (reporting, counting):
            task.add_done_callback(self._reporting_ended)
        self._tasks = (following, reporting, counting)

    async def _follow(self) -> None:
        async for command, value in self._channel:
            try:
                self._obey(command, value)
            except Exception:  # the next command counts all the same
                log.exception("a command failed", extra={"fields": {"command": command}})
        # The supervisor is gone, and nothing else would ever stop this worker.
        os._exit(1)

    def _obey(self, command: str, value: str) -> None:
        if command == "checks":
            self._health.update(from_line(value))
        elif command == "delivery":
            self._health.delivery.update(value)
        elif command == "secrets":
            self._secrets.update(value)
        elif command == "about":
            self._health.about = json.loads(value)
        elif command.startswith("metrics-"):
            self._metrics.take_piece(value)
        elif command == "look-at-fleet":
            self._metrics.look_at_fleet(value)
        elif command == "look-at-storage":
            self._looking = asyncio.create_task(self._look_at_storage())
        elif command == "drain":
            self._phase.drain()
        elif command == "retire":
            self._retire()
        elif command == "stop":
            self._stop()

    def _reporting_ended(self, reporting: asyncio.Task[None]) -> None:
        """A worker that does not report its load would be counted wrong in a drain, and one that
        does not report its counts nowhere. Another replaces it, after it has finished what it
        carries."""
        if not reporting.cancelled() and (error := reporting.exception()):
            log.error("the worker reports no more, and ends", exc_info=error)
            self._stop()

    def _retire(self) -> None:
        """The successor accepts from now on; the shared socket stays open in it."""
        self._phase.retire()
        self._accepts = False
        for server in self.servers:
            server.close()

    def _stop(self) -> None:
        if self._phase.now is not Phase.RETIRING:
            self._phase.drain()
        self._connections.stopping = self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # One that has retired left the socket to its successor, also when a drain came after that.
        if self._phase.now is Phase.DRAINING and self._accepts:
            await accept_the_last(sockets or [], self.servers, self._protocol)
        await super().shutdown(sockets)
        await self._tell_end()

    async def _wait_tasks_to_complete(self) -> None:
        """As uvicorn's own, which looks whether the last request is through only ten times a
        second, and holds up the end of an instance by that."""
        state = self.server_state
        while (state.connections or state.tasks) and not self.force_exit:
            await asyncio.sleep(LOOK_AT_END)
        await super()._wait_tasks_to_complete()

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    async def _tell_end(self) -> None:
        """The end of the process cuts what is in flight in spite of all, and what clients have not
        taken of answers; the supervisor hears how much that is."""
        self._broken_off = self._phase.in_flight + self._connections.unsent
        if cut := self._phase.cut + self._broken_off:
            log.error("requests cut at the limit", extra={"fields": {"requests": cut}})
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_REPORT):
                await self._channel.send(f"load {self._load()}")
                await self._channel.send("finished")
        await self._metrics.close()

    async def _look_at_storage(self) -> None:
        check = await self._health.look_at_storage()
        await self._channel.send(f"check {to_line({'storage': check})}")

    def _load(self) -> str:
        phase, cut = self._phase, self._phase.cut + (self._broken_off or 0)
        in_flight = phase.in_flight if self._broken_off is None else 0
        requests = phase.served + phase.in_flight
        load = WorkerLoad(
            in_flight=in_flight,
            accepted=self._connections.accepted,
            last_accepted=self._connections.last_accepted,
            cut=cut,
            requests=requests,
            finished=requests - in_flight - cut,
            memory_bytes=resident_bytes(),
        )
        return json.dumps(asdict(load))

    async def _report_load(self) -> None:
        reported = ""
        recycle_at = _recycle_at(self._recycle_after)
        while True:
            await asyncio.sleep(LOAD_INTERVAL_AT_END if self._phase.closing else LOAD_INTERVAL)
            load = self._load()
            if load != reported:
                reported = load
                await self._channel.send(f"load {load}")
            if self._phase.served >= recycle_at:
                recycle_at = math.inf
                await self._channel.send(f"recycle {self._phase.served}")


def _insist_on_ignoring() -> None:
    """A library that took these signals at import would end this worker before its requests."""
    for number in IGNORED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            log.error("a library displaced the handling of %s", number.name)
            signal.signal(number, signal.SIG_IGN)


def _recycle_at(requests: int) -> float:
    """Spread, so that the workers of an instance are not all replaced at one moment."""
    return requests * random.uniform(0.9, 1.1) if requests else math.inf


def main() -> None:
    """The worker process."""
    with worker_process() as worker:
        live, instance = worker.secrets.live, worker.identity.instance
        settings, connections, phase = live.now, Connections(), WorkerPhase()
        if worker.draining:
            phase.drain()
        required = settings.lifecycle.health_checks
        health = WorkerHealth(worker.identity, phase, required, worker.logs)
        access_log = open_access_log(settings.logs, worker.identity, worker.name, worker.logs)
        counts = worker.metrics.counts

        def refused(status: int) -> None:
            counts.add(REQUESTS, OTHER, UNMATCHED, str(status))
            count_for_objective(counts, OTHER, UNMATCHED, status)

        connections.refused = refused
        app = create_app(live, worker.identity, health, access_log, worker.metrics, worker.tracer)
        config = server_config(settings, app, instance, connections)
        listening = socket.socket(fileno=worker.socket)
        Server(config, worker, health, connections).run(sockets=[listening])
    os._exit(0)  # all is told and flushed; see `EventLoop`


def server_config(
    settings: Settings, app: object, instance: str, connections: Connections
) -> uvicorn.Config:
    """uvicorn as every worker runs it, and whatever is compared with a worker."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="photo_api.http.event_loop:EventLoop",
        http=protocol_class(settings.http, instance, connections),
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.http.keep_alive,
        # uvicorn hands it to `asyncio.wait_for`, which takes fractions.
        timeout_graceful_shutdown=settings.lifecycle.drain_wait,  # type: ignore[arg-type]
    )


if __name__ == "__main__":
    main()

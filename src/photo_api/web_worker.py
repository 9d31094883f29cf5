"""One web worker: a uvicorn server that takes its orders from the supervisor and from no signal.

Run as `python -m photo_api.web_worker --name web-1 --boot-id ID --socket FD --orders FD`.
The orders arrive over a socket: `secrets` (there at birth, and whenever they change), `drain`
(readiness fails, serve on), `retire` (accept no more), `stop` (finish what is in flight). Their end
means that the supervisor is dead, and ends the worker.
"""

import argparse
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
from photo_api.cloud.identity import identify
from photo_api.health.checks import from_line, to_line
from photo_api.health.readiness import Health
from photo_api.http.phase import Drain, Phase
from photo_api.http.protocol import Connections, protocol_class
from photo_api.settings.loading import Settings
from photo_api.supervisor.child import WorkerLoad
from photo_api.supervisor.control_channel import Orders
from photo_api.supervisor.load import resident_bytes
from photo_api.supervisor.memory import hide_memory
from photo_api.supervisor.orphans import die_with_parent
from photo_api.supervisor.secrets import ToldSecrets
from photo_api.telemetry.logs import log_shipping, open_access_log

log = logging.getLogger(__name__)

BACKLOG = 2048
LOAD_INTERVAL, LOAD_INTERVAL_AT_END = 1.0, 0.2
JUST_BEFORE = 0.1
IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Server(uvicorn.Server):
    """uvicorn without signal handlers, and with a word to the supervisor when it listens."""

    def __init__(
        self,
        config: uvicorn.Config,
        orders: Orders,
        secrets: ToldSecrets,
        health: Health,
        connections: Connections,
        recycle_after: int,
    ) -> None:
        super().__init__(config)
        self._orders = orders
        self._secrets = secrets
        self._health = health
        self._connections = connections
        self._recycle_after = recycle_after
        self._cut = 0
        self._accepts = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        following = asyncio.create_task(self._follow())
        await super().startup(sockets)
        _insist_on_ignoring()
        if not self.should_exit:
            await self._orders.report("ready")
        reporting = asyncio.create_task(self._report_load())
        reporting.add_done_callback(self._reporting_ended)
        self._tasks = (following, reporting)

    async def _follow(self) -> None:
        async for message in self._orders:
            order, _, value = message.partition(" ")
            try:
                self._obey(order, value)
            except Exception:  # the next order counts all the same
                log.exception("an order cannot be obeyed", extra={"fields": {"order": order}})
        # The supervisor is gone and nobody would ever stop this worker.
        os._exit(1)

    def _obey(self, order: str, value: str) -> None:
        if order == "checks":
            self._health.told(from_line(value))
        elif order == "secrets":
            self._secrets.told(value)
        elif order == "about":
            self._health.about = json.loads(value)
        elif order == "look-at-storage":
            self._looking = asyncio.create_task(self._look_at_storage())
        elif order == "drain":
            self._health.drain.begin()
        elif order == "retire":
            self._retire()
        elif order == "stop":
            self._stop()

    def _reporting_ended(self, reporting: asyncio.Task[None]) -> None:
        """A worker whose load nobody knows would be counted wrong in a drain: another replaces it,
        after it has finished what it carries."""
        if not reporting.cancelled() and (error := reporting.exception()):
            log.error("the load is reported no more; this worker ends", exc_info=error)
            self._stop()

    def _retire(self) -> None:
        """The successor accepts from now on; the shared socket stays open in it."""
        self._health.drain.retire()
        self._accepts = False
        for server in self.servers:
            server.close()

    def _stop(self) -> None:
        drain = self._health.drain
        if drain.phase is not Phase.RETIRING:
            drain.begin()
        self._connections.stopping = self.should_exit = True
        limit = self.config.timeout_graceful_shutdown or 0
        asyncio.get_running_loop().call_later(limit - JUST_BEFORE, self._count_cut)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # One that has retired left the socket to its successor, also when a drain came after that.
        if self._health.drain.phase is Phase.DRAINING and self._accepts:
            await self._accept_the_last(sockets or [])
        await super().shutdown(sockets)

    async def _accept_the_last(self, sockets: list[socket.socket]) -> None:
        """Closing a socket resets the connections that wait in it to be accepted, whose requests
        may be on their way. So they are accepted, and further ones refused by the kernel in the
        same breath, for all processes that share the socket."""
        waiting = []
        for listening in sockets:
            listening.setblocking(False)
            with suppress(OSError):  # nobody waits any more, or another worker was first
                while True:
                    waiting.append(listening.accept()[0])
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RD)
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        for connection in waiting:
            with suppress(OSError):
                await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _count_cut(self) -> None:
        """What is in flight now is cut in a moment."""
        self._cut = self._health.drain.in_flight
        if self._cut:
            log.error("requests cut at the limit", extra={"fields": {"requests": self._cut}})
            self._telling = asyncio.create_task(self._orders.report(f"load {self._load()}"))

    async def _look_at_storage(self) -> None:
        check = await self._health.look_at_storage()
        await self._orders.report(f"check {to_line({'storage': check})}")

    def _load(self) -> str:
        load = WorkerLoad(
            in_flight=self._health.drain.in_flight,
            accepted=self._connections.accepted,
            last_accepted=self._connections.last_accepted,
            cut=self._cut,
            memory_bytes=resident_bytes(),
        )
        return json.dumps(asdict(load))

    async def _report_load(self) -> None:
        drain, reported = self._health.drain, ""
        recycle_at = _recycle_at(self._recycle_after)
        while True:
            await asyncio.sleep(LOAD_INTERVAL_AT_END if drain.closing else LOAD_INTERVAL)
            load = self._load()
            if load != reported:
                reported = load
                await self._orders.report(f"load {load}")
            if drain.served >= recycle_at:
                recycle_at = math.inf
                await self._orders.report(f"recycle {drain.served}")


def _insist_on_ignoring() -> None:
    """A library that took these signals at import would end this worker before its requests."""
    for number in IGNORED:
        if signal.getsignal(number) is not signal.SIG_IGN:
            log.error("somebody displaced the handling of %s", number.name)
            signal.signal(number, signal.SIG_IGN)


def _recycle_at(requests: int) -> float:
    """Spread, so that the workers of an instance are not all replaced at one moment."""
    return requests * random.uniform(0.9, 1.1) if requests else math.inf


def main() -> None:
    """The worker process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--boot-id", required=True)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--orders", type=int, required=True)
    parser.add_argument("--draining", action="store_true", help="started during a drain")
    options = parser.parse_args()
    die_with_parent()
    hide_memory()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    orders = Orders(options.orders)
    secrets = ToldSecrets(os.environ, orders)
    settings = secrets.live.now
    identity = identify(settings.lifecycle, options.boot_id)
    flush = settings.lifecycle.log_flush
    with log_shipping(settings.logs, identity.instance, options.name, flush) as logs:
        connections, drain = Connections(), Drain()
        if options.draining:
            drain.begin()
        health = Health(identity, drain, settings.lifecycle.health_checks, logs)
        access_log = open_access_log(settings.logs, identity.instance, options.name, logs)
        app = create_app(secrets.live, identity, health, access_log)
        server = Server(
            server_config(settings, app, identity.instance, connections),
            orders,
            secrets,
            health,
            connections,
            settings.http.recycle_after,
        )
        server.run(sockets=[socket.socket(fileno=options.socket)])


def server_config(
    settings: Settings, app: object, instance: str, connections: Connections
) -> uvicorn.Config:
    """uvicorn as every worker runs it, and whatever is compared with a worker."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="uvloop",
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

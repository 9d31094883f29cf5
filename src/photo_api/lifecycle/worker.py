"""One web worker: a uvicorn server that takes its orders from the supervisor and from no signal.

Run as `python -m photo_api.lifecycle.worker --name web-1 --boot-id ID --socket FD --orders FD`.
The orders arrive as lines over a socket: `drain` (readiness fails, serve on), `stop` (accept no
more, finish what is in flight). Its end means that the supervisor is dead, and so ends the worker.
"""

import argparse
import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from photo_api.app import create_app
from photo_api.lifecycle.drain import Drain
from photo_api.lifecycle.identity import identify
from photo_api.lifecycle.orders import Orders
from photo_api.settings.loading import Settings, load
from photo_api.telemetry.logs import configure_logging, open_access_log

BACKLOG = 2048
LOAD_INTERVAL = 1.0


class Server(uvicorn.Server):
    """uvicorn without signal handlers, and with a word to the supervisor when it listens."""

    def __init__(self, config: uvicorn.Config, orders: Orders, drain: Drain) -> None:
        super().__init__(config)
        self._orders = orders
        self._drain = drain

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        following = asyncio.create_task(self._follow())
        await super().startup(sockets)
        if not self.should_exit:
            await self._orders.report("ready")
        self._tasks = (following, asyncio.create_task(self._report_load()))

    async def _follow(self) -> None:
        async for order in self._orders:
            if order == "drain":
                self._drain.begin()
            elif order == "stop":
                self._drain.begin()
                self.should_exit = True
        # The supervisor is gone and nobody would ever stop this worker.
        os._exit(1)

    async def _report_load(self) -> None:
        reported = 0
        while True:
            await asyncio.sleep(LOAD_INTERVAL)
            if self._drain.in_flight != reported:
                reported = self._drain.in_flight
                await self._orders.report(f"in-flight {reported}")


def main() -> None:
    """The worker process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--boot-id", required=True)
    parser.add_argument("--socket", type=int, required=True)
    parser.add_argument("--orders", type=int, required=True)
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    settings = load(os.environ)
    identity = identify(settings.lifecycle, options.boot_id)
    configure_logging(settings.logs, identity.instance, options.name)
    drain = Drain()
    access_log = open_access_log(settings.logs, identity.instance, options.name)
    app = create_app(settings, identity, drain, access_log)
    server = Server(server_config(settings, app), Orders(options.orders), drain)
    listening = socket.socket(fileno=options.socket)
    server.run(sockets=[listening])


def server_config(settings: Settings, app: object) -> uvicorn.Config:
    """uvicorn as every worker runs it, and whatever is compared with a worker."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        loop="uvloop",
        http="httptools",
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.http.keep_alive,
        timeout_graceful_shutdown=max(1, round(settings.lifecycle.drain_wait)),
    )


if __name__ == "__main__":
    main()

"""A balancer as Amazon's: it asks nobody whether an instance leaves, sends to the targets that are
registered, tries nothing twice, and lets requests in flight finish when one is deregistered
("Deregistration delay" in the Application Load Balancers user guide)."""

import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PIECE = 65_536


@dataclass(frozen=True, slots=True)
class Sent:
    """A request to a target: when (monotonic), and the status, or what went wrong."""

    target: str
    at: float
    result: int | str


class TargetGroup(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *targets: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sent: list[Sent] = []
        self._registered = list(targets)
        self._turn = itertools.count()
        self._idle: dict[str, list[http.client.HTTPConnection]] = {name: [] for name in targets}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def deregister(self, target: str) -> None:
        self._registered = [name for name in self._registered if name != target]

    def choose(self) -> str:
        registered = self._registered
        return registered[next(self._turn) % len(registered)]

    def connection(self, target: str) -> http.client.HTTPConnection:
        """One that is kept alive, or a new one."""
        with suppress(IndexError):
            return self._idle[target].pop()
        return http.client.HTTPConnection(target.removeprefix("http://"), timeout=30)

    def keep(self, target: str, connection: http.client.HTTPConnection) -> None:
        self._idle[target].append(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are none of our business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: TargetGroup

    def _pass_on(self) -> None:
        target, at = self.server.choose(), time.monotonic()
        connection = self.server.connection(target)
        try:
            answer = self._ask(connection)
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.server.sent.append(Sent(target, at, type(error).__name__))
            self.close_connection = True
            return self._answer(502, b"", "text/plain")
        self.server.sent.append(Sent(target, at, answer.status))
        if not answer.will_close:
            self.server.keep(target, connection)
        self._answer(answer.status, body, answer.headers.get("Content-Type", ""))

    do_GET = do_POST = _pass_on

    def _ask(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        """The body goes on as it comes."""
        connection.putrequest(self.command, self.path)
        for name, value in self.headers.items():
            if name.lower() not in ("host", "connection", "accept-encoding"):
                connection.putheader(name, value)
        connection.endheaders()
        left = int(self.headers.get("Content-Length", "0"))
        while left and (piece := self.rfile.read1(min(left, PIECE))):
            connection.send(piece)
            left -= len(piece)
        return connection.getresponse()

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@contextmanager
def target_group(*targets: str) -> Iterator[TargetGroup]:
    with TargetGroup(*targets) as group:
        threading.Thread(target=group.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield group
        finally:
            group.shutdown()

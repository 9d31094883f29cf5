"""Tells Prometheus which instances there are: its HTTP service discovery, from the registry. And
what this host knows besides.

https://prometheus.io/docs/prometheus/latest/http_sd/: the answer is the whole list each time. When
there is none yet the answer is 503, and Prometheus keeps the targets it has; so it does when the
registry cannot be read, for then the last list is told again.
"""

import asyncio
import hmac
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from photo_base.environment import Variable, read, text
from photo_fleet.balancer.database_address import PREFIX, Unusable
from photo_fleet.balancer.follow import Balance
from photo_fleet.balancer.membership import Registered
from photo_fleet.spec.fleet import BALANCER_METRICS_PATH, DISCOVERY_PATH

log = logging.getLogger(__name__)

TOKEN = Variable(
    "DISCOVERY_TOKEN",
    "bearer token with which Prometheus asks for its targets",
    default=None,
    parse=text,
    secret=True,
)
LONGEST_HEAD = 8192
PATIENCE = 5.0
MOST_AT_ONCE = 16

Targets = list[dict[str, Any]]


def discovery_token(environ: Mapping[str, str]) -> str:
    """From PHOTO_FLEET_DISCOVERY_TOKEN or the file that PHOTO_FLEET_DISCOVERY_TOKEN_FILE names.
    Raises `Unusable`."""
    problems: list[str] = []
    token: str = read(TOKEN, environ, problems, PREFIX)
    if problems:
        raise Unusable(problems[0])
    return token


def targets(alive: Iterable[Registered]) -> Targets:
    """Those that may run, whether or not they are ready: what drains is still watched."""
    return [
        {
            "targets": [row.member.address],
            "labels": {
                "__meta_photo_api_instance": row.member.instance,
                "__meta_photo_api_state": row.state,
            },
        }
        for row in sorted(alive, key=lambda row: row.member.address)
    ]


def known_to(balance: Balance) -> Targets | None:
    """The targets as a balancer read them last; None before that."""
    return None if balance.alive is None else targets(balance.alive)


class Discovery:
    """Answers `GET /targets` on `host` and `port`, by what `known` gives: None before anything is
    known; and `GET /metrics` by the text that `metrics` gives."""

    def __init__(
        self,
        host: str,
        port: int,
        token: str,
        known: Callable[[], Targets | None],
        metrics: Callable[[], str],
    ) -> None:
        self._place = host, port
        self._expected = f"Bearer {token}".encode()
        self._known = known
        self._metrics = metrics
        self._busy = 0

    async def run(self) -> None:
        """Until cancelled. Raises OSError when the port cannot be had."""
        host, port = self._place
        try:
            server = await asyncio.start_server(self._serve, host, port, limit=LONGEST_HEAD)
        except OSError as error:
            reason = f"cannot listen at {host} port {port}: {error.strerror}"
            raise OSError(error.errno, reason) from None
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._busy += 1
        try:
            async with asyncio.timeout(PATIENCE):
                if self._busy <= MOST_AT_ONCE:
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self._answer(head))
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Among them the end of the patience: whoever reads nothing keeps no answer in memory.
            writer.transport.abort()
        finally:
            self._busy -= 1
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        request, *lines = head.split(b"\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in _pairs(lines)}
        method, path, *_ = [*request.split(b" "), b"", b""]
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            return _response("401 Unauthorized", "", b"WWW-Authenticate: Bearer\r\n")
        if (method, path) == (b"GET", BALANCER_METRICS_PATH.encode()):
            return _response("200 OK", self._metrics(), kind="text/plain; version=0.0.4")
        if (method, path) != (b"GET", DISCOVERY_PATH.encode()):
            return _response("404 Not Found", "")
        known = self._known()
        if known is None:
            return _response("503 Service Unavailable", "")
        return _response("200 OK", json.dumps(known))


def _pairs(lines: Iterable[bytes]) -> Iterable[tuple[bytes, bytes, bytes]]:
    return (line.partition(b":") for line in lines if line)


def _response(status: str, body: str, more: bytes = b"", kind: str = "application/json") -> bytes:
    content = body.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(content)}\r\nConnection: close\r\n"
    )
    return head.encode() + more + b"\r\n" + content

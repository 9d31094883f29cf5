"""Collectors of logs that take batches of lines by HTTP, each on a connection of its own."""

import gzip
import socket
import ssl
import time
from abc import ABC, abstractmethod
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from photo_api.http_exchange import Answer, Exchange
from photo_api.settings.instance import LogSettings
from photo_api.telemetry.shipping import Outcome, SinkBusy
from photo_base.log_lines import redact

GATHERING = 1.0
LARGEST_ANSWER = 512 * 1024
"""Bytes: one that tells of each of the lines of a batch, with a reason."""
PIECE = 64 * 1024
LONGEST_REASON = 200

REFUSED = (400, 411, 414, 415, 422, 431)
"""What no repetition changes. Others may change: a secret is renewed, a collector set up."""
TOO_LARGE = 413

Line = Mapping[str, Any]


class HttpSink(ABC):
    """One collector; what its body and its answers look like is the subclass's."""

    name: str
    carries = "log lines"
    zipped = True
    gathering = GATHERING

    def __init__(self, url: str, settings: LogSettings) -> None:
        self._url = url
        self._timeout = settings.timeout
        self._authorities = settings.authorities
        self._headers: Mapping[str, str] = {}
        self.use(settings)

    def use(self, settings: LogSettings) -> None:
        """Write with these secrets from now on. Any thread may call it."""
        self._headers = self.headers(settings)

    @abstractmethod
    def headers(self, settings: LogSettings) -> dict[str, str]:
        """What each request carries besides its type."""

    @abstractmethod
    def body(self, lines: list[Line]) -> bytes:
        """These lines as JSON."""

    def outcome(self, answer: Answer, lines: list[bytes]) -> Outcome | None:
        """What a successful answer says of each of the lines. Raises OSError when it is none."""
        return None

    def refused(self, answer: Answer, count: int) -> int:
        """How many of `count` lines an answer of `REFUSED` means."""
        return count

    def write(self, lines: list[bytes]) -> Outcome | None:
        answer = self._post(self.body([orjson.loads(line) for line in lines]))
        if 200 <= answer.status < 300:
            return self.outcome(answer, lines)
        if answer.status == TOO_LARGE and len(lines) > 1:
            return self._halved(lines)
        if answer.status in (*REFUSED, TOO_LARGE):
            return Outcome(self.refused(answer, len(lines)), _reason(answer))
        raise SinkBusy(f"status {answer.status}", _seconds(answer.retry_after))

    def _halved(self, lines: list[bytes]) -> Outcome:
        first, second = lines[: len(lines) // 2], lines[len(lines) // 2 :]
        one = self.write(first) or Outcome()
        try:
            two = self.write(second) or Outcome()
        except OSError:  # the first half is taken and must not come again
            two = Outcome(again=second)
        reason = one.reason or two.reason
        return Outcome(one.refused + two.refused, reason, [*one.again, *two.again])

    def _post(self, body: bytes) -> Answer:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.zipped:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 5)
        try:
            exchange = Exchange(
                "POST", self._url, {**headers, **self._headers}, body, LARGEST_ANSWER
            )
            return _exchanged(exchange, time.monotonic() + self._timeout, self._authorities)
        except ValueError as error:
            raise OSError(f"no answer to go by: {error}") from None


def authorization(secret: str) -> dict[str, str]:
    """`user:password`, or a bearer token; nothing for nothing."""
    if not secret:
        return {}
    if ":" in secret:
        return {"Authorization": f"Basic {b64encode(secret.encode()).decode()}"}
    return {"Authorization": f"Bearer {secret}"}


def _exchanged(exchange: Exchange, deadline: float, authorities: str) -> Answer:
    """Blocks until `deadline`, a monotonic time; names alone are looked up without a limit. Raises
    OSError, ValueError."""

    def left() -> float:
        if (seconds := deadline - time.monotonic()) <= 0:
            raise TimeoutError
        return seconds

    plain = socket.create_connection((exchange.host, exchange.port), left())
    with plain, _secured(plain, exchange, authorities) as connection:
        # What refuses a request by its head may close before it has read the rest.
        with suppress(ConnectionError):
            for start in range(0, len(exchange.request), PIECE):
                connection.settimeout(left())
                connection.sendall(exchange.request[start : start + PIECE])
        while True:
            connection.settimeout(left())
            if answer := exchange.receive(connection.recv(exchange.room)):
                return answer


def _secured(plain: socket.socket, exchange: Exchange, authorities: str) -> socket.socket:
    if not exchange.secure:
        return plain
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context.wrap_socket(plain, server_hostname=exchange.host)


def _seconds(retry_after: str) -> float:
    """Of a Retry-After; a date means nothing here, where clocks may differ."""
    return float(retry_after) if retry_after.isdecimal() and len(retry_after) < 10 else 0.0


def _reason(answer: Answer) -> str:
    return redact(f"status {answer.status} {answer.body.strip()}"[:LONGEST_REASON])

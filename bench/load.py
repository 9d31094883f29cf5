"""A load generator: HTTP/1.1 over kept connections, each sending its next request as soon as it has
an answer. It parses only what it needs, so that what is measured is the server."""

import asyncio
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

HEAD_END = b"\r\n\r\n"
LENGTH = b"\r\ncontent-length:"
CHUNKED = b"\r\ntransfer-encoding:"
QUOTED = 500
GRACE = 60.0
"""Seconds beyond its time after which a load counts as hung."""


class LoadFailed(Exception):
    """The server gave another answer than the measurement needs, or none."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Address":
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 80)


@dataclass(frozen=True, slots=True)
class Load:
    """What was done: `seconds` from the first request to the last answer, latencies in seconds."""

    done: int
    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        return self.done / self.seconds

    def in_groups(self, size: int) -> "Load":
        """The same with `size` answers, one after the other, as one."""
        found = self.latencies
        groups = [sum(found[at : at + size]) for at in range(0, len(found), size)]
        return Load(len(groups), self.seconds, groups)

    @property
    def p99(self) -> float:
        """Seconds within which 99 % of the answers came."""
        return sorted(self.latencies)[max(0, math.ceil(len(self.latencies) * 0.99) - 1)]


def request(
    method: str,
    target: str,
    *,
    token: str | None = None,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    host: str = "127.0.0.1",
) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + HEAD_END + body


def json_request(target: str, content: object, *, token: str | None = None) -> bytes:
    """The bytes of a POST of JSON."""
    body = json.dumps(content).encode()
    return request(
        "POST", target, token=token, body=body, headers={"Content-Type": "application/json"}
    )


async def drive(
    address: Address,
    requests: Iterator[bytes],
    *,
    connections: int,
    expect: int,
    seconds: float = math.inf,
) -> Load:
    """Send `requests` until they end or `seconds` are over. Connecting is not part of the time.
    Raises `LoadFailed` at the first answer whose status is not `expect`."""
    loop = asyncio.get_running_loop()
    run = _Run(requests, f"HTTP/1.1 {expect} ".encode(), loop.create_future())
    lanes = [
        (await loop.create_connection(lambda: _Lane(run), address.host, address.port))[1]
        for _ in range(connections)
    ]
    started = perf_counter()
    run.deadline, run.busy = started + seconds, len(lanes)
    try:
        for lane in lanes:
            lane.send_next()
        patience = None if math.isinf(seconds) else seconds + GRACE
        ended = await asyncio.wait_for(run.ended, patience)
    finally:
        for lane in lanes:
            lane.close()
    return Load(len(run.latencies), ended - started, run.latencies)


@dataclass(slots=True)
class _Run:
    requests: Iterator[bytes]
    status_line: bytes
    ended: "asyncio.Future[float]"
    deadline: float = 0.0
    busy: int = 0
    latencies: list[float] = field(default_factory=list)

    def lane_is_done(self, now: float) -> None:
        self.busy -= 1
        if self.busy == 0 and not self.ended.done():
            self.ended.set_result(now)

    def fail(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_exception(LoadFailed(reason))


class _Lane(asyncio.Protocol):
    """One connection. `_left` is how much of the answer's body is still to come, or -1 while its
    head is not complete."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._head = b""
        self._left = -1
        self._sent = 0.0
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send_next(self) -> None:
        now = perf_counter()
        following = next(self._run.requests, None) if now < self._run.deadline else None
        if following is None:
            self._run.lane_is_done(now)
            return
        self._head, self._left, self._sent = b"", -1, now
        self._transport.write(following)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._head += data
            end = self._head.find(HEAD_END)
            if end < 0:
                return
            if not self._head.startswith(self._run.status_line):
                self._run.fail(self._head[:QUOTED].decode(errors="replace"))
                return
            if CHUNKED in self._head[: end + 2].lower():
                self._run.fail("answers in chunks are not read here")
                return
            self._left = self._length(end) - (len(self._head) - end - len(HEAD_END))
        else:
            self._left -= len(data)
        if self._left == 0:
            self._run.latencies.append(perf_counter() - self._sent)
            self.send_next()

    def _length(self, end: int) -> int:
        head = self._head[: end + 2].lower()
        at = head.find(LENGTH)
        return int(head[at + len(LENGTH) : head.find(b"\r\n", at + 2)]) if at >= 0 else 0

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closing:
            self._run.fail(f"the server closed a connection ({exc or 'no error'})")

    def close(self) -> None:
        self._closing = True
        self._transport.close()

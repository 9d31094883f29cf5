"""The application of one worker in this process, called as its server calls it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photo_api.app import create_app
from photo_api.cloud.identity import Identity
from photo_api.health.checks import found
from photo_api.health.worker_health import WorkerHealth
from photo_api.http.phase import WorkerPhase
from photo_api.metrics.counts import Counts
from photo_api.metrics.reporting import Reporting
from photo_api.settings.loading import load
from photo_api.settings.secrets import LiveSettings
from photo_api.state import AppState
from photo_api.tracing import Tracer

Headers = Sequence[tuple[bytes, bytes]]
PIECE = 64 * 1024
"""Bytes of a body that servers read at once."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. Of a path it is what servers make of it: decoded."""

    method: str
    path: str
    query: bytes = b""
    headers: Headers = ()
    body: bytes = b""
    http_version: str = "1.1"


@dataclass(slots=True)
class Worker:
    """A running application, what it has counted, and the fields of its access log."""

    app: ASGIApp
    phase: WorkerPhase
    counts: Counts
    lines: list[dict[str, Any]]
    state: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "state": self.state.copy()}, receive, send)

    @property
    def parts(self) -> AppState:
        return cast(AppState, self.state["app"])

    async def ask(self, asked: Asked) -> list[Message]:
        """The messages of the answer."""
        body = asked.body
        pieces = [body[:7], *(body[at : at + PIECE] for at in range(7, len(body), PIECE))]
        sent: list[Message] = []

        async def receive() -> Message:
            if not pieces:
                return {"type": "http.disconnect"}
            body = pieces.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(pieces)}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": asked.http_version,
            "method": asked.method,
            "scheme": "http",
            "path": asked.path,
            "raw_path": asked.path.encode(),
            "query_string": asked.query,
            "root_path": "",
            "headers": [*asked.headers, (b"host", b"photos.example.org")],
            "client": ("127.0.0.1", 4711),
            "server": ("127.0.0.1", 80),
        }
        await self(scope, receive, send)
        return sent

    async def json(self, method: str, path: str, body: Any = None, *headers: Any) -> Any:
        """The body of the answer to a request of ours, which succeeds."""
        sent = json.dumps(body).encode() if body is not None else b""
        kind = (b"content-type", b"application/json")
        start, answer = await self.ask(Asked(method, path, b"", [kind, *headers], sent))
        assert start["status"] < 300, answer
        return json.loads(answer["body"])


def worker_of(environ: Mapping[str, str]) -> Worker:
    """One with these settings, which has not begun yet."""
    settings, phase, lines = load(environ), WorkerPhase(), list[dict[str, Any]]()
    identity = Identity("boot", "192.0.2.1", "node", None, "1")
    health = WorkerHealth(identity, phase, settings.lifecycle.health_checks)
    health.update({"database": found(time.monotonic(), None)})
    metrics = Reporting("web", _send_nowhere)
    tracer = Tracer(settings.logs, metrics.counts, None)

    def log(**fields: object) -> None:
        lines.append(fields)

    app = create_app(LiveSettings(settings), identity, health, log, metrics, tracer)
    return Worker(app, phase, metrics.counts, lines)


async def _send_nowhere(_: str) -> None:
    """There is no supervisor here."""


@asynccontextmanager
async def in_process(environ: Mapping[str, str]) -> AsyncIterator[Worker]:
    """The application with these settings, from its lifespan's start to its end."""
    worker = worker_of(environ)
    told: asyncio.Queue[str] = asyncio.Queue()
    heard: asyncio.Queue[Message] = asyncio.Queue()

    async def receive() -> Message:
        return {"type": await told.get()}

    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": worker.state}

    async def run() -> None:
        await worker.app(scope, receive, heard.put)

    running = asyncio.create_task(run())

    async def step(name: str) -> None:
        await told.put(f"lifespan.{name}")
        answer = await heard.get()
        assert answer["type"] == f"lifespan.{name}.complete", answer

    await step("startup")
    try:
        yield worker
    finally:
        await step("shutdown")
        await running

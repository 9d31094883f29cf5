"""The application of one worker in this process, called as its server calls it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.types import ASGIApp, Message

from photo_api.app import create_app
from photo_api.cloud.identity import Identity
from photo_api.health.worker_health import WorkerHealth
from photo_api.http.phase import WorkerPhase
from photo_api.metrics.counts import Counts
from photo_api.metrics.reporting import Reporting
from photo_api.settings.loading import load
from photo_api.settings.secrets import LiveSettings
from photo_api.state import AppState
from photo_api.tracing import Tracer

Headers = Sequence[tuple[bytes, bytes]]


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

    @property
    def parts(self) -> AppState:
        return cast(AppState, self.state["app"])

    async def ask(self, asked: Asked) -> list[Message]:
        """The messages of the answer."""
        pieces = [asked.body[:7], asked.body[7:]] if len(asked.body) > 7 else [asked.body]
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
            "headers": [(b"host", b"photos.example.org"), *asked.headers],
            "client": ("127.0.0.1", 4711),
            "server": ("127.0.0.1", 80),
            "state": self.state.copy(),
        }
        await self.app(scope, receive, send)
        return sent

    async def json(self, method: str, path: str, body: Any = None, *headers: Any) -> Any:
        """The body of the answer to a request of ours, which succeeds."""
        sent = json.dumps(body).encode() if body is not None else b""
        kind = (b"content-type", b"application/json")
        start, answer = await self.ask(Asked(method, path, b"", [kind, *headers], sent))
        assert start["status"] < 300, answer
        return json.loads(answer["body"])


@asynccontextmanager
async def in_process(environ: Mapping[str, str]) -> AsyncIterator[Worker]:
    """The application with these settings, from its lifespan's start to its end."""
    settings, phase, lines = load(environ), WorkerPhase(), list[dict[str, Any]]()
    identity = Identity("boot", "192.0.2.1", "node", None, "1")
    health = WorkerHealth(identity, phase, ("database",))

    async def send_nowhere(_: str) -> None:
        pass

    metrics = Reporting("web", send_nowhere)
    tracer = Tracer(settings.logs, metrics.counts, None)

    def log(**fields: object) -> None:
        lines.append(fields)

    app = create_app(LiveSettings(settings), identity, health, log, metrics, tracer)
    worker = Worker(app, phase, metrics.counts, lines)
    told: asyncio.Queue[str] = asyncio.Queue()
    heard: asyncio.Queue[Message] = asyncio.Queue()

    async def receive() -> Message:
        return {"type": await told.get()}

    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": worker.state}

    async def run() -> None:
        await app(scope, receive, heard.put)

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

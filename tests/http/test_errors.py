"""What the driver raises when its database goes away is a 503 for the client, whatever it is."""

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from photo_api.http.errors import install_error_handlers
from photo_api.http.middleware import ErrorBoundary, RequestContext
from photo_api.http.phase import WorkerPhase
from photo_api.metrics.counts import Counts
from photo_api.tracing import Tracer
from tests.telemetry.log_settings import log_settings


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 11; another operation is in progress"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
async def test_a_lost_database_is_503_with_retry_after(error: Exception) -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    async def fail() -> None:
        raise error

    counts = Counts()
    tracer = Tracer(log_settings(), counts, None)
    served = RequestContext(app, "here", WorkerPhase(), lambda **_: None, (), counts, tracer)
    transport = httpx.ASGITransport(served, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/")
    assert answer.status_code == 503
    assert answer.json()["code"] == "database_unavailable"
    assert int(answer.headers["Retry-After"]) > 0


async def test_what_fails_in_front_of_the_routes_has_an_answer_too() -> None:
    async def fails(*_: object) -> None:
        raise RuntimeError

    counts, lines = Counts(), list[dict[str, object]]()
    tracer = Tracer(log_settings(), counts, None)
    guarded = ErrorBoundary(fails)
    served = RequestContext(
        guarded, "here", WorkerPhase(), lambda **fields: lines.append(fields), (), counts, tracer
    )
    transport = httpx.ASGITransport(served)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/api/photos")
    assert answer.status_code == lines[0]["status"] == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]

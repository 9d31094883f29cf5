"""The health routes, at the root and under /api."""

import hmac
import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from photo_api.db.migrations import known_migrations
from photo_api.http.json import json_response
from photo_api.http.state import Anyone, AppState
from photo_api.jobs import queue
from photo_api.lifecycle.health import Check

router = APIRouter(tags=["health"])

HEALTH_EXAMPLE = {
    "status": "healthy",
    "instance": "10.0.1.10",
    "version": "0.1.0",
    "timestamp": "2026-01-01T00:00:00Z",
    "checks": {"database": {"ok": True, "latency_ms": 0.4, "age_ms": 120}},
}
UNHEALTHY = {**HEALTH_EXAMPLE, "status": "draining"}


def _documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    examples = {200: HEALTH_EXAMPLE, 503: UNHEALTHY}
    return {
        status: {
            "description": "ready" if status == 200 else "starting, draining or unhealthy",
            "content": {"application/json": {"example": examples[status]}},
        }
        for status in statuses
    }


@router.api_route("/health/live", methods=["GET", "HEAD"], responses=_documented(200))
@router.api_route("/health/liveness", methods=["GET", "HEAD"], responses=_documented(200))
async def live(state: Anyone) -> Response:
    """The process answers: also while draining, and whatever its database does. The only thing
    that may cause a replacement."""
    return json_response(state.health.body("healthy", {}), headers={"Cache-Control": "no-store"})


@router.api_route("/health", methods=["GET", "HEAD"], responses=_documented(200, 503))
@router.api_route("/health/ready", methods=["GET", "HEAD"], responses=_documented(200, 503))
@router.api_route("/health/readiness", methods=["GET", "HEAD"], responses=_documented(200, 503))
async def ready(state: Anyone) -> Response:
    """Whether this instance should get traffic. Answers within 2 seconds."""
    healthy, body = await state.health.readiness()
    return _answer(healthy, body)


@router.api_route("/health/detailed", methods=["GET", "HEAD"], responses=_documented(200, 503))
async def detailed(request: Request, state: Anyone) -> Response:
    """Readiness with the checks of the object store and the job queue besides, which do not decide
    it. To the operator's token also the configuration, without any secret."""
    healthy, body = await state.health.readiness()
    body["checks"] |= {"storage": await _storage(state), "jobs": await _jobs(state)}
    if _is_operator(request, state):
        body["config"] = _config(state)
    return _answer(healthy, body)


def _answer(healthy: bool, body: dict[str, Any]) -> Response:
    return json_response(body, 200 if healthy else 503, {"Cache-Control": "no-store"})


async def _storage(state: AppState) -> dict[str, Any]:
    started = time.monotonic()
    error = None
    try:
        await state.store.ping()
    except Exception as failure:  # whatever it is, it is what this check reports
        error = type(failure).__name__
    now = time.monotonic()
    return Check(error is None, (now - started) * 1000, now, error).body()


async def _jobs(state: AppState) -> dict[str, Any]:
    started = time.monotonic()
    error, numbers = None, {}
    try:
        numbers = dict(await queue.depth(state.db))
    except Exception as failure:
        error = type(failure).__name__
    now = time.monotonic()
    return Check(error is None, (now - started) * 1000, now, error).body() | numbers


def _is_operator(request: Request, state: AppState) -> bool:
    expected = state.settings.lifecycle.ops_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def _config(state: AppState) -> dict[str, Any]:
    settings = state.settings
    return {
        "lame_duck": settings.lifecycle.lame_duck,
        "drain_wait": settings.lifecycle.drain_wait,
        "keep_alive": settings.http.keep_alive,
        "pool": settings.database.pool_size,
        "release": state.identity.version,
        "schema": [item.name for item in known_migrations()],
        "jwt_key_ids": list(settings.auth.jwt_keys),
        "secret_key_ids": list(settings.auth.secret_keys),
    }

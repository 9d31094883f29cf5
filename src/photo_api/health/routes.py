"""The health routes, at the root and under /api."""

import hmac
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from photo_api.contract import METRICS_PATH
from photo_api.errors import ApiError, Code
from photo_api.health.configuration import EXAMPLE as CONFIGURATION
from photo_api.health.configuration import configuration
from photo_api.http.json import json_response
from photo_api.http.openapi import errors
from photo_api.metrics.exposition import OPENMETRICS, TEXT, wants_openmetrics
from photo_api.metrics.reporting import NoAnswer
from photo_api.state import Anyone, AppState

router = APIRouter(tags=["health"])
scraped = APIRouter(tags=["health"])
"""Only at the root, where balancers do not pass it on."""

NO_METRICS = "the supervisor does not answer\n"

HEALTH_EXAMPLE = {
    "status": "healthy",
    "instance": "10.0.1.10",
    "version": "0.2.0",
    "timestamp": "2026-01-01T00:00:00Z",
    "checks": {"database": {"ok": True, "latency_ms": 0.4, "age_ms": 120}},
}
UNHEALTHY = {**HEALTH_EXAMPLE, "status": "draining"}


DETAILED_EXAMPLE = {
    **HEALTH_EXAMPLE,
    "checks": {
        "database": {"ok": True, "latency_ms": 0.4, "age_ms": 120},
        "storage": {"ok": True, "latency_ms": 3.1, "age_ms": 4200},
        "jobs": {
            **{"ok": True, "latency_ms": 0.9, "age_ms": 600},
            **{"queued": 3, "leased": 1, "dead": 0, "oldest": 0.7},
        },
        "logs": {"ok": True, "stderr": 0, "dropped": 0},
    },
    "config": CONFIGURATION,
    "delivery": {
        "way": "store",
        "path": "fallback",
        "since": "2026-01-01T00:00:00+00:00",
        "probed_at": "2026-01-01T00:05:10+00:00",
        "error": "HTTP 502",
    },
    "statistics": {"photos_ready": 184000, "jobs_dead": 0, "at": "2026-01-01T00:00:00Z"},
}


def _documented(
    *statuses: int, ready: dict[str, Any] = HEALTH_EXAMPLE
) -> dict[int | str, dict[str, Any]]:
    examples = {200: ready, 503: UNHEALTHY}
    return {
        status: {
            "description": "ready" if status == 200 else "starting, draining or unhealthy",
            "content": {"application/json": {"example": examples[status]}},
        }
        for status in statuses
    }


@router.get("/health/live", responses=_documented(200))
@router.get("/health/liveness", responses=_documented(200))
async def live(state: Anyone) -> Response:
    """The process answers: also while draining, and whatever its database does. The only thing
    that may cause a replacement."""
    return json_response(state.health.body("healthy", {}))


@router.get("/health", responses=_documented(200, 503))
@router.get("/health/ready", responses=_documented(200, 503))
@router.get("/health/readiness", responses=_documented(200, 503))
async def ready(state: Anyone) -> Response:
    """Whether this instance should get traffic. Answers within 2 seconds."""
    healthy, body = state.health.readiness()
    return _answer(healthy, body)


@router.get("/health/detailed", responses=_documented(200, 503, ready=DETAILED_EXAMPLE))
async def detailed(request: Request, state: Anyone) -> Response:
    """Readiness with the checks of object store, jobs and log lines besides, which do not decide
    it; jobs as they were at most 2 s ago. To the operator's token also statistics, in which way
    photos are delivered and what was found of the CDN last, and the configuration: without any
    secret, but with the names of those that can be guessed (`weak`) or
    are the `same`, and the ages of keys as their ids tell them (`age_s`, null where one does
    not)."""
    healthy, body = state.health.readiness()
    body["checks"] = {
        "database": state.health.check("database").body(),
        "storage": state.health.check("storage").body(),
        "jobs": await state.details.jobs(),
        "logs": state.health.log_lines(),
    }
    if _is_operator(request, state):
        body["config"] = configuration(state)
        body["delivery"] = {"way": state.owners.way, **state.health.delivery.told}
        body["statistics"] = await state.details.statistics()
    return _answer(healthy, body)


@scraped.get(
    METRICS_PATH,
    response_class=PlainTextResponse,
    responses={
        200: {
            "description": "Prometheus text format, or OpenMetrics",
            "content": {"text/plain": {"example": 'photo_api_info{instance="10.0.1.10"} 1\n'}},
        },
        **errors(401),
        503: {
            "description": "the supervisor has not answered within 2 seconds",
            "content": {"text/plain": {"example": NO_METRICS}},
        },
    },
)
async def metrics(request: Request, state: Anyone) -> Response:
    """For Prometheus: what all processes of this instance have counted, whichever is asked. With
    `Accept: application/openmetrics-text` there are exemplars, whose request ids stand in the
    log."""
    if state.settings.lifecycle.metrics_access == "token" and not _is_operator(request, state):
        raise ApiError(Code.UNAUTHENTICATED, "Metrics are for the operator's token")
    openmetrics = wants_openmetrics(request.headers.get("accept", ""))
    try:
        text = await state.metrics.scrape(openmetrics=openmetrics)
    except NoAnswer:
        return PlainTextResponse(NO_METRICS, 503, headers={"Retry-After": "1"})
    return Response(text, media_type=OPENMETRICS if openmetrics else TEXT)


def _answer(healthy: bool, body: dict[str, Any]) -> Response:
    return json_response(body, 200 if healthy else 503)


def _is_operator(request: Request, state: AppState) -> bool:
    expected = state.settings.lifecycle.ops_token
    given = request.headers.get("authorization", "").removeprefix("Bearer ")
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())

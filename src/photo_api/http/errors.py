"""The one place where exceptions become answers."""

import logging
from collections.abc import Sequence
from typing import Any

import asyncpg
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match

from photo_api.contract import API_PREFIX
from photo_api.db.pool import DatabaseUnavailable
from photo_api.errors import ApiError, Code
from photo_api.http.json import json_response
from photo_api.storage.base import StoreUnavailable
from photo_base.postgres import CUT

log = logging.getLogger(__name__)

DATABASE_DOWN: tuple[type[Exception], ...] = (
    DatabaseUnavailable,
    *CUT,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.QueryCanceledError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InsufficientResourcesError,
    TimeoutError,
)
RETRY_SOON = 2
CLIENT_GONE = 499
"""What nginx calls a request whose client went away before an answer; nobody is told so."""
MOST_ITEMS, LONGEST_TEXT = 20, 300

PREFIX_LOST = (
    f"This route is {API_PREFIX}/…; does a proxy strip {API_PREFIX}?"
    " In nginx that is a proxy_pass whose address ends with a slash"
)

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

BY_STATUS = {
    400: Code.BAD_REQUEST,
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    408: Code.REQUEST_TIMEOUT,
    413: Code.TOO_LARGE,
}


def error_response(
    error: ApiError, request_id: str, detail: str | Sequence[object] | None = None
) -> Response:
    """The error body of the contract, with the headers that its status demands."""
    headers = {}
    if error.code.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.content_range is not None:
        headers["Content-Range"] = error.content_range
    body = {
        "detail": error.detail if detail is None else detail,
        "code": error.code.wire,
        "request_id": request_id,
    }
    return json_response(body, error.code.status, headers)


def _answer(
    request: Request, error: ApiError, detail: str | Sequence[object] | None = None
) -> Response:
    return error_response(error, request.state.request_id, detail)


async def _api_error(request: Request, error: Any) -> Response:
    return _answer(request, error)


async def _invalid(request: Request, error: Any) -> Response:
    items = error.errors()
    if any(item["loc"][:1] == ("path",) for item in items):
        return _answer(request, ApiError(Code.NOT_FOUND, "Not found"))
    # Only these three: `input` would send passwords back, and `ctx` holds exceptions.
    shown = [
        {"loc": list(item["loc"]), "msg": item["msg"][:LONGEST_TEXT], "type": item["type"]}
        for item in items[:MOST_ITEMS]
    ]
    return _answer(request, ApiError(Code.VALIDATION, ""), shown)


async def _http_error(request: Request, error: Any) -> Response:
    code = BY_STATUS.get(error.status_code, Code.BAD_REQUEST)
    lost = error.status_code == 404 and _lacks_prefix(request)
    answer = _answer(request, ApiError(code, PREFIX_LOST if lost else str(error.detail)))
    answer.headers.update(error.headers or {})
    if error.status_code == 405:
        answer.headers["Allow"] = ", ".join(_allowed(request))
    return answer


def _lacks_prefix(request: Request) -> bool:
    """Whether there would be such a route with the API's prefix before its path."""
    path = request.scope["path"]
    scope = {**request.scope, "path": API_PREFIX + path}
    return (
        path != "/"
        and not path.startswith(f"{API_PREFIX}/")
        and any(route.matches(scope)[0] is not Match.NONE for route in request.app.routes)
    )


def _allowed(request: Request) -> list[str]:
    """All methods of this path; Starlette knows only those of its first route."""

    def has(method: str) -> bool:
        scope = {**request.scope, "method": method}
        return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)

    return list(filter(has, METHODS))


def _outage(request: Request, logged: str, code: Code, text: str) -> Response:
    log.warning(logged, extra={"fields": {"request_id": request.state.request_id}})
    return _answer(request, ApiError(code, f"{text}; try again", retry_after=RETRY_SOON))


async def _database_down(request: Request, error: Exception) -> Response:
    logged, text = type(error).__name__, "The database is not available right now"
    return _outage(request, f"database unavailable: {logged}", Code.DATABASE_UNAVAILABLE, text)


async def _database_read_only(request: Request, _: Exception) -> Response:
    text = "Nothing can be changed right now, only read"
    return _outage(request, "database is read-only", Code.DATABASE_READ_ONLY, text)


async def _owner_gone(request: Request, error: Exception) -> Response:
    """Who is let in for some seconds more, or has begun before, while the account is deleted."""
    named = getattr(error, "constraint_name", None) or ""
    if not named.endswith(("_owner_id_fkey", "_user_id_fkey")):
        raise error
    return _answer(request, ApiError(Code.UNAUTHENTICATED, "This account is gone"))


async def _store_down(request: Request, error: Exception) -> Response:
    text = "The object store is not available right now"
    return _outage(request, f"object store unavailable: {error}", Code.STORAGE_UNAVAILABLE, text)


async def _disconnected(request: Request, error: Exception) -> Response:
    """Nobody reads this answer; it only ends the request, without a traceback, as one whose client
    went away."""
    return Response(status_code=CLIENT_GONE)


def unhandled(request_id: str) -> Response:
    """For what nobody has foreseen."""
    text = "Something went wrong on our side; it is logged under this request_id"
    return error_response(ApiError(Code.INTERNAL, text), request_id)


async def _unhandled(request: Request, _: Exception) -> Response:
    return unhandled(request.state.request_id)


def install_error_handlers(app: FastAPI) -> None:
    """Everything a route may raise becomes the contract's error body."""
    app.add_exception_handler(Exception, _unhandled)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(StoreUnavailable, _store_down)
    app.add_exception_handler(ClientDisconnect, _disconnected)
    app.add_exception_handler(asyncpg.ReadOnlySQLTransactionError, _database_read_only)
    app.add_exception_handler(asyncpg.ForeignKeyViolationError, _owner_gone)
    for kind in DATABASE_DOWN:
        app.add_exception_handler(kind, _database_down)

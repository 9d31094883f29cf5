"""Pure ASGI middleware: a request's identity and its line in the log, and the last resort."""

import asyncio
import logging
import os
import re
import time
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photo_api.contract import API_PREFIX, INSTANCE_HEADER, REQUEST_ID_HEADER
from photo_api.errors import ApiError, Code
from photo_api.http.answer import Answer, Pairs, answer_of
from photo_api.http.client_address import FORWARDED_FOR, Clients
from photo_api.http.cross_origin import VARIES, varying
from photo_api.http.errors import CLIENT_GONE, error_response, unhandled
from photo_api.http.json import UNLESS_SAID
from photo_api.http.phase import WorkerPhase
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import (
    OBJECTIVE_REQUESTS,
    REQUEST_DURATION,
    REQUESTS,
    UNBELIEVED_FORWARDS,
    UNMATCHED,
)
from photo_api.metrics.metric import Values
from photo_api.telemetry.logs import AccessLog
from photo_api.tracing import TRACEPARENT, Tracer, begin
from photo_base.environment import Network
from photo_base.log_lines import redact

log = logging.getLogger(__name__)

SANE_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
METHOD_NOT_ALLOWED = Code.METHOD_NOT_ALLOWED.status
REQUEST_ID = REQUEST_ID_HEADER.lower().encode()
OF_API = f"{API_PREFIX}/"
SHARES = f"{API_PREFIX}/share/"
NOT_INDEXED = (b"x-robots-tag", b"noindex, nofollow")
"""Who has a share's link may see it, and no search engine tells others of it."""

SAID_BY_SOME = frozenset(name for name, _ in UNLESS_SAID)
INSTANCE = INSTANCE_HEADER.lower().encode()

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
HEALTH = f"{API_PREFIX}/health"


class RequestContext:
    """Gives every request its id, its client's address and the group whose limits count for it
    (`request.state.client`, `.client_group`), the first header of each name (`.given`), and every
    answer that id, the instance's name and `UNLESS_SAID`; counts requests in flight to the end of
    their bodies, closes connections while draining, counts, and writes the access log, in which
    `user_id` is whoever `request.state.user_id` says, and `broken_off` is said of what the server
    cut. `for_people` answers in place of `app` at addresses that are not the API's."""

    def __init__(
        self,
        app: ASGIApp,
        instance: str,
        phase: WorkerPhase,
        access_log: AccessLog,
        trusted: Sequence[Network],
        counts: Counts,
        tracer: Tracer,
    ) -> None:
        self.app = self.for_people = app
        self.instance = INSTANCE, instance.encode()
        self.phase = phase
        self.access_log = access_log
        self.clients = Clients(trusted)
        self.counts = counts
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"].endswith("/"):
            # `/albums` and `/albums/` are one route, answered directly: many clients lose the body
            # of a POST in a redirect.
            scope["path"] = scope["path"].rstrip("/") or "/"
        state = self._told_of(scope)
        request_id, headers = state["request_id"], scope["headers"]
        trace = self.tracer.of_request(headers if TRACEPARENT in state["given"] else ())
        if trace is not None:
            begin(trace)
        answer = state["answer"] = Answer(
            send, partial(self._identified, scope["path"], request_id)
        )
        app = self.app if scope["path"].startswith(OF_API) else self.for_people
        started = time.perf_counter()
        self.phase.in_flight += 1
        cut: dict[str, object] = {}
        try:
            await app(scope, receive, answer.send)
        except asyncio.CancelledError:  # by the server alone, at the limit of a drain
            self.phase.cut += 1
            cut["broken_off"] = True
            raise
        finally:
            self.phase.in_flight -= 1
            self.phase.served += 1
            seconds = time.perf_counter() - started
            # The route's template and never the path: a share's path holds its token.
            method, route = scope["method"], getattr(scope.get("route"), "path", UNMATCHED)
            status = answer.status
            self._count(method, route, status, seconds, request_id)
            self.access_log(
                request_id=request_id,
                user_id=state.get("user_id"),
                client=state["client"],
                method=method,
                route=route,
                status=status,
                bytes=answer.sent,
                ms=round(seconds * 1000, 1),
                **cut,
                **(trace.fields if trace else {}),
            )
            if trace is not None:
                self.tracer.end_request(trace, method, route, status, seconds, request_id)

    def _told_of(self, scope: Scope) -> dict[str, Any]:
        """The request's state, with its id, who sends it, and its headers by name."""
        headers: Pairs = scope["headers"]
        given = dict(reversed(headers))
        request_id = (REQUEST_ID in given and _given_id(headers)) or os.urandom(16).hex()
        client = self.clients.of(scope.get("client"), headers if FORWARDED_FOR in given else ())
        if client.unbelieved:
            self.counts.add(UNBELIEVED_FORWARDS)
        state: dict[str, Any] = scope.setdefault("state", {})
        state.update(
            request_id=request_id, client=client.address, client_group=client.group, given=given
        )
        return state

    def _identified(self, path: str, request_id: str, answer: Answer, start: Message) -> Pairs:
        """The headers of an answer that starts, and those that every answer has."""
        given: Pairs = start.get("headers", [])
        said = dict(given)
        headers = [*given, (REQUEST_ID, request_id.encode()), self.instance]
        if said.keys().isdisjoint(SAID_BY_SOME):
            headers += UNLESS_SAID
        else:
            headers += [one for one in UNLESS_SAID if one[0] not in said]
        if path.startswith(SHARES):
            headers.append(NOT_INDEXED)
        if self.phase.closing:
            headers.append((b"connection", b"close"))
        if not answer.varies:
            return headers
        if b"vary" in said:
            return varying(headers)
        headers.append(VARIES)
        return headers

    def _count(self, method: str, route: str, status: int, seconds: float, request_id: str) -> None:
        handler, of_all, of_objective = _series(method, route, status)
        self.counts.add(REQUESTS, *of_all)
        if of_objective is not None:
            self.counts.add(OBJECTIVE_REQUESTS, *of_objective)
        self.counts.observe(REQUEST_DURATION, seconds, method, handler, request_id=request_id)


@lru_cache(1024)
def _series(method: str, route: str, status: int) -> tuple[str, Values, Values | None]:
    # Every method on every route would be as many series, for anybody to make.
    handler = UNMATCHED if status == METHOD_NOT_ALLOWED else route
    return handler, (method, handler, str(status)), _objective(method, handler, status)


def count_for_objective(counts: Counts, method: str, route: str, status: int) -> None:
    """Count a request of the API as a read or a write, unless it is none that counts."""
    if (series := _objective(method, route, status)) is not None:
        counts.add(OBJECTIVE_REQUESTS, *series)


def _objective(method: str, route: str, status: int) -> tuple[str, str] | None:
    """Neither probes of health count, nor those whose clients went away before an answer; what was
    refused before it had a route counts when it failed. A method that is not known is taken for a
    read."""
    of_api = route.startswith(f"{API_PREFIX}/") and not route.startswith(HEALTH)
    failed = status >= 500
    if status == CLIENT_GONE or not (of_api or (route == UNMATCHED and failed)):
        return None
    return "writes" if method in WRITES else "reads", "failed" if failed else "ok"


def _given_id(headers: Pairs) -> str | None:
    """The first that is sane."""
    for name, value in headers:
        if name == REQUEST_ID and SANE_REQUEST_ID.fullmatch(value):
            given = str(value, "ascii")
            # A token that a client sends here by mistake must not reach the log.
            if redact(given) == given:
                return given
    return None


class ErrorBoundary:
    """Logs what nobody caught, once and with its request's id. The answer is `http.errors`'; an
    exception after the answer began goes on to the server, which must cut the connection. What the
    server cancels when a drain takes too long is told to come again."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        except asyncio.CancelledError:
            if scope["type"] == "http" and not answer_of(scope).started:
                cut = ApiError(Code.OVERLOADED, "This instance ends; try again", retry_after=1)
                await error_response(cut, scope["state"]["request_id"])(scope, receive, send)
            raise
        except Exception:
            if scope["type"] != "http":
                raise
            request_id = scope["state"]["request_id"]
            log.exception("unhandled error", extra={"fields": {"request_id": request_id}})
            if not answer_of(scope).started:  # as by what is in front of FastAPI
                await unhandled(request_id)(scope, receive, send)
            elif not answer_of(scope).complete:
                raise

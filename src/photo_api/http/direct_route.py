"""A route class for routes that are asked for all the time.

FastAPI resolves any tree of dependencies, bodies, headers and forms for every request anew, which
costs more than most of our queries. A route whose inputs are path and query parameters, headers, a
JSON body and one dependency needs none of that: its parameters are validated with FastAPI's own
fields and its endpoint is called directly. Whatever is unusual, a wrong value above all, goes
FastAPI's own way, so errors and OpenAPI are FastAPI's in every case.

Direct routes are found in a table made of the application's own routes, in their order, so that a
request comes to the same route in both ways. What ends unlike most, with an exception or an answer
that streams, is handed to FastAPI with its outcome: it is told to clients as if FastAPI had called
the endpoint.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote_plus

from fastapi import FastAPI
from fastapi.params import Body
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.convertors import StringConvertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from photo_api.http.admission import replayed
from photo_api.http.json import JsonResponse, MadeResponse

# `limit=20&cursor=AAAAAAAAACo`, `q=%EC%84%9C%EC%9A%B8&bbox=126.7,37.4,127.2,37.7`
PLAIN_QUERY = re.compile(rb"(?:[a-z_]+=[A-Za-z0-9_.,:%+-]+(?:&(?=.)|$))*")

JSON_TYPE = ["application/json"]
OUTCOME = "photo_api.outcome"
"""Where a request's scope has what came of it: the answer, or the exception in its place."""

PLAIN: tuple[type[Response], ...] = (JsonResponse, MadeResponse, Response)
"""Answers that are two messages."""


class DirectRoute(APIRoute):
    """For `APIRouter(route_class=…)`. A route that is `direct` can be answered by `arguments` and
    `answer`; the others are as they were. As a route of FastAPI's it carries on with an `OUTCOME`
    that is there already."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        needs = self.dependant
        self.direct = self._suits()
        self.takes_body = self.body_field is not None
        self._path = {field.alias: field for field in needs.path_params}
        self._query = {field.alias: field for field in needs.query_params}
        # Parameters that are the fields of one model, which are validated together.
        self._model: Any = next(filter(_is_model, needs.query_params), None)
        if self._model is not None:
            kind: Any = self._model.field_info.annotation
            self._names = {field.alias or name for name, field in kind.model_fields.items()}
            self._no_query, _ = self._model.validate({}, {}, loc=("query",))
        self._headers = {field.alias: field for field in needs.header_params}
        self._dependencies: list[tuple[Any, Any]] = [
            (item.name, item.call) for item in needs.dependencies
        ]
        fields = (*needs.path_params, *needs.query_params, *needs.header_params)
        self._required = {
            field.name
            for field in fields
            if field is not self._model and field.field_info.is_required()
        }
        self.app = self._carrying_on(self.app)

    def _suits(self) -> bool:
        needs = self.dependant
        simple_dependencies = all(
            not (
                item.dependencies
                or item.query_params
                or item.path_params
                or item.header_params
                or item.body_params
            )
            for item in needs.dependencies
        )
        plain_path = all(
            isinstance(part, StringConvertor) for part in self.param_convertors.values()
        )
        body = self.body_field is None or (
            type(self.body_field.field_info) is Body and not self._embed_body_fields
        )
        few = len(needs.dependencies) <= 1 and not needs.cookie_params
        return simple_dependencies and plain_path and body and few

    def _carrying_on(self, usual: Any) -> Any:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            # Not left there: errors, and frames of those before them, would keep each other.
            outcome = scope.pop(OUTCOME, usual)
            if isinstance(outcome, Exception):
                raise outcome
            await outcome(scope, receive, send)

        return app

    def arguments(self, request: Request, body: bytes) -> dict[str, Any] | None:
        """What the endpoint is called with besides its dependency, or None for a request that is
        not plain or not right."""
        given = request.scope["query_string"]
        if given and PLAIN_QUERY.fullmatch(given) is None:
            return None
        found: dict[str, Any] = {}
        if not _validate(self._path, request.scope["path_params"].items(), "path", found):
            return None
        pairs = [pair.split("=") for pair in given.decode().split("&")] if given else []
        if b"%" in given or b"+" in given:
            pairs = [[name, unquote_plus(text)] for name, text in pairs]
        if self._model is not None:
            if not self._validate_model(pairs, found):
                return None
        elif not _validate(self._query, pairs, "query", found):
            return None
        if self._headers:
            headers = [
                (name, value) for name in self._headers for value in request.headers.getlist(name)
            ]
            if not _validate(self._headers, headers, "header", found):
                return None
        if not self._required <= found.keys():
            return None
        if self.body_field is not None and not self._validate_body(request, body, found):
            return None
        if self.dependant.request_param_name:
            found[self.dependant.request_param_name] = request
        return found

    def _validate_model(self, pairs: Sequence[Any], into: dict[str, Any]) -> bool:
        """Whether every pair is one of its fields, once, and right."""
        name = self._model.name
        if not pairs:
            into[name] = self._no_query
            return True
        values = dict(pairs)
        if len(values) < len(pairs) or not values.keys() <= self._names:
            return False
        into[name], errors = self._model.validate(values, {}, loc=("query",))
        return not errors

    def _validate_body(self, request: Request, body: bytes, into: dict[str, Any]) -> bool:
        """Whether it is JSON that says so, and right."""
        field = self.body_field
        if field is None or request.headers.getlist("content-type") != JSON_TYPE:
            return False
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            return False
        if content is None:
            return False
        into[field.name], errors = field.validate(content, {}, loc=("body",))
        return not errors

    async def answer(self, request: Request, arguments: dict[str, Any]) -> Response:
        """Call the endpoint, with its dependency."""
        for name, dependency in self._dependencies:
            arguments[name] = await dependency(request)
        response: Response = await self.endpoint(**arguments)
        return response


def _validate(
    fields: dict[str, Any], given: Iterable[Any], place: str, into: dict[str, Any]
) -> bool:
    """Whether every value belongs to a field, once, and is right."""
    for alias, text in given:
        field = fields.get(alias)
        if field is None or field.name in into:
            return False
        into[field.name], errors = field.validate(text, {}, loc=(place, alias))
        if errors:
            return False
    return True


def _is_model(field: Any) -> bool:
    kind = field.field_info.annotation
    return isinstance(kind, type) and issubclass(kind, BaseModel)


class Dispatch:
    """In front of the application, whose routes are there already."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        # By method and number of slashes there are three routes at most to be tried.
        self._table: dict[tuple[str, int], list[Route]] = defaultdict(list)
        for route in app.router.routes:
            if isinstance(route, Route):
                for method in route.methods or ():
                    self._table[method, route.path.count("/")].append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self.find(scope) if scope["type"] == "http" else None
        if route is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = route
        body = b""
        if route.takes_body:
            message = await receive()
            receive = replayed(message, receive)
            if message["type"] != "http.request" or message.get("more_body", False):
                await self.app(scope, receive, send)
                return
            body = message.get("body", b"")
        request = Request(scope, receive, send)
        arguments = route.arguments(request, body)
        if arguments is not None:
            try:
                response: Any = await route.answer(request, arguments)
            except Exception as error:  # FastAPI's way has the handlers
                response = error
            if type(response) in PLAIN:
                await response(scope, receive, send)
                return
            scope[OUTCOME] = response
        await self.app(scope, receive, send)

    def find(self, scope: Scope) -> DirectRoute | None:
        """The route of this request, if that is a direct one."""
        path = scope["path"]
        for route in self._table.get((scope["method"], path.count("/")), ()):
            if (found := route.path_regex.match(path)) is not None:
                if not isinstance(route, DirectRoute) or not route.direct:
                    return None
                scope["path_params"] = found.groupdict()
                return route
        return None

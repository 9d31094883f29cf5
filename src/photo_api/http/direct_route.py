"""A route class for reads that are asked for all the time.

FastAPI resolves any tree of dependencies, bodies, headers and forms for every request anew, which
costs more than most of our queries. A GET whose inputs are path and query parameters and one
dependency needs none of that: here its parameters are validated with FastAPI's own fields and the
endpoint is called directly. Whatever is unusual, a wrong value above all, goes FastAPI's own way,
so errors and OpenAPI are FastAPI's in every case.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

# Nothing that would have to be decoded: `limit=20&cursor=AAAAAAAAACo`.
PLAIN_QUERY = re.compile(rb"(?:[a-z_]+=[A-Za-z0-9_-]+(?:&(?=.)|$))*")

Call = Callable[[Request], Awaitable[Response | None]]


class DirectRoute(APIRoute):
    """For `APIRouter(route_class=…)`; routes that it does not suit are as they were."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self._suits():
            self.app = self._direct(self.app)

    def _suits(self) -> bool:
        needs = self.dependant
        simple_dependencies = all(
            not (item.dependencies or item.query_params or item.path_params or item.header_params)
            for item in needs.dependencies
        )
        elsewhere = self.body_field or needs.header_params or needs.cookie_params
        return simple_dependencies and len(needs.dependencies) <= 1 and not elsewhere

    def _direct(self, usual: Any) -> Any:
        call = self._caller()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response = await call(Request(scope, receive, send))
            if response is None:
                await usual(scope, receive, send)
            else:
                await response(scope, receive, send)

        return app

    def _caller(self) -> Call:
        """A function that answers a request, or gives None for one that is not plain."""
        needs, endpoint = self.dependant, self.endpoint
        query = {field.alias: field for field in needs.query_params}
        path = {field.alias: field for field in needs.path_params}
        dependencies: list[tuple[Any, Any]] = [
            (item.name, item.call) for item in needs.dependencies
        ]

        async def call(request: Request) -> Response | None:
            given = request.scope["query_string"]
            if PLAIN_QUERY.fullmatch(given) is None:
                return None
            pairs = [pair.split("=") for pair in given.decode().split("&")] if given else []
            arguments: dict[str, Any] = {}
            if not _validate(path, request.scope["path_params"].items(), "path", arguments):
                return None
            if pairs and not _validate(query, pairs, "query", arguments):
                return None
            for name, dependency in dependencies:
                arguments[name] = await dependency(request)
            if needs.request_param_name:
                arguments[needs.request_param_name] = request
            response: Response = await endpoint(**arguments)
            return response

        return call


def _validate(fields: dict[str, Any], given: Any, place: str, into: dict[str, Any]) -> bool:
    """Whether every value belongs to a field, once, and is right."""
    for alias, text in given:
        field = fields.get(alias)
        if field is None or field.name in into:
            return False
        into[field.name], errors = field.validate(text, {}, loc=(place, alias))
        if errors:
            return False
    return True

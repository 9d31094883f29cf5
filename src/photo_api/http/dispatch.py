"""Direct routes are found and answered without the machinery of FastAPI around them.

The table is made of the application's own routes, in their order, so that a request comes to the
same route in both ways. What ends unlike most, with an exception or an answer that streams, is
handed to FastAPI with its outcome: it is told to clients as if FastAPI had called the endpoint.
"""

from collections import defaultdict
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from photo_api.http.direct_route import OUTCOME, DirectRoute
from photo_api.http.json import JsonResponse

PLAIN: tuple[type[Response], ...] = (JsonResponse, Response)
"""Answers that are two messages."""


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
            receive = _again(message, receive)
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


def _again(message: Message, receive: Receive) -> Receive:
    """This message, and then whatever comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return message

    return receive_again

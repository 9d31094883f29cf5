"""HEAD wherever there is GET: the server sends the same head and leaves the body out."""

from collections.abc import Iterable, Iterator
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

METHODS = ("get", "head", "post", "put", "patch", "delete")


def answering_head(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """These routes, each of which that takes GET also takes HEAD."""
    for route in routes:
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            route.methods = {"GET", "HEAD"}
        yield route


def with_own_ids(paths: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """OpenAPI's paths with an id for each operation, the methods in one order. FastAPI names all
    operations of a route after one of its methods, which is another one in every process."""
    return {
        path: {m: _own(m, operations[m]) for m in METHODS if m in operations}
        for path, operations in paths.items()
    }


def _own(method: str, operation: dict[str, Any]) -> dict[str, Any]:
    name = operation["operationId"].rpartition("_")[0]
    own = {**operation, "operationId": f"{name}_{method}"}
    if method == "head":
        answers = operation["responses"].items()
        own["responses"] = {
            status: {key: value for key, value in answer.items() if key != "content"}
            for status, answer in answers
        }
    return own

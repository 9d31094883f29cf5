"""Every list and every text that a request may hold has a largest length, by what OpenAPI says."""

from collections.abc import Iterator
from typing import Any

import httpx

from tests.service import Service

CLOSED = ("enum", "const", "format")
PATH_IDS = ("photo_id", "album_id", "share_id")


def parts(schema: dict[str, Any], components: dict[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    """Each schema within, with where it is."""
    if "$ref" in schema:
        yield from parts(components[schema["$ref"].rsplit("/", 1)[1]], components, at)
        return
    yield at, schema
    for name, inner in schema.get("properties", {}).items():
        yield from parts(inner, components, f"{at}.{name}")
    for key in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(key, []):
            yield from parts(inner, components, at)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from parts(schema[key], components, f"{at}[]")


def taken(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What requests may hold: (where, schema)."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            at = f"{method.upper()} {path}"
            for one in operation.get("parameters", []):
                yield f"{at} {one['in']} {one['name']}", one["schema"]
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                yield f"{at} {kind}", content["schema"]


def test_no_request_holds_a_list_or_a_text_without_bound(service: Service) -> None:
    document = httpx.get(f"{service.url}/openapi.json").json()
    components = document["components"]["schemas"]
    seen, unbounded = 0, []
    for at, schema in taken(document):
        for where, part in parts(schema, components, at):
            seen += 1
            kind = part.get("type")
            if kind == "array" and "maxItems" not in part:
                unbounded.append(f"{where}: a list")
            if kind == "string" and "maxLength" not in part and not any(k in part for k in CLOSED):
                unbounded.append(f"{where}: a text")
            if part.get("additionalProperties") is True:
                unbounded.append(f"{where}: any keys")
    assert seen > 40
    assert unbounded == []

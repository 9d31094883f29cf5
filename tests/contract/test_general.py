"""What holds for every route: errors, headers, ids, health."""

import json
from typing import Any

import httpx
import pytest

from tests.service import Service, User


@pytest.mark.parametrize("path", ["/nothing", "/api/nothing", "/", "/api/photos/7/nothing"])
def test_an_unknown_route_has_the_error_body(service: Service, path: str) -> None:
    answer = httpx.get(service.url + path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"detail", "code", "request_id"}
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_the_api_says_what_it_is(service: Service, path: str) -> None:
    answer = httpx.get(service.url + path)
    assert answer.status_code == 200
    assert set(answer.json()) == {"name", "version", "docs"}
    assert httpx.get(service.url + answer.json()["docs"]).status_code == 200


def test_a_wrong_method_is_405(service: Service) -> None:
    answer = httpx.put(f"{service.url}/api/auth/login")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/photos", "/albums"])
@pytest.mark.parametrize(
    "wrong", ["0", "abc", "1.5", "-1", "1e3", "９", str(2**53), str(2**63), "9" * 400, "%00"]
)
def test_an_impossible_id_in_a_path_is_404(alice: User, path: str, wrong: str) -> None:
    for method in ("GET", "DELETE"):
        answer = alice.api.request(method, f"{path}/{wrong}")
        assert answer.status_code == 404, answer.text
    assert alice.api.patch(f"{path}/{wrong}", json={}).status_code == 404


def test_the_request_id_is_echoed_if_sane(service: Service) -> None:
    url = f"{service.url}/health"
    assert httpx.get(url, headers={"X-Request-ID": "abc-1.2"}).headers["X-Request-ID"] == "abc-1.2"
    for strange in ("a b", "x" * 129, "<script>", ""):
        given = httpx.get(url, headers={"X-Request-ID": strange}).headers["X-Request-ID"]
        assert given != strange
        assert given


def test_every_answer_names_the_instance(service: Service) -> None:
    for path in ("/health", "/api/nothing", "/api/auth/me", "/docs"):
        assert httpx.get(service.url + path).headers["X-Instance"]


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize(
    "path", ["/health", "/health/", "/health/ready", "/health/readiness", "/health/detailed"]
)
def test_health(service: Service, prefix: str, path: str) -> None:
    answer = httpx.get(service.url + prefix + path)
    assert answer.status_code == 200
    body = answer.json()
    assert {"status", "instance", "version", "timestamp", "checks"} <= set(body)
    assert body["status"] == "healthy"
    assert body["instance"] == answer.headers["X-Instance"]
    assert body["checks"]["database"]["ok"] is True
    assert httpx.head(service.url + prefix + path).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/liveness", "/api/health/live"])
def test_liveness(service: Service, path: str) -> None:
    assert httpx.get(service.url + path).status_code == 200


def test_details_are_for_operators(service: Service) -> None:
    url = f"{service.url}/health/detailed"
    checks = httpx.get(url).json()["checks"]
    assert checks["storage"]["ok"]
    assert "queued" in checks["jobs"]
    assert "config" not in httpx.get(url, headers={"Authorization": "Bearer wrong"}).json()
    token = service.environ["PHOTO_API_OPS_TOKEN"]
    config = httpx.get(url, headers={"Authorization": f"Bearer {token}"}).json()["config"]
    text = json.dumps(config)
    assert config["jwt_key_ids"] == ["k1"]
    for name, value in service.environ.items():
        if any(word in name for word in ("KEYS", "SECRET", "TOKEN", "DATABASE_URL")):
            assert value not in text


def test_cors_for_the_front_end(service: Service) -> None:
    headers = {
        "Origin": "https://front.example.org",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
    }
    answer = httpx.options(f"{service.url}/api/albums/", headers=headers)
    assert answer.headers["Access-Control-Allow-Origin"] == "https://front.example.org"
    stranger = httpx.options(
        f"{service.url}/api/albums/", headers=headers | {"Origin": "https://evil.example"}
    )
    assert "Access-Control-Allow-Origin" not in stranger.headers
    refused = httpx.get(f"{service.url}/api/auth/me", headers={"Origin": headers["Origin"]})
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://front.example.org"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b"1e999", b"[" * 100_000])
def test_a_body_that_is_no_request_is_422(alice: User, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = alice.api.post("/albums/", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert set(answer.json()) == {"detail", "code", "request_id"}


def test_a_body_of_any_length_is_not_taken_in(alice: User) -> None:
    answer = alice.api.post("/albums/", json={"name": "x" * 2**21})
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def test_openapi_documents_every_route_with_examples(service: Service) -> None:
    document = httpx.get(f"{service.url}/openapi.json").json()
    missing = [
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if not _documented(document, operation)
    ]
    assert missing == []


def _documented(document: dict[str, Any], operation: dict[str, Any]) -> bool:
    """A summary, and an example for the body it takes and the JSON it answers."""
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    bodies += [operation["responses"][s] for s in operation["responses"] if s.startswith("2")]
    contents = [content for body in bodies for content in body.get("content", {}).items()]
    return bool(operation.get("description")) and all(
        kind.startswith("image/") or _has_example(document, content) for kind, content in contents
    )


def _has_example(document: dict[str, Any], content: dict[str, Any]) -> bool:
    if "example" in content or "examples" in content:
        return True
    schema = content.get("schema", {})
    for part in schema.get("anyOf", [schema]):
        part = part.get("items", part)
        if "$ref" in part:
            part = document["components"]["schemas"][part["$ref"].rsplit("/", 1)[-1]]
        properties = part.get("properties", {}).values()
        if "examples" in part or any("examples" in item for item in properties):
            return True
    return False

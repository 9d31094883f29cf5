"""What holds for every route: errors, headers, ids, health."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from photo_api.health.configuration import EXAMPLE
from tests.service import Service, User


@pytest.mark.parametrize(
    "path", ["/nothing", "/api/nothing", "/docs/nothing", "/api/photos/7/nothing"]
)
def test_an_unknown_route_has_the_error_body(service: Service, path: str) -> None:
    answer = httpx.get(service.url + path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"detail", "code", "request_id"}
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/auth/login", True),
        ("/auth/register?x=1", True),
        ("/photos/7/image", True),
        ("/share/h4Zr3p1f0aXw", True),
        ("/albums/", True),
        ("/nothing", False),
        ("/", False),
        ("/api/nothing", False),
        ("/api/auth/nothing", False),
    ],
)
def test_a_route_without_its_prefix_says_so(service: Service, path: str, told: bool) -> None:
    """As behind an nginx that strips `/api`. Some of these are addresses of pages, too, which
    browsers ask for without a token."""
    token = {"Authorization": "Bearer of-a-client"}
    for method in ("GET", "POST"):
        answer = httpx.request(method, service.url + path, headers=token)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert ("does a proxy strip /api?" in answer.json()["detail"]) == told


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_the_api_says_what_it_is(service: Service, path: str) -> None:
    answer = httpx.get(service.url + path)
    assert answer.status_code == 200
    assert set(answer.json()) == {"name", "version", "docs", "registration", "trash_days"}
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


def test_a_token_is_no_request_id(service: Service, alice: User) -> None:
    for name in ("refresh_token", "access_token"):
        token = alice.tokens[name][:128]
        answer = httpx.get(f"{service.url}/api/", headers={"X-Request-ID": token})
        assert answer.headers["X-Request-ID"] != token
        assert token not in service.log


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
    assert config.keys() == EXAMPLE.keys()
    assert config["keys"][0] == {"use": "jwt", "id": "k1", "signs": True, "age_s": None}
    assert config["trusted_proxies"] == ["127.0.0.0/8"]
    assert config["cors_origins"] == ["https://front.example.org"]
    bucket = service.environ["PHOTO_API_S3_BUCKET"]
    assert config["store"] == {
        "kind": "s3",
        "address": service.environ["PHOTO_API_S3_ENDPOINT"],
        "bucket": bucket,
        "uploads": bucket,
    }
    assert config["secrets"] == {"weak": {}, "same": []}
    for name, value in service.environ.items():
        if any(word in name for word in ("KEYS", "SECRET", "TOKEN", "DATABASE_URL")):
            assert value not in text


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"nothing\r\n\r\n"])
def test_what_never_becomes_a_request_is_kept_by_nobody(service: Service, sent: bytes) -> None:
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        client.sendall(sent)
        answer = client.makefile("rb").read().lower()
    assert b"\r\ncache-control: no-store\r\n" in answer
    assert b"\r\nx-content-type-options: nosniff\r\n" in answer


def test_answers_are_kept_by_nobody_and_their_types_are_not_guessed(
    service: Service, alice: User
) -> None:
    album, photo = alice.album()["id"], alice.upload()["id"]
    token = alice.api.post(f"/albums/{album}/share").json()["token"]
    preflight = {
        "Origin": "https://front.example.org",
        "Access-Control-Request-Method": "POST",
    }
    answers = {
        answer.status_code: answer
        for answer in (
            alice.api.post("/albums/", json={"name": "x"}),
            httpx.get(f"{service.url}/api/auth/me"),
            httpx.get(f"{service.url}/nothing"),
            alice.api.put("/photos/"),
            alice.api.post("/albums/", json={}),
            alice.api.post("/albums/", content=b"x" * 300_000),
            alice.api.post("/albums/", json={"name": "x"}, headers={"Idempotency-Key": "\x01"}),
            alice.api.patch(f"/albums/{album}", json={"cover_photo_id": 1}),
            alice.api.delete(f"/photos/{alice.upload()['id']}"),
            alice.api.get("/photos/"),
        )
    }
    assert set(answers) == {200, 201, 204, 400, 401, 404, 405, 413, 422}
    more = [
        httpx.options(f"{service.url}/api/albums/", headers=preflight),
        httpx.options(f"{service.url}/api/albums/", headers=preflight | {"Origin": "https://x"}),
        alice.login(),
        httpx.get(f"{service.url}/api/share/{token}"),
        *(httpx.get(f"{service.url}{path}") for path in ("/health", "/metrics", "/openapi.json")),
    ]
    for answer in (*answers.values(), *more):
        assert answer.headers.get_list("Cache-Control") == ["no-store"], answer.request.url
        assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]
    image = alice.api.get(f"/photos/{photo}/image")
    assert image.headers["Cache-Control"].startswith("private")
    script = httpx.get(f"{service.url}/docs-assets/swagger-ui.css")
    assert script.headers["Cache-Control"] == "public, max-age=3600"
    for answer in (image, script):
        assert answer.headers.get_list("X-Content-Type-Options") == ["nosniff"]


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
    for part in schema.get("anyOf", schema.get("oneOf", [schema])):
        part = part.get("items", part)
        if "$ref" in part:
            part = document["components"]["schemas"][part["$ref"].rsplit("/", 1)[-1]]
        properties = part.get("properties", {}).values()
        if "examples" in part or any("examples" in item for item in properties):
            return True
    return False

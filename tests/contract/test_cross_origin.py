"""A front end on another origin: it may ask, and read every answer, refusals too."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests.service import Service, User

FRONT = "https://front.example.org"
ALLOWED = "Access-Control-Allow-Origin"


def refused(service: Service, request: str) -> tuple[int, str]:
    """Status and headers (in lower case) of the answer to exactly these bytes."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as client:
        client.sendall(request.encode())
        answer = client.makefile("rb")
        status = int(answer.readline().split()[1])
        lines = iter(lambda: answer.readline().decode().rstrip().lower(), "")
        return status, "\n".join(lines)


@pytest.mark.parametrize("name", ["traceparent", "tracestate", "baggage", "Range", "If-None-Match"])
def test_what_a_traced_or_caching_client_sends_is_allowed(service: Service, name: str) -> None:
    headers = {
        "Origin": FRONT,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": f"authorization,{name.lower()}",
    }
    answer = httpx.options(f"{service.url}/api/photos", headers=headers)
    assert (answer.status_code, answer.headers[ALLOWED]) == (200, FRONT)


def test_refusals_before_a_route_can_be_read(service: Service, alice: User) -> None:
    answer = alice.api.post("/albums/", content=b"x" * 300_000, headers={"Origin": FRONT})
    assert (answer.status_code, answer.headers[ALLOWED]) == (413, FRONT)


@pytest.mark.parametrize("origin", [FRONT, "https://evil.example", ""])
def test_refusals_of_what_never_became_a_request_can_be_read(service: Service, origin: str) -> None:
    """Where no origin was read yet, the text tells nothing, and anybody may have it."""
    sent = f"Origin: {origin}\r\n" if origin else ""
    large = f"GET /api/photos HTTP/1.1\r\nHost: a\r\n{sent}X-Large: {'x' * 70_000}\r\n\r\n"
    status, headers = refused(service, large)
    assert status == 431
    allowed = {FRONT: FRONT, "": "*"}.get(origin)
    assert (f"access-control-allow-origin: {allowed}" in headers) is (allowed is not None)
    assert ("access-control-allow-origin" in headers) is (allowed is not None)

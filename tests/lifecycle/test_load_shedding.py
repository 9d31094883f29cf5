"""A worker with too much to do says so at once, and goes on answering for its health."""

import socket
from collections.abc import Callable
from contextlib import ExitStack

import httpx

from tests.service import Service, eventually


def test_beyond_the_limit_it_is_503_at_once(start_service: Callable[..., Service]) -> None:
    service = start_service(MAX_IN_FLIGHT="3")
    host, port = service.url.removeprefix("http://").split(":")
    head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with ExitStack() as held:
        for _ in range(3):
            stuck = held.enter_context(socket.create_connection((host, int(port))))
            stuck.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        eventually(lambda: httpx.get(f"{service.url}/api/auth/me").status_code == 503)
        shed = httpx.get(f"{service.url}/api/auth/me")
        assert (shed.json()["code"], shed.headers["Retry-After"]) == ("overloaded", "1")
        assert httpx.get(f"{service.url}/health").status_code == 200
        assert httpx.get(f"{service.url}/api/health").status_code == 200
        sneaky = httpx.get(f"{service.url}/api/share/health/health")
        assert sneaky.status_code == 503, "the path's beginning counts, not what is in it"
        assert httpx.get(f"{service.url}/health/live").status_code == 200
    eventually(lambda: httpx.get(f"{service.url}/api/auth/me").status_code == 401)

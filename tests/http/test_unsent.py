"""Answers that slow clients leave are bounded by bytes, and the client that holds most pays."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest

from tests.service import Service, jpeg, running_service

MB = 1024 * 1024
LARGE = 24 * MB
"""More than what the kernel buffers."""

MANY, OTHER = "127.0.9.4", "127.0.9.5"


@pytest.fixture(scope="module")
def tight(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    changed = environ | {"PHOTO_API_MAX_UNSENT": str(MB), "PHOTO_API_DELIVERY": "stream"}
    with running_service(changed, tmp_path_factory.mktemp("tight"), "--no-jobs") as running:
        yield running


@pytest.mark.slow
def test_who_takes_no_answers_loses_connections_and_others_do_not(tight: Service) -> None:
    with tight.new_user() as user, ExitStack() as opened:
        path = user.upload(jpeg() + bytes(LARGE))["url"]
        token = user.api.headers["Authorization"]
        head = f"GET /api{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: {token}"

        def ask(source: str) -> socket.socket:
            address = urlsplit(tight.url)
            reader = socket.socket()
            opened.enter_context(reader)
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            reader.settimeout(30)
            reader.bind((source, 0))
            reader.connect((address.hostname, address.port))
            reader.sendall(head.encode() + b"\r\n\r\n")
            return reader

        def received(reader: socket.socket) -> int:
            total = 0
            with suppress(ConnectionResetError):
                while piece := reader.recv(MB):
                    total += len(piece)
            return total

        slow, *greedy = [ask(OTHER), *(ask(MANY) for _ in range(30))]
        for reader in (slow, *greedy):
            assert reader.recv(12) == b"HTTP/1.1 200"
        cut = sum(received(reader) < LARGE for reader in greedy)
        assert cut >= 10, "each of them holds 64 KiB at least"
        assert received(slow) > LARGE

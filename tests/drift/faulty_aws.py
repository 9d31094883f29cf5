"""What stands between a command and moto, and spoils the answers to one of AWS's actions."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from urllib.request import Request, urlopen

THROTTLED = (
    b"<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded"
    b"</Message></Error><RequestId>1</RequestId></ErrorResponse>"
)


class FaultyAws(ThreadingHTTPServer):
    """`action` is spoiled by `fault`, so many times."""

    daemon_threads = True

    def __init__(self, moto: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.moto = moto
        self.action = ""
        self.fault = ""
        self.times = 0
        self.spoiled = 0
        self.sent = 0
        self.over = threading.Event()

    def spoil(self, action: str, fault: str, times: int = 1_000_000) -> None:
        """From now on."""
        self.action, self.fault, self.times, self.spoiled = action, fault, times, 0


class _Handler(BaseHTTPRequestHandler):
    server: FaultyAws

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        action = parse_qs(body.decode("latin-1")).get("Action", [""])[0]
        action = action or self.headers["X-Amz-Target"].rpartition(".")[2]
        answer = self._of_moto(body)
        if action != self.server.action or self.server.spoiled >= self.server.times:
            self._send(*answer)
            return
        self.server.spoiled += 1
        getattr(self, f"_{self.server.fault}")(*answer)

    def _of_moto(self, body: bytes) -> tuple[int, Any, bytes]:
        request = Request(self.server.moto + self.path, body, dict(self.headers), method="POST")
        with urlopen(request) as answer:
            return answer.status, answer.headers, answer.read()

    def _send(self, status: int, headers: Any, content: bytes, length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", headers.get("Content-Type", "text/xml"))
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def _throttle(self, *_: Any) -> None:
        self._send(400, {}, THROTTLED)

    def _hang(self, *_: Any) -> None:
        self.server.over.wait()

    def _cut(self, status: int, headers: Any, content: bytes) -> None:
        self._send(status, headers, content[: len(content) // 2], len(content))
        self.close_connection = True

    def _half(self, status: int, headers: Any, content: bytes) -> None:
        self._send(status, headers, content[: len(content) // 2])

    def _page(self, *_: Any) -> None:
        self._send(200, {"Content-Type": "text/html"}, b"<html><body>Sign in</body></html>")

    def _nothing(self, status: int, headers: Any, _: bytes) -> None:
        self._send(status, headers, b"")

    def _drip(self, status: int, headers: Any, content: bytes) -> None:
        self._send(status, headers, b"<", 1_000_000)
        with suppress(ConnectionError):
            while not self.server.over.wait(0.05):
                self.wfile.write(b" ")

    def _flood(self, status: int, headers: Any, content: bytes) -> None:
        """Without end, and well-formed as far as it goes."""
        self._send(status, headers, content, 1 << 40)
        with suppress(ConnectionError):
            while not self.server.over.is_set():
                self.wfile.write(b" " * 65_536)
                self.server.sent += 65_536

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@contextmanager
def faulty_aws(moto: str) -> Iterator[tuple[str, FaultyAws]]:
    """Its address, and what to tell it."""
    server = FaultyAws(moto)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()

"""nginx's control API as a small HTTP server on a Unix socket, for tests that need no traffic.

Against the real nginx the same is tested in test_balance_with_nginx.py.
"""

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any


class MembersServer:
    """Has what was PUT last, and remembers when each set came. `old_workers` is what it tells of
    workers from before a reload. While `open` is cleared a PUT is held back, `held_back` counts
    them."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.members: list[dict[str, Any]] = []
        self.history: list[tuple[float, set[str]]] = []
        self.panic = False
        self.old_workers = 0
        self.open = threading.Event()
        self.open.set()
        self.held_back = 0
        self._server: ThreadingUnixStreamServer | None = None

    def start(self, members: list[dict[str, Any]] | None = None) -> None:
        """Answer from now on, with these members."""
        self.members = members or []
        self._server = ThreadingUnixStreamServer(str(self.socket), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """As nginx that is not running."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self.socket.unlink()
            self._server = None

    @property
    def boots(self) -> set[str]:
        return {member["id"] for member in self.members}

    def left_at(self, boot: str) -> float | None:
        """When the first set without `boot` came, after those with it."""
        was_in = False
        for at, boots in self.history:
            if was_in and boot not in boots:
                return at
            was_in = was_in or boot in boots
        return None

    def take(self, told: dict[str, Any]) -> dict[str, Any]:
        self.held_back += not self.open.is_set()
        self.open.wait(10)
        self.members, self.panic = told["members"], told["panic"]
        self.history.append((time.time(), self.boots))
        return {"generation": len(self.history), "active_old_workers": self.old_workers}


@contextmanager
def members_server(*, running: bool = True) -> Iterator[MembersServer]:
    """Its socket lies in a folder with a short name: the kernel takes 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="members-"))
    server = MembersServer(folder / "members.sock")
    if running:
        server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def _told(text: str) -> dict[str, Any]:
    """What a balancer's lines say: `panic`, a member each, and how many they are."""
    panic, *members, end = text.splitlines()
    assert end == f"end {len(members)}"
    names = ("id", "address", "instance")
    told = [dict(zip(names, line.split()[1:], strict=True)) for line in members]
    return {"panic": panic == "panic true", "members": told}


def _handler(owner: MembersServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({"members": owner.members, "generation": len(owner.history)})

        def do_PUT(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(owner.take(_told(text)))

        def _answer(self, body: object) -> None:
            text = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Quiet; the peer of a Unix socket has no address to log either."""

    return Handler

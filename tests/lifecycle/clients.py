"""Clients that notice every broken request."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class KeepAliveClient(threading.Thread):
    """Requests one after another over one connection, until the server says `Connection: close` or
    there is nobody to connect to; whatever else goes wrong is counted as broken."""

    def __init__(self, host: str, port: int, path: str, headers: dict[str, str]) -> None:
        super().__init__(daemon=True)
        self.outcomes: Counter[str] = Counter()
        self.connections = 0
        self.over = threading.Event()
        self._place = (host, port)
        self._path, self._headers = path, headers

    def run(self) -> None:
        while not self.over.is_set():
            connection = http.client.HTTPConnection(*self._place, timeout=30)
            try:
                connection.connect()
            except OSError:
                self.outcomes["nobody there"] += 1
                return
            self.connections += 1
            self._use(connection)

    def _use(self, connection: http.client.HTTPConnection) -> None:
        while not self.over.is_set():
            try:
                connection.request("GET", self._path, headers=self._headers)
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[f"broken: {type(error).__name__}"] += 1
                return
            self.outcomes[str(answer.status)] += 1
            if answer.headers.get("Connection") == "close":
                return
            time.sleep(0.01)

    @property
    def broken(self) -> list[str]:
        return [outcome for outcome in self.outcomes if outcome.startswith("broken")]


@contextmanager
def clients(
    count: int, url: str, path: str, headers: dict[str, str]
) -> Iterator[list[KeepAliveClient]]:
    """So many at work, until the end of the block or of their server."""
    host, port = url.removeprefix("http://").split(":")
    started = [KeepAliveClient(host, int(port), path, headers) for _ in range(count)]
    for client in started:
        client.start()
    try:
        yield started
    finally:
        for client in started:
            client.over.set()
        for client in started:
            client.join(30)

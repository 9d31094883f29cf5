"""One HTTP request and its answer as bytes; whoever makes an exchange brings them there and back.

It is h11's, which uvicorn brings and which takes milliseconds to import: this is in the way of
every start.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

MAX_ANSWER = 65_536
"""Bytes of head, and again of body, beyond which an answer is refused; twice as many hold also what
interim answers and chunks add."""

PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with any status. `retry_after` and `date` are the headers of those names, or
    empty."""

    status: int
    body: str
    retry_after: str = ""
    date: str = ""


class Exchange:
    """`request` is what to send to `host` and `port` of `url`, in TLS if `secure`. The connection
    serves for this one only. Raises ValueError for what cannot be sent."""

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        most: int = MAX_ANSWER,
    ) -> None:
        parts = urlsplit(url)
        self.host, self.secure = parts.hostname or "", parts.scheme == "https"
        default = PORTS[parts.scheme]
        self.port = parts.port or default
        self._most, self._left = most, 2 * most
        self._status, self._body = 0, b""
        self._retry_after, self._date = "", ""
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_ANSWER)
        own_headers = {
            "Host": parts.netloc.rpartition("@")[2].removesuffix(f":{default}"),
            "Connection": "close",
            "Content-Length": str(len(body)),
        }
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            request = h11.Request(
                method=method, target=target, headers=list({**own_headers, **headers}.items())
            )
            events = (request, h11.Data(body), h11.EndOfMessage())
            self.request = b"".join(self._connection.send(event) or b"" for event in events)
        except h11.ProtocolError as error:
            raise ValueError(type(error).__name__) from None

    @property
    def room(self) -> int:
        """Bytes that may be received next. Raises ValueError when the answer is too long."""
        if self._left <= 0:
            raise ValueError("the answer is too long")
        return min(MAX_ANSWER, self._left)

    def receive(self, received: bytes) -> Answer | None:
        """Take what came, nothing being its end; the answer, once it is whole. Raises ValueError
        for one that is too long or no HTTP."""
        self._left -= len(received)
        try:
            self._connection.receive_data(received)
            while (event := self._connection.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.EndOfMessage):
                    body = self._body.decode(errors="replace")
                    return Answer(self._status, body, self._retry_after, self._date)
                self._take(event)
        except h11.ProtocolError as error:
            raise ValueError(type(error).__name__) from None
        return None

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Response):
            self._status = event.status_code
            headers = dict(event.headers)
            self._retry_after = str(headers.get(b"retry-after", b""), "latin-1")
            self._date = str(headers.get(b"date", b""), "latin-1")
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > self._most:
                raise ValueError("the answer is too long")

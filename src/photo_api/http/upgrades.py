"""Requests that ask for another protocol (Upgrade), read as what they are otherwise.

RFC 9110, 7.8: a server may ignore Upgrade, and the request has the body of which its head tells.
The parser stops behind such a head, and would take the body for the next request: that of somebody
else, where a balancer shares its connections.
"""

from collections.abc import Callable
from typing import Protocol

import httptools

FRAMING = (b"content-length", b"transfer-encoding")


class Reader(Protocol):
    """What a parser calls."""

    headers: list[tuple[bytes, bytes]]

    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class _AfterHead:
    """Hands to the reader what comes behind the first head, which it knows already."""

    def __init__(self, reader: Reader) -> None:
        self.on_body = reader.on_body
        self.on_message_begin = self._if_begun(reader.on_message_begin)
        self.on_url = self._if_begun(reader.on_url)
        self.on_header = self._if_begun(reader.on_header)
        self.on_headers_complete = self._if_begun(reader.on_headers_complete)
        self._end = self._if_begun(reader.on_message_complete)
        self.begun = False
        self.complete = False

    def _if_begun(self, call: Callable[..., None]) -> Callable[..., None]:
        return lambda *told: call(*told) if self.begun else None

    def on_message_complete(self) -> None:
        self._end()
        self.complete = True


def parser_behind(
    stopped: httptools.HttpRequestParser, reader: Reader
) -> tuple[httptools.HttpRequestParser, bool]:
    """A parser for what follows the head at which this one has stopped, and whether that is the
    next request: of one without a body nobody else tells the end."""
    calls = _AfterHead(reader)
    parser = httptools.HttpRequestParser(calls)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own
    version = stopped.get_http_version().encode()
    lines = [b"%s / HTTP/%s\r\n" % (stopped.get_method(), version)]
    lines += [b"%s: %s\r\n" % header for header in reader.headers if header[0] in FRAMING]
    parser.feed_data(b"".join([*lines, b"\r\n"]))
    calls.begun = True
    return parser, calls.complete

"""Requests by urllib that end in time: a socket's own timeout begins anew with every byte."""

import os
import ssl
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from socket import socket
from time import monotonic
from typing import Any
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    ProxyHandler,
    Request,
    build_opener,
)

from photo_base.proxies import proxy_of


def open_within(request: Request, seconds: float, context: ssl.SSLContext | None = None) -> Any:
    """The answer, as from `urlopen`: its head and all that is read of it must have come within
    `seconds` from now. An address's look-up is bounded by the resolver alone. Raises what `urlopen`
    does, `TimeoutError` also while it is read, and `HTTPError` also for a redirect: what proves who
    asks goes nowhere else."""
    until = monotonic() + seconds
    # Through the proxy that obstore takes: urllib by itself knows no ALL_PROXY, nor networks or a
    # `*` among others in NO_PROXY.
    proxy = proxy_of(request.full_url, os.environ)
    through = ProxyHandler({request.type: proxy} if proxy else {})
    opener = build_opener(through, _NoRedirects, _Http(until), _Https(until, context))
    return opener.open(request, timeout=seconds)


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class _Answer(HTTPResponse):
    def __init__(self, until: float, sock: socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = BufferedReader(_Timed(self.fp.detach(), sock, until))


class _Timed(RawIOBase):
    """What a socket gives until then."""

    def __init__(self, raw: RawIOBase, sock: socket, until: float) -> None:
        self._raw, self._socket, self._until = raw, sock, until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._until - monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._socket.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Http(HTTPHandler):
    def __init__(self, until: float) -> None:
        super().__init__()
        self._until = until

    def http_open(self, req: Request) -> Any:
        return self.do_open(partial(_connection, HTTPConnection, self._until), req)


class _Https(HTTPSHandler):
    def __init__(self, until: float, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._until, self._trusted = until, context

    def https_open(self, req: Request) -> Any:
        connection = partial(_connection, HTTPSConnection, self._until)
        return self.do_open(connection, req, context=self._trusted)


def _connection(kind: Any, until: float, *args: Any, **options: Any) -> Any:
    made = kind(*args, **options)
    made.response_class = partial(_Answer, until)
    return made

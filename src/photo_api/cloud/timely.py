"""Requests by urllib that end in time: a socket's own timeout begins anew with every byte."""

import os
import ssl
from functools import lru_cache, partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from socket import socket
from time import monotonic
from typing import Any
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
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
    # Through the proxy that obstore takes: urllib by itself knows no ALL_PROXY, nor networks or a
    # `*` among others in NO_PROXY.
    opener = _opener(request.type, proxy_of(request.full_url, os.environ), context)
    return opener.open(request, timeout=seconds)


@lru_cache(8)
def _opener(scheme: str, proxy: str | None, context: ssl.SSLContext | None) -> OpenerDirector:
    """Made once: to make one takes as long as a request."""
    through = ProxyHandler({scheme: proxy} if proxy else {})
    return build_opener(through, _NoRedirects, _Http, _Https(context))


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
    def http_open(self, req: Request) -> Any:
        return self.do_open(partial(_connection, HTTPConnection), req)


class _Https(HTTPSHandler):
    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._trusted = context

    def https_open(self, req: Request) -> Any:
        return self.do_open(partial(_connection, HTTPSConnection), req, context=self._trusted)


def _connection(kind: Any, host: str, timeout: float, **options: Any) -> Any:
    made = kind(host, timeout=timeout, **options)
    made.response_class = partial(_Answer, monotonic() + timeout)
    return made

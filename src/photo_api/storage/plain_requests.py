"""Requests to an object store as anybody makes them: with the headers that are given, and whatever
the answer is."""

import asyncio
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Self
from urllib.parse import urlsplit

import httpcore

from photo_api.storage.base import StoreUnavailable
from photo_api.storage.swift_requests import (
    LONGEST_ANSWER,
    QUICK,
    Answer,
    host_of,
    open_pool,
    translated,
    waits,
    whole,
)
from photo_base.proxies import proxy_of

IN_ALL = 10
"""So many times its `timeout` a whole request may take, whose pieces come one by one."""


@dataclass(frozen=True, slots=True)
class PlainAnswer:
    """Header names are in lower case. `certificate` is when that of the connection ends, in epoch
    seconds; None without TLS."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)
    certificate: float | None = None


class PlainRequests:
    """To any address, through the proxy that leads to it; `authorities` are certificates in PEM
    that are trusted besides the system's."""

    def __init__(self, authorities: str = "") -> None:
        self._authorities = authorities
        self._pools: dict[tuple[str, str | None], httpcore.AsyncConnectionPool] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, url: str) -> httpcore.AsyncConnectionPool:
        through = url.partition(":")[0], proxy_of(url, os.environ)
        if through not in self._pools:
            self._pools[through] = open_pool(url, self._authorities)
        return self._pools[through]

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes = b"",
        timeout: float = QUICK,
        most: int = LONGEST_ANSWER,
    ) -> PlainAnswer:
        """One request, sent once, to a URL that is percent-encoded; a redirect is an answer like
        any other. `timeout` is for each piece of the answer, in seconds. Raises `StoreUnavailable`
        when none came, one of over `most` bytes, or one that took longer than ten timeouts."""
        parts = urlsplit(url)
        origin = httpcore.URL(f"{parts.scheme}://{parts.netloc}")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sent = {"Host": host_of(origin), **headers}
        if body or method in ("PUT", "POST", "COPY"):
            sent["Content-Length"] = str(len(body))
        request = httpcore.Request(
            method,
            httpcore.URL(
                scheme=origin.scheme, host=origin.host, port=origin.port, target=target.encode()
            ),
            headers=list(sent.items()),
            content=body,
            extensions={"timeout": waits(timeout)},
        )
        try:
            async with asyncio.timeout(IN_ALL * timeout):
                with translated(method):
                    response = await self._pool(url).handle_async_request(request)
                    ends = _end_of_certificate(response)
                    answer: Answer = await whole(response, most)
        except TimeoutError:
            late = f"{method} did not end within {IN_ALL * timeout:g} s"
            raise StoreUnavailable(late) from None
        return PlainAnswer(answer.status, answer.headers, answer.body, ends)


def _end_of_certificate(response: httpcore.Response) -> float | None:
    stream = response.extensions.get("network_stream")
    secured = stream.get_extra_info("ssl_object") if stream is not None else None
    told = secured.getpeercert() if secured is not None else None
    if not told:
        return None
    return float(ssl.cert_time_to_seconds(told["notAfter"]))

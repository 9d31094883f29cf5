"""Requests to an account of OpenStack Swift, by httpcore, each with the token in force."""

import asyncio
import os
import random
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpcore

from photo_api.resilience import RetryBudget
from photo_api.storage.base import StoreRefused, StoreUnavailable
from photo_api.storage.streams import nothing
from photo_api.storage.tokens import Tokens
from photo_api.tracing import sampled_for_store
from photo_base.proxies import proxy_of

QUICK, SLOW = 2.5, 20.0
"""Seconds to wait for the next piece of an answer; a store answers a PUT or a copy only when all
bytes are on its disks."""
CONNECT = 2.0
KEPT_CONNECTIONS, KEPT_FOR = 32, 5.0
"""Idle connections, and their seconds: shorter than servers and balancers keep them."""
PROVEN_FOR = 30.0
BUSY = (429, 498, 503)
"""Too many requests, by the standard, by Swift's own limits, and where nothing goes any more."""
PIECE = 256 * 1024
TRIES = 3
PAUSES = (0.1, 0.3)
LONGEST_PAUSE = 1.0
REFUSED_CERTIFICATE = "its certificate is refused"
LONGEST_ANSWER = 8 * 1024 * 1024
"""A list of 1,000 objects with the longest names has half of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request. `place` is a container or an object in it, percent-encoded; "" is the account.
    `timeout` is the longest wait for a piece of the answer, of which at most `most` bytes are
    read."""

    method: str
    place: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | memoryview | AsyncIterator[bytes] = b""
    query: str = ""
    timeout: float = QUICK
    most: int = LONGEST_ANSWER


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer whose body is still to come; its connection ends with `chunks`."""

    status: int
    headers: Mapping[str, str]
    chunks: AsyncIterator[bytes]


class SwiftRequests:
    """`url` is the account's address, such as https://swift.example.org/v1/AUTH_1234. `authorities`
    are certificates in PEM that are trusted besides the system's.

    All raise `StoreRefused` (401, 403) and `StoreUnavailable` (3xx, 429, 498, 5xx, no answer)."""

    def __init__(self, url: str, tokens: Tokens, authorities: str = "") -> None:
        parts = urlsplit(url)
        self._origin = httpcore.URL(f"{parts.scheme}://{parts.netloc}")
        self._account = parts.path.rstrip("/")
        self._tokens = tokens
        self._accepted_at = float("-inf")
        self._budget = RetryBudget()
        self._pool = open_pool(url, authorities)

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def ask(self, asked: Asked) -> Answer:
        """The whole answer, with any other status; one that is too long raises `StoreUnavailable`.

        What carries bytes is sent again: with another token where the first is refused, and after
        a pause, within a budget, where the store is too busy. A stream is not: what its source
        raises comes out of here."""
        tries = TRIES if isinstance(asked.body, bytes | memoryview) else 1
        self._budget.request()
        for tried in range(1, tries + 1):
            with translated(asked.method):
                answer = await whole(await self._begin(asked), asked.most)
            pause = _pause(answer, tried)
            if pause is None or tried == tries or not self._budget.may_retry():
                break
            await asyncio.sleep(pause)
        return _usable(asked.method, answer)

    async def open(self, asked: Asked) -> Opened:
        """The same with a body that is read as it is wanted; of another status than 2xx it is
        empty."""
        with translated(asked.method):
            response = await self._begin(asked)
            if 200 <= response.status < 300:
                return Opened(response.status, _headers(response), await _begun(response))
            answer = _usable(asked.method, await whole(response, asked.most))
        return Opened(answer.status, answer.headers, nothing())

    async def info(self) -> bytes:
        """What the store says of its abilities to anybody; empty where it does not. Raises
        `StoreUnavailable` where it may later."""
        place = self._account.partition("/v1/")[0] + "/info"
        request = httpcore.Request(
            "GET",
            self._url(place),
            headers={"Host": host_of(self._origin)},
            extensions={"timeout": waits(QUICK)},
        )
        with translated("GET"):
            answer = await whole(await self._pool.handle_async_request(request), LONGEST_ANSWER)
        if 400 <= answer.status < 500 and answer.status not in BUSY:
            return b""
        if _usable("GET", answer).status != 200:
            return b""
        if not answer.body.lstrip().startswith(b"{"):  # a page of somebody between
            raise StoreUnavailable("GET of /info: the answer is not JSON")
        return answer.body

    async def prove(self, container: str) -> None:
        """Have the token tried there, unless the store has taken it just now: what follows can be
        sent once only."""
        if time.monotonic() - self._accepted_at > PROVEN_FOR:
            await self.ask(Asked("HEAD", container))

    async def _begin(self, asked: Asked) -> httpcore.Response:
        """An answer's head. A token that is refused is dropped, and another is tried once."""
        again = isinstance(asked.body, bytes | memoryview)
        while True:
            token = await self._tokens.current()
            response = await self._pool.handle_async_request(self._request(asked, token))
            if response.status != 401:
                if response.status < 500 and response.status not in BUSY:
                    self._tokens.accepted(token)
                    self._accepted_at = time.monotonic()
                return response
            self._tokens.refused(token)
            if not again:
                return response
            again = False
            await response.aclose()

    def _request(self, asked: Asked, token: str) -> httpcore.Request:
        target = f"{self._account}/{asked.place}" if asked.place else self._account
        url = self._url(target + (f"?{asked.query}" if asked.query else ""))
        headers = {"Host": host_of(self._origin), "X-Auth-Token": token, **asked.headers}
        if (trace := sampled_for_store()) is not None:
            headers["traceparent"] = trace.traceparent
        if not isinstance(asked.body, bytes | memoryview):
            headers["Transfer-Encoding"] = "chunked"
        elif asked.body or asked.method in ("PUT", "POST", "COPY"):
            headers["Content-Length"] = str(len(asked.body))
        return httpcore.Request(
            asked.method,
            url,
            headers=list(headers.items()),
            content=pieces(asked.body) if isinstance(asked.body, memoryview) else asked.body,
            extensions={"timeout": waits(asked.timeout)},
        )

    def _url(self, target: str) -> httpcore.URL:
        origin = self._origin
        return httpcore.URL(
            scheme=origin.scheme, host=origin.host, port=origin.port, target=target.encode()
        )


async def pieces(body: memoryview) -> AsyncIterator[bytes]:
    """Small ones: httpcore copies what it sends, more than once."""
    for at in range(0, len(body), PIECE):
        yield bytes(body[at : at + PIECE])


def open_pool(url: str, authorities: str) -> httpcore.AsyncConnectionPool:
    """Connections to there, through the environment's proxy. `authorities` are certificates in PEM
    that are trusted besides the system's."""
    return httpcore.AsyncConnectionPool(
        # Which takes 20 ms, and is not needed without TLS.
        ssl_context=_context(authorities) if url.startswith("https:") else None,
        proxy=_proxy(url),
        max_connections=None,  # it is bounded by how many ask
        max_keepalive_connections=KEPT_CONNECTIONS,
        keepalive_expiry=KEPT_FOR,
    )


def waits(read: float) -> dict[str, float]:
    """httpcore's timeouts, of which `read` is for each piece of an answer."""
    return {"connect": CONNECT, "write": SLOW, "read": read, "pool": CONNECT}


def _context(authorities: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities:
        context.load_verify_locations(cadata=authorities)
    return context


def _proxy(url: str) -> httpcore.Proxy | None:
    found = proxy_of(url, os.environ)
    if not found:
        return None
    parts = urlsplit(found)
    auth = (parts.username or "", parts.password or "") if parts.username else None
    return httpcore.Proxy(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", auth=auth)


def host_of(origin: httpcore.URL) -> str:
    """What the header Host names."""
    host = origin.host.decode()
    named = f"[{host}]" if ":" in host else host
    return named if origin.port is None else f"{named}:{origin.port}"


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {name.decode().lower(): value.decode("latin-1") for name, value in response.headers}


async def whole(response: httpcore.Response, most: int) -> Answer:
    """The answer with its body. Raises `StoreUnavailable` where that has over `most` bytes."""
    pieces, size = [], 0
    try:
        async for piece in response.aiter_stream():
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise StoreUnavailable(f"an answer of over {most} bytes")
    finally:
        await response.aclose()
    return Answer(response.status, _headers(response), b"".join(pieces))


async def _begun(response: httpcore.Response) -> AsyncIterator[bytes]:
    """Its body as a generator that runs already: only such a one is ended when it is forgotten, and
    the connection with it."""
    body = _body(response)
    await anext(body)
    return body


async def _body(response: httpcore.Response) -> AsyncGenerator[bytes, None]:
    try:
        yield b""
        with translated("GET"):
            async for piece in response.aiter_stream():
                yield piece
    finally:
        await response.aclose()


def _usable(method: str, answer: Answer) -> Answer:
    """Raises for what tells nothing of the object."""
    status = answer.status
    if status in (401, 403):
        raise StoreRefused(f"{method}: refused by the store ({status})")
    if status in BUSY or status >= 500 or (300 <= status < 400 and status != 304):
        raise StoreUnavailable(f"{method}: the store failed ({status})")
    return answer


def _pause(answer: Answer, tried: int) -> float | None:
    """Seconds after which to try again what the store was too busy for; None for all else, and
    where it wants us to wait for longer than anybody would."""
    wanted = answer.headers.get("retry-after", "")
    pause = float(wanted) if wanted.isdecimal() else random.uniform(*PAUSES) * 2.0 ** (tried - 1)
    return pause if answer.status in BUSY and pause <= LONGEST_PAUSE else None


@contextmanager
def translated(method: str) -> Iterator[None]:
    """httpcore's errors as the store's."""
    try:
        yield
    except (
        httpcore.NetworkError,
        httpcore.TimeoutException,
        httpcore.ProtocolError,
        httpcore.ProxyError,
        httpcore.UnsupportedProtocol,
    ) as error:
        raise StoreUnavailable(f"{method}: the store failed ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    # httpcore's pool raises its connection's error `from None`.
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{REFUSED_CERTIFICATE}: {cause.verify_message}"
    return type(error).__name__

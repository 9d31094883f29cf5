"""How a client's requests travel: from an address of its own, through one function that writes the
ledger."""

import asyncio
import resource
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
import orjson

from photo_api.contract import API_PREFIX, IDEMPOTENCY_HEADER, INSTANCE_HEADER, REQUEST_ID_HEADER
from photo_fleet.drill.clients.classify import Seen, error_code, outcome_of
from photo_fleet.drill.ledger import Ledger
from photo_fleet.drill.records import Draft, Outcome

PATIENCE = 60.0
"""Seconds that a client waits for the end of an answer, from when it has sent its request."""

CLIENTS_A_NETWORK = 250
PIECES = 40
"""In how many pieces a slow client sends a body."""

SLOW_READ = 1024
"""Bytes that a slow client reads at a time."""

AGAIN_AFTER, LONGEST_PAUSE = 1.0, 10.0


def _nobody(_: int) -> bool:
    return False


def _anything(_: Mapping[str, str], __: bytes) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Call:
    """One request, with a body of `json` or of bytes. `provoked(status)` says, when the answer is
    there, whether this refusal is the client's own doing; `fits(headers, body)` whether a success
    is what it should be. `takes` are seconds over which a slow client sends its body, `reads` those
    over which it reads the answer's."""

    kind: str
    method: str
    url: str
    expected: tuple[int, ...] = (200,)
    target: str = "api"
    headers: Mapping[str, str] = field(default_factory=dict)
    json: object = field(default=None, repr=False)
    body: bytes | None = field(default=None, repr=False)
    key: str | None = None
    provoked: Callable[[int], bool] = _nobody
    fits: Callable[[Mapping[str, str], bytes], bool] = _anything
    takes: float = 0.0
    reads: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got. `again_after` is Retry-After in seconds; None when there was none.
    `request` is the id of what it answers."""

    outcome: Outcome
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    again_after: float | None = None
    request: str = ""

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def worth_repeating(self) -> bool:
        """Whether a real client would try once more: it failed, or it was told to come again."""
        return not self.ok and (self.outcome is not Outcome.REFUSED or self.again_after is not None)

    def json(self) -> Any:
        return orjson.loads(self.body)


def client_address(number: int) -> str:
    """The loopback address of a client by its number, of which there are 64,000: 127.2.x.y."""
    network, host = divmod(number, CLIENTS_A_NETWORK)
    return f"127.2.{network}.{host + 1}"


def allow_connections() -> None:
    """Let this process open as many sockets as the system permits: the first that is missing would
    look as if the fleet had refused it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Line:
    """One client's way to the fleet at `url`: connections that it keeps, and fresh ones."""

    def __init__(
        self,
        url: str,
        ledger: Ledger,
        name: str,
        *,
        address: str | None = None,
        tls: ssl.SSLContext | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._base = url.rstrip("/") + API_PREFIX
        self._ledger = ledger
        self._name = name
        self._patience = patience
        verify = tls if tls is not None else ssl.create_default_context()
        self._kept = _client(address, verify, keep=20)
        self._fresh = _client(address, verify, keep=0)

    async def send(
        self,
        call: Call,
        *,
        due: float | None = None,
        fresh: bool = False,
        repeats: str | None = None,
    ) -> Answer:
        """Send it and write down how it ended; never raises for what the network does. `call.url`
        is relative to the API's base, or whole."""
        draft = self._ledger.open(
            client=self._name,
            kind=call.kind,
            method=call.method,
            target=call.target,
            due=due,
            idempotency_key=call.key,
            repeats=repeats,
        )
        seen = Seen(call.expected, contract=call.target == "api")
        client = self._fresh if fresh else self._kept
        try:
            async with asyncio.timeout(self._patience + call.takes + call.reads):
                await _watch(client, self._request(client, call, draft), call, seen)
        except TimeoutError:
            seen.error, seen.timed_out = f"no end within {self._patience:g} s", True
        except (httpx.TransportError, httpx.DecodingError, OSError) as error:
            seen.error = _name(error)
        except asyncio.CancelledError:
            seen.error, seen.timed_out = "given up", True
            self._note(draft, seen)
            raise
        except BaseException as error:
            seen.error = _name(error)
            self._note(draft, seen)
            raise
        return self._note(draft, seen)

    async def insist(
        self,
        call: Call,
        *,
        due: float | None = None,
        fresh: bool = False,
        again: Call | None = None,
    ) -> Answer:
        """As a real client does: what failed, or is to be repeated later, is sent once more (as
        `again`, where that is not the very same), with the same key and as a request of its own."""
        answer = await self.send(call, due=due, fresh=fresh)
        if not answer.worth_repeating:
            return answer
        pause = AGAIN_AFTER if answer.again_after is None else answer.again_after
        await asyncio.sleep(min(pause, LONGEST_PAUSE))
        return await self.send(again or call, fresh=fresh, repeats=answer.request)

    def _request(self, client: httpx.AsyncClient, call: Call, draft: Draft) -> httpx.Request:
        url = call.url if "://" in call.url else self._base + call.url
        headers = {**call.headers, REQUEST_ID_HEADER: draft.id}
        body = call.body
        if call.json is not None:
            body = orjson.dumps(call.json)
            headers["Content-Type"] = "application/json"
        if call.key is not None:
            headers[IDEMPOTENCY_HEADER] = call.key
        content: bytes | AsyncIterator[bytes] | None = body
        if body is not None and call.takes:
            headers["Content-Length"] = str(len(body))
            content = _trickle(body, call.takes)
        return client.build_request(call.method, url, headers=headers, content=content)

    def _note(self, draft: Draft, seen: Seen) -> Answer:
        outcome, detail = outcome_of(seen)
        instance = seen.headers.get(INSTANCE_HEADER)
        self._ledger.close(draft, outcome, seen.status, instance, detail)
        again_after = _seconds(seen.headers)
        return Answer(outcome, seen.status, seen.headers, seen.body, again_after, draft.id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kept.aclose()
        await self._fresh.aclose()


async def _watch(client: httpx.AsyncClient, request: httpx.Request, call: Call, seen: Seen) -> None:
    """The answer, as far as it comes."""
    answer = await client.send(request, stream=True)
    try:
        seen.status, seen.headers = answer.status_code, answer.headers
        seen.provoked = call.provoked(answer.status_code)
        seen.retry_after = _seconds(answer.headers) is not None
        seen.body = await (_read_slowly(answer, call.reads) if call.reads else answer.aread())
    finally:
        await answer.aclose()
    seen.error_code = error_code(seen.body)
    if seen.status in call.expected:
        seen.body_fits = _fits(call, seen.headers, seen.body)


async def _read_slowly(answer: httpx.Response, seconds: float) -> bytes:
    length = int(answer.headers.get("Content-Length", 0))
    pause = seconds / max(1, length / SLOW_READ)
    pieces = []
    async for piece in answer.aiter_bytes(SLOW_READ):
        pieces.append(piece)
        await asyncio.sleep(pause)
    return b"".join(pieces)


def _client(address: str | None, verify: ssl.SSLContext, keep: int) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=keep)
    transport = httpx.AsyncHTTPTransport(
        local_address=address, retries=0, verify=verify, limits=limits
    )
    forever = httpx.Timeout(None)  # patience is for the whole request
    return httpx.AsyncClient(transport=transport, timeout=forever, follow_redirects=False)


def _fits(call: Call, headers: Mapping[str, str], body: bytes) -> bool:
    """A body that cannot even be read as what it should be does not fit."""
    try:
        return call.fits(headers, body)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return False


async def _trickle(body: bytes, seconds: float) -> AsyncIterator[bytes]:
    size = len(body) // PIECES + 1
    for start in range(0, len(body), size):
        await asyncio.sleep(seconds / PIECES)
        yield body[start : start + size]


def _seconds(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers["Retry-After"])
    except (KeyError, ValueError):
        return None


def _name(error: BaseException) -> str:
    """An error without its words, which might hold an address with a signature in it."""
    names = [type(error).__name__]
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            names[1:] = [type(cause).__name__]
        cause = cause.__cause__ or cause.__context__
    return ": ".join(names)

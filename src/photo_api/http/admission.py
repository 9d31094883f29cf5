"""How many requests are worked on at the same time, and how long a body may take.

A slow client holds nothing that others need: a request counts as work only once its body is there
and until its answer begins.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from photo_api.contract import API_PREFIX, HEALTH_PATH, METRICS_PATH
from photo_api.errors import ApiError, Code
from photo_api.http.answer import Answer, answer_of
from photo_api.http.client_address import network_of
from photo_api.http.connections import LEFT, WHOLE
from photo_api.http.errors import error_response
from photo_api.settings.serving import HttpSettings

LARGEST_BODY = 256 * 1024
"""Bytes of a body that is parsed as a whole: 10,000 ids, or the longest text with every character
escaped, need about half of it. Parsing the worst of that size takes some milliseconds."""

LARGEST_OF_STRANGERS = 16 * 1024
"""Bytes of a body below `/auth`, which anybody may send."""

STRANGERS = f"{API_PREFIX}/auth/"

MOST_WAITING = 64 * 1024 * 1024
"""Bytes of such bodies that may wait for their ends at the same time, in one worker."""

HELD_PER_WORK = 4
"""So many requests may be held for each that may be worked on, their slow clients included."""

READ_PER_WORK = 3
"""Of these, so many may be waited for whose bodies have not come as a whole."""

SLOWEST, PATIENCE = 16 * 1024, 5.0
"""Bytes a second below which an upload may lose its place to another, and the seconds for which its
client was waited for before."""

PROBES = {
    *(HEALTH_PATH + below for below in ("", "/live", "/liveness", "/ready", "/readiness")),
    METRICS_PATH,
}
"""What balancers and Prometheus ask, which is at hand and wanted most from a busy instance;
`/health/detailed` is a request like any other."""

WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")


class _Refused(Exception):
    def __init__(self, error: ApiError, *, closes: bool = False) -> None:
        self.error = error
        self.closes = closes


class _Arriving:
    """An upload that is coming in, and how long its client alone was waited for: what it waits for
    itself is not held against it."""

    def __init__(self, address: str, has_left: Callable[[], bool]) -> None:
        self.address = address
        self.network = network_of(address)
        self.has_left = has_left
        self.whole = asyncio.timeout(None)
        self.limit: asyncio.Timeout | None = None
        self.since: float | None = None
        self._size = 0
        self._waited = 0.0

    def came(self, piece: bytes) -> None:
        if self.since is not None:
            self._waited += time.monotonic() - self.since
        self._size += len(piece)
        self.since = None

    def rate(self) -> float:
        """Bytes a second; without bound for one that has not been waited for long."""
        now = 0.0 if self.since is None else time.monotonic() - self.since
        waited = self._waited + now
        return self._size / waited if waited > PATIENCE else math.inf

    def is_slow(self) -> bool:
        return self.rate() < SLOWEST

    def give_way(self) -> None:
        """End the wait for the next piece of a slow one; otherwise whatever it waits for."""
        waits = self.limit if self.since is not None and self.is_slow() else None
        _end(waits or self.whole)


class Admission:
    """Refuses at once requests that it could not serve soon: a queue would only make all clients
    wait for answers after they have given up. Health is always answered.

    A body is read whole before its request counts as work, or, on one of the paths `streamed`, is
    left to the route and counts when it has come; those that are still coming may be half as many
    as may be worked on, and half of these of one address. While there is no place for another, one
    gives way whose client has left, or the slowest if it is slower than `SLOWEST`, or the last of
    the network that has most of the places."""

    def __init__(self, app: ASGIApp, limits: HttpSettings, streamed: Collection[str]) -> None:
        self.app = app
        self.limits = limits
        self.streamed = streamed
        self._working = self._held = self._waiting = 0
        self._arriving: dict[_Arriving, None] = {}
        self._reading: dict[asyncio.Timeout, None] = {}
        self._held_by: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].removeprefix(API_PREFIX) in PROBES:
            await self.app(scope, receive, send)
            return
        address, answer = scope["state"]["client_group"], answer_of(scope)
        try:
            self._admit(address)
        except _Refused as refused:
            await _answer(refused, scope, receive, send)
            return
        self._held += 1
        self._held_by[address] += 1
        try:
            if scope["method"] not in WITHOUT_BODY:
                await self._serve(address, scope, receive, send)
            else:
                self._begin_work(answer)
                await self.app(scope, receive, send)
        except _Refused as refused:
            await _answer(refused, scope, receive, send)
        finally:
            answer.start()
            self._held -= 1
            self._held_by[address] -= 1
            if not self._held_by[address]:
                del self._held_by[address]

    def _admit(self, address: str) -> None:
        most = self.limits.max_in_flight_per_address
        if self._held_by[address] >= most:
            text = f"At most {most} requests at a time from one address; try again"
            raise _Refused(ApiError(Code.TOO_MANY_REQUESTS, text, retry_after=1))
        if self._held >= HELD_PER_WORK * self.limits.max_in_flight:
            raise _busy()

    async def _serve(self, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A request that may have a body."""
        if scope["path"] in self.streamed:
            await self._work_on_stream(address, scope, receive, send)
            return
        body = await self._whole(scope, receive)
        if body is not None:
            self._begin_work(answer_of(scope))
            whole = {"type": "http.request", "body": body, "more_body": False}
            await self.app(scope, replayed(whole, receive), send)

    def _begin_work(self, answer: Answer) -> None:
        """It ends where the answer begins, which then waits for its client alone."""
        if self._working >= self.limits.max_in_flight:
            raise _busy()
        self._working += 1
        answer.at_start = self._end_work

    def _end_work(self) -> None:
        self._working -= 1

    async def _work_on_stream(
        self, address: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._make_room(address)
        upload = _Arriving(address, scope["state"].get(LEFT, bool))
        working, answer = False, answer_of(scope)

        async def receive_counted() -> Message:
            nonlocal working
            if upload not in self._arriving:  # it waits for a disconnect, until it has answered
                return await receive()
            message = await self._next(upload, receive)
            if not message.get("more_body", False):
                self._arriving.pop(upload, None)
                working = True
                self._working += 1
            return message

        def end_work() -> None:
            nonlocal working
            self._arriving.pop(upload, None)
            self._working -= working
            working = False

        answer.at_start = end_work
        try:
            async with upload.whole:
                self._arriving[upload] = None
                await self.app(scope, receive_counted, send)
        except TimeoutError:
            if answer.started or not upload.whole.expired():
                raise
            raise _busy() from None
        finally:
            end_work()

    def _make_room(self, address: str) -> None:
        """For an upload more: where there is none, another goes."""
        places = max(2, self.limits.max_in_flight // 2)
        of_address = [one for one in self._arriving if one.address == address]
        for rivals, most in ((of_address, places // 2), (list(self._arriving), places)):
            if len(rivals) >= most:
                loser = _least_wanted(rivals, network_of(address))
                loser.give_way()
                self._arriving.pop(loser, None)
                return

    async def _next(self, upload: "_Arriving", receive: Receive) -> Message:
        """The next piece, within `body_timeout`."""
        seconds = self.limits.body_timeout
        try:
            async with asyncio.timeout(seconds) as upload.limit:
                upload.since = time.monotonic()
                message = await receive()
        except TimeoutError:
            # Not an ApiError: FastAPI, reading a body, lets only its own exception pass.
            text = f"Nothing more of the body came for {seconds:g} s"
            if upload not in self._arriving:
                text = f"Others waited, and less than {SLOWEST} bytes a second came; try again"
            raise HTTPException(408, text, {"Connection": "close"}) from None
        finally:
            upload.limit = None  # whose task has an error, and with it the frames that have this
        upload.came(message.get("body", b""))
        return message

    async def _whole(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body, within `body_timeout` as a whole, or for as long as there is room for those
        that have not come; None when its client went away."""
        most = LARGEST_OF_STRANGERS if scope["path"].startswith(STRANGERS) else LARGEST_BODY
        if told_length(scope["headers"]) > most:
            raise _too_large(most)
        if scope["state"].get(WHOLE, False):  # as most are: a timer costs more than to read them
            return await self._read(receive, most)
        seconds = self.limits.body_timeout
        # What was sent at once comes at once: it is the longest waited for that gives way.
        if len(self._reading) >= READ_PER_WORK * self.limits.max_in_flight:
            longest = next(iter(self._reading))
            del self._reading[longest]
            _end(longest)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                self._reading[limit] = None
                return await self._read(receive, most)
        except TimeoutError:
            text = f"The body did not come within {seconds:g} s, or while others waited; try again"
            raise _Refused(ApiError(Code.REQUEST_TIMEOUT, text), closes=True) from None
        finally:
            self._reading.pop(limit, None)

    async def _read(self, receive: Receive, most: int) -> bytes | None:
        pieces: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                if piece := message.get("body", b""):
                    pieces.append(piece)
                    size += len(piece)
                    self._waiting += len(piece)
                if size > most:
                    raise _too_large(most)
                if not message.get("more_body", False):
                    return b"".join(pieces)
                if self._waiting > MOST_WAITING:
                    raise _busy()
        finally:
            self._waiting -= size


def _end(limit: asyncio.Timeout) -> None:
    """Now, if it is not just ending: such a one cannot be changed any more."""
    if not limit.expired():
        limit.reschedule(0)


def told_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Bytes of a body by Content-Length; 0 where it is not told."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return 0


def _least_wanted(rivals: Sequence[_Arriving], network: str) -> _Arriving:
    """Who gives way to one of this `network`. Raises `_Refused` where nobody has to."""
    for one in rivals:
        if one.has_left():
            return one
    slowest = min(rivals, key=_Arriving.rate)
    if slowest.is_slow():
        return slowest
    places = Counter(one.network for one in rivals)
    [(heaviest, most)] = places.most_common(1)
    if most <= places[network] + 1:
        raise _busy()
    return next(one for one in reversed(rivals) if one.network == heaviest)


def replayed(message: Message, receive: Receive) -> Receive:
    """This message, and then whatever comes after it."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return message

    return receive_again


async def _answer(refused: _Refused, scope: Scope, receive: Receive, send: Send) -> None:
    answer: Any = error_response(refused.error, scope["state"]["request_id"])
    if refused.closes:
        answer.headers["Connection"] = "close"
    await answer(scope, receive, send)


def _busy() -> _Refused:
    return _Refused(ApiError(Code.OVERLOADED, "This instance is busy; try again", retry_after=1))


def _too_large(most: int) -> _Refused:
    return _Refused(ApiError(Code.TOO_LARGE, f"This body may have at most {most} bytes"))

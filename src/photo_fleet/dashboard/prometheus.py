"""Reading what the dashboards show from a Prometheus: bounded in points, series, bytes and time."""

import asyncio
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from urllib.parse import urlsplit, urlunsplit

import httpx

from photo_fleet.dashboard.panel import Board, Event, Panel
from photo_fleet.dashboard.readings import Answer, Unread, parse
from photo_fleet.dashboard.window import USUAL_INTERVAL, Window

MIB = 1024 * 1024
MOST_BYTES, MOST_IN_ALL = 4 * MIB, 32 * MIB
"""Of an answer, and of all together."""
MOST_AT_ONCE = 4
LONGEST_QUERY = 10.0
LONGEST_READING = 90.0
"""Seconds for all together: a Prometheus that is slow, but not too slow, must not hold up for
ever."""
LOOKED_BACK = 300
"""Seconds of scrapes whose distance is the interval."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Something to read: at the end of the window alone, or over all of it."""

    expr: str
    at_end: bool = False


def asked_of(panel: Panel) -> tuple[Asked, ...]:
    """What a panel shows, in the order of its queries."""
    return tuple(Asked(query.expr, panel.kind == "stat") for query in panel.queries)


def everything(boards: Sequence[Board], events: Sequence[Event]) -> list[Asked]:
    """What all of them show, each once."""
    panels = [one for board in boards for panel in board.panels for one in asked_of(panel)]
    return list(dict.fromkeys([*panels, *(Asked(event.expr) for event in events)]))


def shown_address(url: str) -> str:
    """The address without a login."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


class Prometheus:
    """One server, at its address with or without a path."""

    def __init__(self, url: str, longest: float = LONGEST_READING) -> None:
        self._url = url.rstrip("/")
        self._longest = longest

    async def read(
        self, window: Window, wanted: Sequence[Asked], say: Callable[[str], None]
    ) -> tuple[Window, Mapping[Asked, Answer]]:
        """All answers, and the window with the interval of the scrapes. One that does not come is
        an answer with its problem. `say` is told how far it is."""
        until = time.monotonic() + self._longest
        async with _client() as client:
            reading = _Reading(client, self._url, until)
            try:
                window = replace(window, interval=await reading.interval(window))
            except Unread as error:
                # Asking for the rest would only take its time.
                return window, dict.fromkeys(wanted, Answer(problem=str(error)))
            turns, answers = asyncio.Semaphore(MOST_AT_ONCE), dict[Asked, Answer]()

            async def one(asked: Asked) -> None:
                async with turns:
                    answers[asked] = await reading.answer(asked, window)
                    say(f"{len(answers)} of {len(wanted)} read")

            await asyncio.gather(*(one(asked) for asked in wanted))
        return window, answers

    async def now(self) -> float:
        """What its own clock shows, in epoch seconds. Raises Unread."""
        async with _client() as client:
            return await _Reading(client, self._url, time.monotonic() + self._longest).now()


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=LONGEST_QUERY, headers={"Accept-Encoding": "identity"})


class _Reading:
    """One visit, which ends at `until` of the monotonic clock."""

    def __init__(self, client: httpx.AsyncClient, url: str, until: float) -> None:
        self._client = client
        self._url = url
        self._until = until
        self._bytes = 0

    async def interval(self, window: Window) -> float:
        """Seconds between two scrapes of an instance; the usual ones where there are too few."""
        expr = window.expression(f'photo_api_ready{{job=~"$job"}}[{LOOKED_BACK}s]')
        found = await self._ask("query", {"query": expr, "time": f"{window.end:.3f}"})
        longest = max((one.values for one in found.series), key=len, default=())
        times = [at for at, _ in longest]
        gaps = [later - sooner for sooner, later in pairwise(times)]
        return max(1.0, round(statistics.median(gaps))) if gaps else USUAL_INTERVAL

    async def now(self) -> float:
        """The time at which Prometheus evaluates what names none."""
        found = await self._ask("query", {"query": "vector(time())"})
        if not found.series or not found.series[0].values:
            raise Unread("it does not tell its time")
        return found.series[0].values[0][1]

    async def answer(self, asked: Asked, window: Window) -> Answer:
        """What Prometheus says, or why it could not be read."""
        expr = window.expression(asked.expr)
        span: dict[str, str] = {"start": f"{window.start:.3f}", "end": f"{window.end:.3f}"}
        try:
            if asked.at_end:
                return await self._ask("query", {"query": expr, "time": span["end"]})
            return await self._ask("query_range", {"query": expr, **span, "step": f"{window.step}"})
        except Unread as error:
            return Answer(problem=str(error))

    async def _ask(self, path: str, parameters: dict[str, str]) -> Answer:
        left = min(LONGEST_QUERY, self._until - time.monotonic())
        if left <= 0:
            raise Unread("the time for reading was over before its turn came")
        data = parameters | {"timeout": f"{left * 1000:.0f}ms"}
        try:
            async with (
                asyncio.timeout(left),
                self._client.stream("POST", f"{self._url}/api/v1/{path}", data=data) as answer,
            ):
                body = await self._body(answer)
        except (TimeoutError, httpx.TimeoutException):
            raise Unread(f"no answer within {math.ceil(left)} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unread(f"it cannot be reached: {error or type(error).__name__}"[:300]) from None
        if answer.status_code in (401, 403):
            raise Unread(f"it refused the login ({answer.status_code})")
        if answer.is_redirect:
            raise Unread(f"it answered {answer.status_code}: name the address that it points to")
        # 400, 422 and 503 of a Prometheus tell why in their body.
        if answer.status_code >= 400 and not body.startswith(b"{"):
            raise Unread(f"it answered {answer.status_code}")
        return parse(body)

    async def _body(self, answer: httpx.Response) -> bytes:
        """As it was sent: what is not compressed cannot become larger than it is."""
        body = bytearray()
        async for part in answer.aiter_raw():
            body += part
            self._bytes += len(part)
            if len(body) > MOST_BYTES:
                raise Unread(f"an answer of more than {MOST_BYTES // MIB} MiB")
            if self._bytes > MOST_IN_ALL:
                raise Unread(f"answers of more than {MOST_IN_ALL // MIB} MiB together")
        return bytes(body)

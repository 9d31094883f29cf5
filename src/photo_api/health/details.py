"""What `/health/detailed` tells besides the checks, kept for a moment however many ask."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

from photo_api.health.checks import Check, found
from photo_api.health.worker_health import WorkerHealth
from photo_api.telemetry.failures import bug

log = logging.getLogger(__name__)

T = TypeVar("T")

KEPT_SECONDS = 2.0


class Snapshot(Generic[T]):
    """The result of `look`, which is called at most once in `KEPT_SECONDS`, one call at a time."""

    def __init__(self, look: Callable[[], Awaitable[T]]) -> None:
        self._look = look
        self._taken: asyncio.Task[T] | None = None
        self._due = 0.0

    async def now(self) -> T:
        """At most `KEPT_SECONDS` old; raises whatever `look` raises."""
        if self._taken is None or (self._taken.done() and time.monotonic() >= self._due):
            self._taken = asyncio.create_task(self._take())
        # Others wait for it too.
        return await asyncio.shield(self._taken)

    async def _take(self) -> T:
        try:
            return await self._look()
        finally:
            self._due = time.monotonic() + KEPT_SECONDS


class Details:
    """Jobs and statistics as the database has them, without a statement for each call: `jobs` and
    `statistics` ask it."""

    def __init__(
        self,
        health: WorkerHealth,
        jobs: Callable[[], Awaitable[Mapping[str, Any]]],
        statistics: Callable[[], Awaitable[Mapping[str, Any]]],
    ) -> None:
        self._health = health
        self._jobs = Snapshot(lambda: self._look(jobs))
        self._statistics = Snapshot(lambda: self._look(statistics))

    async def jobs(self) -> dict[str, Any]:
        """The check of the queue, with its numbers."""
        check, numbers = await self._jobs.now()
        return check.body() | numbers

    async def statistics(self) -> dict[str, Any]:
        """Of the whole service; empty while the database is not available."""
        _, numbers = await self._statistics.now()
        return numbers

    async def _look(
        self, ask: Callable[[], Awaitable[Mapping[str, Any]]]
    ) -> tuple[Check, dict[str, Any]]:
        started = time.monotonic()
        if not self._health.check("database").ok:
            return found(started, "the database is not available"), {}
        try:
            numbers = dict(await ask())
        except Exception as failure:  # whatever it is, it is what this check reports
            if bug(failure):  # an outage is logged by the supervisor, which checks the database
                log.error("a check failed by a bug", exc_info=failure)
            return found(started, type(failure).__name__), {}
        return found(started, None), numbers

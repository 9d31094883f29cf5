"""How many images a worker streams at once: each holds a connection to the store, and bytes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from photo_api.errors import ApiError, Code
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import STREAMED, STREAMS
from photo_api.photos.keyed_semaphore import KeyedSemaphore

PATIENCE = 2.0
"""Seconds that a request waits for its turn: a page of thumbnails is many that are short. Those who
wait are requests in flight, of which there are only so many."""

SOON = 2
"""Seconds after which to ask again."""


class Streams:
    """Turns: `most` in all, and half of them of one address."""

    def __init__(self, most: int, counts: Counts) -> None:
        self._most = most
        self._running = 0
        self._turns = asyncio.Semaphore(most)
        self._of_address = KeyedSemaphore(max(1, most // 2))
        self._counts = counts
        counts.watch(STREAMS, read=lambda: self._running)

    @asynccontextmanager
    async def turn(self, readers: str, address: str) -> AsyncIterator[None]:
        """For as long as this is entered. Raises `ApiError` OVERLOADED when none is free in
        time."""
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(PATIENCE):
                    await held.enter_async_context(self._of_address.of(address))
                    await held.enter_async_context(self._turns)
            except TimeoutError:
                self._counts.add(STREAMED, readers, "refused")
                text = "Too many images are being streamed; try again"
                raise ApiError(Code.OVERLOADED, text, retry_after=SOON) from None
            self._counts.add(STREAMED, readers, "begun")
            self._running += 1
            held.callback(self._ended)
            yield

    def _ended(self) -> None:
        self._running -= 1

"""How many at a time of those that belong together."""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class KeyedSemaphore:
    """`most` at a time for each key, in this process; others wait for their turn."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._turns: dict[Hashable, tuple[asyncio.Semaphore, int]] = {}

    def wanted(self, key: Hashable) -> int:
        """How many have entered it for this key, or wait."""
        return self._turns[key][1] if key in self._turns else 0

    @asynccontextmanager
    async def of(self, key: Hashable) -> AsyncIterator[None]:
        """For as long as this is entered."""
        turn, wanted = self._turns.get(key, (asyncio.Semaphore(self._most), 0))
        self._turns[key] = turn, wanted + 1
        try:
            async with turn:
                yield
        finally:
            turn, wanted = self._turns[key]
            if wanted == 1:
                del self._turns[key]
            else:
                self._turns[key] = turn, wanted - 1

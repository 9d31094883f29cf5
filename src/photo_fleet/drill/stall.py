"""How late the drill itself is: what its own event loop holds up looks to its clients as if the
fleet were slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from photo_base.tasks import cancel

LOOK = 0.02


class Stall:
    """`longest` is the most, in seconds, that something was done later than it was due."""

    def __init__(self) -> None:
        self.longest = 0.0

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """While this is open."""
        task = asyncio.create_task(self._measure())
        try:
            yield
        finally:
            await cancel(task)

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK
            await asyncio.sleep(LOOK)
            self.longest = max(self.longest, loop.time() - due)

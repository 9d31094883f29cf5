"""What every fault needs: the stage, the drill's clock, and the words for what it did."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from photo_fleet.drill.clients.load import Load
from photo_fleet.drill.faults.outside import Surroundings
from photo_fleet.drill.stage.stage import Stage

LOOK = 0.05
LONGEST_WAIT = 90.0


class Scene(Surroundings):
    """A stage under `load`. `now` is the ledger's clock; `chance` decides which part a fault
    hits."""

    def __init__(
        self,
        stage: Stage,
        now: Callable[[], float],
        chance: random.Random | None = None,
        load: Load | None = None,
    ) -> None:
        super().__init__(stage.url, now, chance or random.Random())
        self.stage = stage
        self._load = load

    @property
    def load(self) -> Load:
        """Raises `LookupError` where there is none."""
        if self._load is None:
            raise LookupError("nobody uses this stage")
        return self._load

    def victim(self) -> dict[str, Any]:
        """One that serves. Raises `LookupError` when nobody does."""
        serving = self.stage.serving()
        if not serving:
            raise LookupError("no instance serves")
        return self.chance.choice(serving)

    async def until(
        self, reached: Callable[[], bool | Awaitable[object]], seconds: float = LONGEST_WAIT
    ) -> None:
        """Look, or ask, again and again. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while True:
                found = reached()
                if await found if isinstance(found, Awaitable) else found:
                    return
                await asyncio.sleep(LOOK)

    async def out(self, boot_id: str) -> float:
        """When the balancer had let go of this boot, on the drill's clock."""
        await self.until(lambda: not self._is_member(boot_id))
        return self.now()

    def _is_member(self, boot_id: str) -> bool:
        return any(item["boot_id"] == boot_id and item["member"] for item in self.stage.instances())

"""The leader: the one process that does something for the whole fleet, while it holds a lease.

Every process that could tries for the lease. When its holder is silent for the lease's time another
takes over; a holder that drains lets go of it at once.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from photo_api.db.pool import Database
from photo_api.registry import leases
from photo_api.registry.leases import Lease
from photo_api.telemetry.failures import bug
from photo_base.postgres import reason
from photo_base.tasks import first

log = logging.getLogger(__name__)

RELEASE_TIME_BOX = 2.0


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """Work that begins again `seconds` after it ended, also after it failed."""

    seconds: float
    work: Callable[[Lease], Awaitable[object]]


class Leader:
    """Runs tasks while it holds the lease `name`, as `holder`; lost after `seconds` of silence."""

    def __init__(self, db: Database, name: str, holder: str, seconds: float) -> None:
        self._db = db
        self._name = name
        self._holder = holder
        self._seconds = seconds

    async def run(self, tasks: Sequence[PeriodicTask]) -> None:
        """Until cancelled: then the lease is let go, so that another takes over at once."""
        while True:
            lease = await self._acquire()
            if lease is not None:
                fields = {"lease": lease.name, "fence": lease.token}
                log.info("holds the lease", extra={"fields": fields})
                try:
                    await self._while_held(lease, tasks)
                finally:
                    await self._release(lease)
                log.info("lost the lease", extra={"fields": fields})
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        return self._seconds / 3 * random.uniform(0.8, 1.2)

    async def _acquire(self) -> Lease | None:
        try:
            return await leases.acquire(self._db, self._name, self._holder, self._seconds)
        except Exception as error:
            _warn("cannot ask for the lease", error)
            return None

    async def _release(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(RELEASE_TIME_BOX):
                await leases.release(self._db, lease)
        except Exception as error:  # it runs out by itself
            _warn("cannot let go of the lease", error)

    async def _while_held(self, lease: Lease, periodic: Sequence[PeriodicTask]) -> None:
        working = (self._regularly(task, lease) for task in periodic)
        for ended in await first(self._renew(lease), *working):
            ended.result()

    async def _renew(self, lease: Lease) -> None:
        """Returns when the lease is lost. A database that does not answer is no proof of that."""
        while True:
            await asyncio.sleep(self._pause())
            try:
                if not await leases.renew(self._db, lease, self._seconds):
                    return
            except Exception as error:
                _warn("cannot renew the lease", error)

    async def _regularly(self, task: PeriodicTask, lease: Lease) -> None:
        while True:
            try:
                await task.work(lease)
            except Exception as error:  # the next round tries again
                _warn(f"{self._name} failed", error)
            await asyncio.sleep(task.seconds * random.uniform(0.8, 1.2))


def _warn(message: str, error: Exception) -> None:
    log.warning("%s: %s", message, reason(error), exc_info=bug(error))

"""What one instance does for the whole fleet: the sweep, pruning and statistics.

Every job process tries for the lease. When its holder is silent for the lease's time another takes
over; a holder that drains lets go of it at once.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from photo_api.accounts import queries as accounts
from photo_api.accounts.throttle import prune_attempts
from photo_api.db.connect import reason
from photo_api.db.pool import Database
from photo_api.http.idempotency import prune_keys
from photo_api.http.repeated_deletes import prune_deletions
from photo_api.jobs import statistics
from photo_api.jobs.queue import prune_dead
from photo_api.photos.late_uploads import leave_to_sweep, staged_for
from photo_api.photos.sweep import sweep
from photo_api.registry import leases
from photo_api.registry import queries as registry
from photo_api.registry.leases import Lease
from photo_api.settings.serving import UploadSettings
from photo_api.storage.base import ObjectStore
from photo_api.telemetry.failures import bug

log = logging.getLogger(__name__)

LEASE = "maintenance"
SHORTEST_LEASE, LONGEST_LEASE = 3.0, 60.0
STATISTICS_EVERY = 60.0
LISTING_EVERY = 3600.0
FOLDS_AT_ONCE = 500
MOST_TOLD = 100
RELEASE_TIME_BOX = 2.0


@dataclass(slots=True)
class Folding:
    """How far the filling in of folds has come, and users who collide: found on the way, and told
    of at the end of the last."""

    last: int | None = None
    found: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)


class Maintenance:
    """Rounds every `interval` seconds while this process holds the lease, as `holder`."""

    def __init__(
        self,
        db: Database,
        store: ObjectStore,
        interval: float,
        uploads: UploadSettings,
        holder: str,
    ) -> None:
        self._db = db
        self._store = store
        self._interval = interval
        self._uploads = uploads
        self._holder = holder
        self._folding = Folding()
        self._seconds = min(max(3 * interval, SHORTEST_LEASE), LONGEST_LEASE)

    async def run(self) -> None:
        """Until cancelled: then the lease is let go, so that another takes over at once."""
        while True:
            lease = await self._acquire()
            if lease is not None:
                fields = {"lease": lease.name, "token": lease.token}
                log.info("holds the lease", extra={"fields": fields})
                try:
                    await self._while_held(lease)
                finally:
                    await self._release(lease)
                log.info("lost the lease", extra={"fields": fields})
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        return self._seconds / 3 * random.uniform(0.8, 1.2)

    async def _acquire(self) -> Lease | None:
        try:
            return await leases.acquire(self._db, LEASE, self._holder, self._seconds)
        except Exception as error:
            _warn("cannot ask for the lease", error)
            return None

    async def _release(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(RELEASE_TIME_BOX):
                await leases.release(self._db, lease)
        except Exception as error:  # it runs out by itself
            _warn("cannot let go of the lease", error)

    async def _while_held(self, lease: Lease) -> None:
        tasks = [
            asyncio.create_task(self._renew(lease)),
            asyncio.create_task(self._regularly(self._interval, self._clear_away, lease)),
            asyncio.create_task(self._regularly(STATISTICS_EVERY, self._count, lease)),
            asyncio.create_task(self._regularly(LISTING_EVERY, self._list_staging, lease)),
        ]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self, lease: Lease) -> None:
        """Returns when the lease is lost. A database that does not answer is no proof of that."""
        while True:
            await asyncio.sleep(self._pause())
            try:
                if not await leases.renew(self._db, lease, self._seconds):
                    return
            except Exception as error:
                _warn("cannot renew the lease", error)

    async def _regularly(
        self, seconds: float, work: Callable[[Lease], Awaitable[object]], lease: Lease
    ) -> None:
        while True:
            try:
                await work(lease)
            except Exception as error:  # the next round tries again
                _warn("maintenance failed", error)
            await asyncio.sleep(seconds * random.uniform(0.8, 1.2))

    async def _clear_away(self, lease: Lease) -> None:
        await prune(self._db, lease)
        await self._fill_folds(lease)
        await sweep(self._db, self._store, self._uploads.longest_put, lease)

    async def _list_staging(self, lease: Lease) -> None:
        await leave_to_sweep(self._db, self._store, staged_for(self._uploads), lease)

    async def _fill_folds(self, lease: Lease) -> None:
        """A step on, so that those who collide keep nobody behind them waiting; then from the
        first on again, since one of two that collide may be gone."""
        known = self._folding
        collide, known.last = await accounts.fill_folds(
            self._db, lease, known.last or 0, FOLDS_AT_ONCE
        )
        known.found = [*known.found, *collide][:MOST_TOLD]
        if known.last is None:
            if known.found not in ([], known.told):
                text = (
                    "e-mails of several accounts differ in spelling only; each logs in with its own"
                )
                log.warning(text, extra={"fields": {"user_ids": known.found}})
            known.found, known.told = [], known.found

    async def _count(self, lease: Lease) -> None:
        await statistics.count(self._db, lease)


async def prune(db: Database, lease: Lease) -> None:
    """Forget records whose time is over."""
    await prune_keys(db, lease)
    await prune_deletions(db, lease)
    await prune_attempts(db, lease)
    await accounts.prune(db, lease)
    await prune_dead(db, lease)
    await registry.prune(db, lease)


def _warn(message: str, error: Exception) -> None:
    log.warning("%s: %s", message, reason(error), exc_info=bug(error))

"""What one job process at a time does for the whole fleet: the sweep, pruning and statistics."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from photo_api.accounts import queries as accounts
from photo_api.accounts.closing import enqueue_deletions
from photo_api.accounts.links import prune_links
from photo_api.accounts.throttle import prune_attempts
from photo_api.db.pool import Database
from photo_api.http.composed_names import compose_names
from photo_api.http.idempotency import prune_keys
from photo_api.http.repeated_deletes import prune_deletions
from photo_api.jobs import statistics
from photo_api.jobs.queue import Turns, prune_dead, pull_back
from photo_api.photos.late_uploads import leave_to_sweep, staged_for
from photo_api.photos.remaking import enqueue_displays
from photo_api.photos.sweep import sweep
from photo_api.photos.trash import purge_all_due
from photo_api.registry import cdn_paths, receipts
from photo_api.registry import queries as registry
from photo_api.registry.cdn_watch import CdnWatch
from photo_api.registry.leader import Leader, PeriodicTask
from photo_api.registry.leases import Lease
from photo_api.renditions.rereading import enqueue_unread
from photo_api.settings.serving import UploadSettings
from photo_api.storage.base import ObjectStore
from photo_api.telemetry.pushgateway import PushFailed, Pushgateway, PushRefused, scraped_at
from photo_api.timeline.queries import add_up

log = logging.getLogger(__name__)

LEASE = "maintenance"
SHORTEST_LEASE, LONGEST_LEASE = 3.0, 60.0
STATISTICS_EVERY = 60.0
WAITING_EVERY = 10.0
GROUPS_EVERY, LONGEST_GROUP_PAUSE = 10.0, 3600.0
LISTING_EVERY = 3600.0
REREADING_EVERY = 10.0
FOLDS_AT_ONCE = 500
NAMES_AT_ONCE = 2000
MOST_TOLD = 100


@dataclass(slots=True)
class Folding:
    """How far the filling in of folds has come, and users whose e-mails collide: those found in
    this round, and those logged at the end of the last."""

    last: int | None = None
    found: list[int] = field(default_factory=list)
    told: list[int] = field(default_factory=list)


class GroupSweep:
    """Deletes what gone instances have pushed, and again after a while, ever more seldom: one that
    lives though the registry calls it lost pushes on, and may be killed afterwards."""

    def __init__(self, gateway: Pushgateway, clock: Callable[[], float] = time.monotonic) -> None:
        self._gateway = gateway
        self._clock = clock
        self._next: dict[tuple[Any, Any], tuple[float, float]] = {}
        self._failing = False

    async def remove(self, db: Database) -> None:
        """What fails is told once, and is for a later round."""
        found = await registry.gone(db)
        known = {(row["boot_id"], row["changed_at"]): row for row in found}
        self._next = {gone: when for gone, when in self._next.items() if gone in known}
        failure: PushFailed | None = None
        for gone, row in known.items():
            due, pause = self._next.get(gone, (0.0, GROUPS_EVERY))
            if self._clock() < due:
                continue
            try:
                await self._gateway.delete(scraped_at(row["instance"], row["port"]))
            except PushRefused as error:  # this one, and perhaps no other
                failure = error
            except PushFailed as error:
                failure = error
                break
            self._next[gone] = self._clock() + pause, min(2 * pause, LONGEST_GROUP_PAUSE)
        self._tell(failure)

    def _tell(self, failure: PushFailed | None) -> None:
        if failure and not self._failing:
            log.warning("pushed metrics of gone instances cannot be deleted: %s", failure)
        elif self._failing and not failure:
            log.info("pushed metrics of gone instances are deleted again")
        self._failing = failure is not None


class Maintenance:
    """Rounds every `interval` seconds while this process holds the lease, as `holder`."""

    def __init__(
        self,
        db: Database,
        store: ObjectStore,
        interval: float,
        uploads: UploadSettings,
        holder: str,
        gateway: Pushgateway | None = None,
        cdn: CdnWatch | None = None,
    ) -> None:
        self._cdn = cdn
        self._groups = GroupSweep(gateway) if gateway else None
        self._db = db
        self._store = store
        self._uploads = uploads
        self._folding = Folding()
        self._turns = Turns()
        self._interval = interval
        silence = min(max(3 * interval, SHORTEST_LEASE), LONGEST_LEASE)
        self._leader = Leader(db, LEASE, holder, silence)

    async def run(self) -> None:
        """Until cancelled. What fails or takes long in the tables keeps nothing from the sweep."""
        tasks = [
            PeriodicTask(self._interval, self._sweep),
            PeriodicTask(self._interval, self._look_after_tables),
            PeriodicTask(self._interval, self._compose_names),
            PeriodicTask(STATISTICS_EVERY, lambda lease: statistics.count(self._db, lease)),
            PeriodicTask(WAITING_EVERY, lambda lease: statistics.count_waiting(self._db, lease)),
            PeriodicTask(WAITING_EVERY, lambda lease: add_up(self._db, lease)),
            PeriodicTask(LISTING_EVERY, self._list_staging),
            PeriodicTask(REREADING_EVERY, lambda lease: enqueue_unread(self._db, lease)),
        ]
        if self._groups is not None:
            work = self._groups.remove
            tasks.append(PeriodicTask(GROUPS_EVERY, lambda _: work(self._db)))
        if self._cdn is not None:
            tasks.append(PeriodicTask(self._cdn.interval, self._cdn.round))
        await self._leader.run(tasks)

    async def _sweep(self, lease: Lease) -> None:
        await purge_all_due(self._db, self._uploads.trash_days, lease)
        await sweep(self._db, self._store, self._uploads.longest_put, lease)

    async def _look_after_tables(self, lease: Lease) -> None:
        """One after the other: the pool has few connections."""
        await prune(self._db, lease)
        await pull_back(self._db, lease)
        await self._turns.look_after(self._db, lease)
        await self._fill_folds(lease)
        await enqueue_displays(self._db, lease)
        await enqueue_deletions(self._db, lease)

    async def _compose_names(self, lease: Lease) -> None:
        await compose_names(self._db, lease, NAMES_AT_ONCE)

    async def _list_staging(self, lease: Lease) -> None:
        await leave_to_sweep(self._db, self._store, staged_for(self._uploads), lease)

    async def _fill_folds(self, lease: Lease) -> None:
        """The next batch, so that collisions do not keep later users waiting; after the last batch
        from the first on again, since one of two that collide may be gone."""
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


async def prune(db: Database, lease: Lease) -> None:
    """Forget records whose time is over."""
    await prune_keys(db, lease)
    await prune_deletions(db, lease)
    await prune_attempts(db, lease)
    await accounts.prune(db, lease)
    await prune_links(db, lease)
    await prune_dead(db, lease)
    await registry.prune(db, lease)
    await receipts.prune(db, lease)
    await cdn_paths.prune(db, lease)

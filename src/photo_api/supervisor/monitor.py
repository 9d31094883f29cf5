"""The supervisor checks what the instance depends on, once a second, however many ask."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence

from photo_api.health.checks import Check, believed, from_line, result_of, to_line
from photo_api.health.probe import DatabaseProbe
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import HEALTH_CHECKS
from photo_api.supervisor.child import Child
from photo_api.supervisor.path_follower import PathFollower
from photo_api.supervisor.slot import Slot

log = logging.getLogger(__name__)

INTERVAL = 1.0
STORAGE_INTERVAL = 10.0


class Monitor:
    """Probes the database itself, has a web worker look at the object store, and tells all workers;
    also by which `path` the fleet delivers. A check whose result changes is a log line, and an
    event by `note(event, cause)`."""

    def __init__(
        self,
        database: DatabaseProbe,
        workers: Sequence[Slot],
        note: Callable[[str, str], None],
        counts: Counts,
        path: PathFollower,
    ) -> None:
        self._counts = counts
        self._path = path
        self._database = database
        self._workers = workers
        self._note = note
        self._checks: dict[str, Check] = {}
        self._storage_asked = -STORAGE_INTERVAL
        self.database_ok = asyncio.Event()
        """Set once a check found the database with every migration of this release."""

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                began = time.monotonic()
                self.take("database", await self._database.check())
                self._ask_for_storage(began)
                await asyncio.sleep(max(0.0, began + INTERVAL - time.monotonic()))
        finally:
            self._database.close()

    def take_event(self, line: str) -> None:
        """Take the result of a check that a worker made, as it sends it."""
        for name, check in from_line(line).items():
            self.take(name, check)

    def take(self, name: str, check: Check) -> None:
        """Keep a result, and send it to the workers."""
        before = self._checks.get(name)
        self._checks[name] = check
        self._counts.add(HEALTH_CHECKS, name, result_of(check))
        if before is None:
            if not check.ok:
                # At the start a dependency that is not there yet is waited for, and no surprise.
                log.info("waiting", extra={"fields": {"check": name, "error": check.error}})
        elif before.ok != check.ok:
            self._changed(name, check, before)
        if name == "database" and check.ok:
            self.database_ok.set()
        for worker in self._workers:
            self.tell(worker)

    def check(self, name: str) -> Check:
        """The last result for a dependency."""
        return believed(name, self._checks.get(name))

    def tell(self, worker: Slot | Child) -> None:
        """Send a worker all results, and the path."""
        worker.send(f"checks {to_line(self._checks)}")
        if command := self._path.command():
            worker.send(command)

    def _changed(self, name: str, check: Check, before: Check) -> None:
        fields = {"check": name, "ok": check.ok, "error": check.error or before.error}
        level = logging.INFO if check.ok else logging.WARNING
        message = "a check passes again" if check.ok else "a check fails"
        log.log(level, message, extra={"fields": fields})
        verb = "passes" if check.ok else "fails"
        self._note(f"check_{verb}", f"{name}: {check.error or f'after {before.error}'}")

    def _ask_for_storage(self, now: float) -> None:
        ready = [worker for worker in self._workers if worker.ready.is_set()]
        if ready and now - self._storage_asked >= STORAGE_INTERVAL:
            self._storage_asked = now
            # Any of them: one that hangs keeps the answer away only when it is its turn.
            random.choice(ready).send("look-at-storage")

"""Runs jobs: leases them, keeps the leases alive, and decides between retry and dead letter."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import asyncpg

from photo_api.db.connect import connect, moved
from photo_api.db.pool import Database, DatabaseUnavailable
from photo_api.jobs import queue
from photo_api.jobs.passed import Passed
from photo_api.jobs.queue import Job
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import JOB_DURATION
from photo_api.settings.secrets import LiveSettings
from photo_api.settings.serving import JobSettings
from photo_api.storage.base import ObjectMissing, ObjectStore, StoreDown, StoreUnavailable
from photo_api.storage.guarded import WRITE_PROBE
from photo_api.telemetry.failures import bug
from photo_api.tracing import Tracer, begin
from photo_base.postgres import FAILURES, is_cut, is_refusal, reason
from photo_base.tasks import cancel, first

log = logging.getLogger(__name__)

POLL = 2.0
"""Seconds between looks without a notification: for retries that fall due and lost leases."""

OTHERS_TURN = 4
"""Every so many leases display renditions have their turn though thumbnails wait: people see the
preview meanwhile, but not for as long as somebody's import takes."""

LAST_ASK = 1.0
"""Seconds that a lease which is asked for at the end has to come, to be handed back."""

OUTAGE_PAUSE = (1.0, 2.0)
"""Seconds for which a job and its worker rest when a dependency is down."""


class Postponed(Exception):
    """This instance cannot do any such job for now; the job is not at fault."""


CERTAIN_OUTAGES = (
    Postponed,
    StoreDown,
    DatabaseUnavailable,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientResourcesError,  # a full disk among them
)
LONGEST_UNTOLD = 3600.0
"""Seconds for which it is tried to record in a database without writes that a job did not fail."""


class LeaseLost(Exception):
    """Somebody else has the job by now; what was done is dropped."""


@asynccontextmanager
async def finishing(db: Database, job: Job) -> AsyncIterator[Any]:
    """A connection in the transaction that writes a job's result and takes the job out. Raises
    `LeaseLost`."""
    async with db.transaction() as connection:
        if not await queue.finish(connection, job):
            raise LeaseLost
        yield connection


async def finish(db: Database, job: Job) -> None:
    """Take out a job that has nothing to write, in one round trip. Raises `LeaseLost`."""
    if not await queue.finish(db, job):
        raise LeaseLost


class Handler(Protocol):
    """Does jobs of one kind."""

    async def run(self, job: Job) -> str | None:
        """Do the job and end it by `finishing` or `finish`; a word for how it ended if not done.
        Raises `LeaseLost` when they do, `Postponed` when it cannot be done now; any other exception
        is a failure, unless store or database are down."""

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        """Record what a dead job means for its subject, in the transaction that buries it. `cause`
        is a word that everybody may read; the job itself keeps the whole error."""


class Runner:
    """Runs up to `concurrency` jobs at once until told to stop."""

    def __init__(
        self,
        db: Database,
        store: ObjectStore,
        handlers: Mapping[str, Handler],
        settings: JobSettings,
        worker: str,
        counts: Counts,
        tracer: Tracer,
    ) -> None:
        self._counts = counts
        self._tracer = tracer
        self._db = db
        self._store = store
        self._handlers = handlers
        self._settings = settings
        self._worker = worker
        self._wake = asyncio.Event()
        self._leases = 0
        self._passed = Passed()
        self._asking = asyncio.Lock()
        self._free = 0
        """Those of the `concurrency` that have nothing to do, and ask or wait to."""
        self._leased: list[Job] = []
        """For those that wait."""
        self._ask: asyncio.Future[None] | None = None
        self._lost = False
        """Whether there may be leases of ours that nobody has told us of."""
        self._at_work: set[int] = set()
        self._given_back: dict[int, str] = {}
        """Jobs at work that are free for others already, and the word for how."""

    async def run(self, live: LiveSettings) -> None:
        """Until cancelled: then jobs at work are handed back, so that another worker runs them at
        once."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(live))
                for _ in range(self._settings.concurrency):
                    tasks.create_task(self._work())
        finally:
            if self._ask is not None:  # a lease that is cut is committed all the same
                await first(self._ask, timeout=LAST_ASK)
            await asyncio.gather(*map(self._hand_back, self._leased))

    async def _listen(self, live: LiveSettings) -> None:
        while True:
            database = live.now.database
            try:
                connection = await connect(database, "photo-api listen", timeout=5, session=True)
                closed = asyncio.Event()
                connection.add_termination_listener(lambda *_: closed.set())  # noqa: B023
                await connection.add_listener(queue.CHANNEL, lambda *_: self._wake.set())
                try:
                    while not closed.is_set() and not moved(database, live.now.database):
                        with suppress(TimeoutError):
                            await asyncio.wait_for(closed.wait(), POLL)
                finally:
                    connection.terminate()
            except FAILURES as error:
                if is_refusal(error):
                    live.refused("database")
                _warn("not listening for jobs", error)
            await asyncio.sleep(1 + random.random())

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            try:
                job = await self._next()
            except Exception as error:
                _warn("cannot look for jobs", error)
                await asyncio.sleep(1)
                job = None
            if job is not None:
                self._at_work.add(job.id)
                try:
                    await self._run(job)
                finally:
                    self._at_work.discard(job.id)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), POLL * random.uniform(0.75, 1.25))

    async def _next(self) -> Job | None:
        """One asks at a time, for all that wait meanwhile: a statement that leases four jobs costs
        the database little more than one that leases one."""
        self._free += 1
        try:
            await asyncio.sleep(0)  # others may end in this very moment, and want one too
            async with self._asking:
                if not self._leased:
                    self._ask = asyncio.ensure_future(self._lease(self._free))
                    await asyncio.shield(self._ask)
                return self._leased.pop(0) if self._leased else None
        finally:
            self._free -= 1

    async def _lease(self, most: int) -> None:
        if self._lost:
            await queue.hand_back_lost(self._db, self._worker, list(self._at_work))
        self._leases += 1
        self._lost = True
        self._leased = await queue.lease(
            self._db,
            self._worker,
            self._settings.lease,
            list(self._handlers),
            most=most,
            thumbnails_first=self._leases % OTHERS_TURN != 0,
            passed=self._passed,
        )
        self._lost = False

    async def _run(self, job: Job) -> None:
        began, result = time.monotonic(), "failed"
        if (trace := self._tracer.of_job(job.traceparent)) is not None:
            begin(trace)
        try:
            result = await self._carry_out(job)
        except asyncio.CancelledError:
            result = self._given_back.get(job.id, "kept")
            raise
        finally:
            self._given_back.pop(job.id, None)
            seconds = time.monotonic() - began
            self._counts.observe(JOB_DURATION, seconds, job.kind, result)
            if trace is not None:
                self._tracer.end_job(trace, job.kind, result, job.id, seconds)

    async def _carry_out(self, job: Job) -> str:
        """Run the job; a word for how it ended."""
        fields = _fields(job)
        if job.failures >= self._settings.max_attempts:
            # Its worker died each time and could not say so itself.
            await self._fail(job, "its worker died every time", "worker_died")
            return "failed"
        try:
            word = await self._with_lease(job)
            log.info("job done", extra={"fields": fields})
            return word or "done"
        except LeaseLost:
            log.warning("job was taken over; result dropped", extra={"fields": fields})
            return "taken_over"
        except asyncio.CancelledError:
            await asyncio.shield(self._hand_back(job))
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"[:500]
            if await self._is_outage(error):
                log.warning("job postponed: %s", reason, extra={"fields": fields})
                await self._postpone(job, reason)
                return "postponed"
            shown = None if isinstance(error, ObjectMissing) else bug(error)
            log.warning("job failed: %s", reason, exc_info=shown, extra={"fields": fields})
            await self._fail(job, reason, type(error).__name__)
            return "failed"

    async def _hand_back(self, job: Job) -> None:
        try:
            await queue.hand_back(self._db, job)
            self._given_back[job.id] = "handed_back"
            log.info("job handed back", extra={"fields": _fields(job)})
        except Exception as error:  # its lease runs out
            _warn("cannot hand a job back", error)

    async def _is_outage(self, error: Exception) -> bool:
        """Whether everything fails now, and not only this job: a store that answers a ping and
        takes another object, but not this one, may never take it. A ping alone is a read."""
        if isinstance(error, CERTAIN_OUTAGES) or is_cut(error):
            return True
        try:
            if isinstance(error, StoreUnavailable):
                await self._store.ping()
                await self._store.put_bytes(WRITE_PROBE, b"", content_type="text/plain")
                await self._store.delete([WRITE_PROBE])
            elif isinstance(error, FAILURES):
                await queue.prove_writable(self._db)
        except (StoreUnavailable, DatabaseUnavailable, *FAILURES):
            return True
        return False

    async def _postpone(self, job: Job, reason: str) -> None:
        """Give the job back when the database can be reached, also after the lease is over, whose
        end would count as a failure; then rest, so that not every job of a long queue is tried in
        vain. Nobody leases anything from a database that takes no writes."""
        pause = random.uniform(*OUTAGE_PAUSE)
        over = time.monotonic() + max(LONGEST_UNTOLD, self._settings.lease)
        while time.monotonic() < over:
            try:
                await queue.postpone(self._db, job, pause, reason)
                self._given_back[job.id] = "postponed"
                break
            except Exception as error:
                _warn("cannot hand a job back", error)
                await asyncio.sleep(1)
        await asyncio.sleep(pause)

    async def _with_lease(self, job: Job) -> str | None:
        """Run the handler while renewing; a lease that is lost cancels the handler."""
        work = asyncio.ensure_future(self._handlers[job.kind].run(job))
        try:
            while not await first(work, timeout=self._settings.lease / 3):
                ended = await first(work, self._renew(job))
                ended[0].result()
            word: str | None = work.result()
            return word
        finally:
            if not work.done():
                await cancel(work)

    async def _renew(self, job: Job) -> None:
        """Raises `LeaseLost` when it is. A database that does not answer is no proof of that."""
        try:
            held = await queue.renew(self._db, job, self._settings.lease)
        except Exception as error:
            _warn("cannot renew a lease", error)
        else:
            if not held:
                raise LeaseLost

    async def _fail(self, job: Job, reason: str, cause: str) -> None:
        try:
            if job.failures + 1 < self._settings.max_attempts:
                await queue.retry_later(self._db, job, reason)
                return
            async with self._db.transaction() as connection:
                if await queue.bury(connection, job, reason):
                    await self._handlers[job.kind].give_up(connection, job, cause)
        except Exception as error:  # its lease runs out, and somebody tries again
            _warn("cannot record a failure", error)


def _fields(job: Job) -> dict[str, object]:
    return {"job": job.id, "kind": job.kind, "subject": job.subject_id, "try": job.attempt}


def _warn(message: str, error: Exception) -> None:
    log.warning("%s: %s", message, reason(error), exc_info=bug(error))

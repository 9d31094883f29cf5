"""How fast jobs are leased and finished, against a bare SKIP LOCKED loop on the same table; and how
soon one is picked up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter, process_time
from typing import Any

import psutil

from bench.compare import Side, in_turns, progress, throughput_row
from bench.context import Bench, Effort
from bench.limit import raw_pool
from bench.load import Load, LoadFailed
from bench.processes import Processes
from bench.report import Goal, Row
from photo_api.db.pool import Database, open_database
from photo_api.jobs.queue import Job, enqueuing
from photo_api.jobs.runner import Runner, finish
from photo_api.metrics.counts import Counts
from photo_api.settings.secrets import LiveSettings
from photo_api.tracing import Tracer
from photo_base.tasks import cancel

JOBS = Goal(0.5)
PICK_UP = Goal(10, at_most=True)
LOOPS = 4
LEASE_SECONDS = 60.0
PATIENCE = 60.0
OF_A_BATCH = 50
"""Jobs on either side in one stretch, times the batch."""
PICKED_UP = 8
"""Jobs that are enqueued one by one, times the rounds."""
BETWEEN = 0.03

# Of many users: photos of one are next to each other by their ids.
FILL = """
INSERT INTO jobs (kind, subject_id)
SELECT 'renditions', id FROM photos WHERE status = 'ready' ORDER BY md5(id::text) LIMIT $1
"""

ENQUEUE = f"""
WITH chosen AS (SELECT id FROM photos WHERE status = 'ready' LIMIT 1),
{enqueuing("renditions", "chosen")} SELECT count(*) FROM job
"""

RAW_LEASE = """
UPDATE jobs SET state = 'leased', attempt = attempt + 1, worker = $1,
    available_at = now() + make_interval(secs => $2)
WHERE id = (SELECT id FROM jobs WHERE state <> 'dead' AND available_at <= now()
    ORDER BY available_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""


class Idle:
    """Handles jobs by ending them: `ended` tells when each began and when it had ended."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.ended: asyncio.Queue[tuple[float, float]] = asyncio.Queue()

    async def run(self, job: Job) -> str | None:
        began = perf_counter()
        await finish(self._db, job)
        self.ended.put_nowait((began, perf_counter()))
        return None

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        raise LoadFailed(f"a job that does nothing failed: {cause}")


@dataclass(frozen=True, slots=True)
class Costs:
    """Processor time of this process, which runs the jobs of either side, and of PostgreSQL."""

    database: Processes

    def cpu(self) -> float:
        """Seconds so far."""
        return process_time() + self.database.cpu()


async def job_rows(bench: Bench, effort: Effort) -> list[Row]:
    """Jobs that do nothing, of many users, leased and finished by a runner that does four at once,
    and by four bare loops. Then the time from an enqueuing to a runner that has nothing to do."""
    number = OF_A_BATCH * effort.batch
    settings = bench.ground.settings.database
    async with raw_pool(settings) as pool, open_database(settings, "bench jobs", LOOPS) as db:
        costs = Costs(Processes([await _postmaster(pool)]))

        async def fill() -> None:
            await pool.execute("DELETE FROM jobs")
            await pool.execute(FILL, number)
            await pool.execute("ANALYZE jobs")

        async def ours() -> Load:
            async with _runner(bench, db) as handled:
                return await _all(handled, number)

        sides = [Side(work, costs, fill) for work in (ours, lambda: _emptied(pool))]
        rounds = await in_turns("jobs", sides, effort.rounds)
        await pool.execute("DELETE FROM jobs")
        progress("jobs: picking up")
        async with _runner(bench, db) as handled:
            waits = [await _picked_up(pool, handled) for _ in range(PICKED_UP * effort.rounds)]
    spread = min(waits), max(waits)
    return [
        throughput_row("jobs", "jobs/s", rounds, JOBS),
        Row("job pick-up", "p50 ms", median(waits), spread=spread, goal=PICK_UP),
    ]


async def _postmaster(pool: Any) -> int:
    backend: int = await pool.fetchval("SELECT pg_backend_pid()")
    return psutil.Process(backend).ppid()


@asynccontextmanager
async def _runner(bench: Bench, db: Database) -> AsyncIterator[Idle]:
    settings, counts, handler = bench.ground.settings, Counts(), Idle(db)
    runner = Runner(
        db,
        bench.ground.store,
        {"renditions": handler},
        replace(settings.jobs, concurrency=LOOPS, lease=LEASE_SECONDS),
        "bench",
        counts,
        Tracer(settings.logs, counts, None),
    )
    running = asyncio.create_task(runner.run(LiveSettings(settings)))
    try:
        yield handler
    finally:
        await cancel(running)


async def _all(handled: Idle, number: int) -> Load:
    began, latencies = perf_counter(), []
    async with asyncio.timeout(PATIENCE):
        for _ in range(number):
            started, ended = await handled.ended.get()
            latencies.append(ended - started)
    return Load(number, ended - began, latencies)


async def _picked_up(pool: Any, handled: Idle) -> float:
    """Milliseconds from the enqueuing to the handler."""
    await asyncio.sleep(BETWEEN)
    began = perf_counter()
    await pool.execute(ENQUEUE)
    async with asyncio.timeout(PATIENCE):
        started, _ = await handled.ended.get()
    return (started - began) * 1000


async def _emptied(pool: Any) -> Load:
    latencies: list[float] = []

    async def loop() -> None:
        while True:
            began = perf_counter()
            if not await _raw(pool):
                return
            latencies.append(perf_counter() - began)

    started = perf_counter()
    async with asyncio.TaskGroup() as loops:
        for _ in range(LOOPS):
            loops.create_task(loop())
    return Load(len(latencies), perf_counter() - started, latencies)


async def _raw(pool: Any) -> bool:
    """Lease a job and finish it; whether there was one."""
    job_id = await pool.fetchval(RAW_LEASE, "bench", LEASE_SECONDS)
    if job_id is None:
        return False
    await pool.execute("DELETE FROM jobs WHERE id = $1", job_id)
    return True

"""How fast jobs can be leased and finished, against a bare SKIP LOCKED loop on the same table."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

from bench.compare import Side, in_turns, throughput_row
from bench.context import Bench, Effort
from bench.limit import raw_pool
from bench.load import Load
from bench.report import Goal, Row
from photo_api.jobs import queue

JOBS = Goal(0.5)
LOOPS = 4
LEASE_SECONDS = 60.0
OF_A_BATCH = 50
"""Jobs on either side in one stretch, times the batch."""

FILL = """
INSERT INTO jobs (kind, subject_id)
SELECT 'renditions', id FROM photos WHERE status = 'ready' ORDER BY object_key LIMIT $1
"""

RAW_LEASE = """
UPDATE jobs SET state = 'leased', attempt = attempt + 1, worker = $1,
    available_at = now() + make_interval(secs => $2)
WHERE id = (SELECT id FROM jobs WHERE state <> 'dead' AND available_at <= now()
    ORDER BY available_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""

One = Callable[[Any], Awaitable[bool]]
"""Lease a job and finish it; whether there was one."""


async def job_row(bench: Bench, effort: Effort) -> list[Row]:
    """Jobs that do nothing, of many users, leased and finished one by one by four loops."""
    number = OF_A_BATCH * effort.batch
    async with raw_pool(bench.ground.settings.database) as pool:

        async def fill() -> None:
            await pool.execute("DELETE FROM jobs")
            await pool.execute(FILL, number)
            await pool.execute("ANALYZE jobs")

        def side(one: One) -> Side:
            return Side(lambda: _emptied(pool, one), prepare=fill)

        rounds = await in_turns("jobs", [side(_ours), side(_raw)], effort.rounds)
        await pool.execute("DELETE FROM jobs")
    return [throughput_row("jobs", "jobs/s", rounds, JOBS)]


async def _emptied(pool: Any, one: One) -> Load:
    latencies: list[float] = []

    async def loop() -> None:
        while True:
            began = perf_counter()
            if not await one(pool):
                return
            latencies.append(perf_counter() - began)

    started = perf_counter()
    async with asyncio.TaskGroup() as loops:
        for _ in range(LOOPS):
            loops.create_task(loop())
    return Load(len(latencies), perf_counter() - started, latencies)


async def _ours(pool: Any) -> bool:
    job = await queue.lease(pool, "bench", LEASE_SECONDS, ["renditions"])
    return job is not None and await queue.finish(pool, job)


async def _raw(pool: Any) -> bool:
    job_id = await pool.fetchval(RAW_LEASE, "bench", LEASE_SECONDS)
    if job_id is None:
        return False
    await pool.execute("DELETE FROM jobs WHERE id = $1", job_id)
    return True

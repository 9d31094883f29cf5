"""How long the service takes to start, and what memory a worker takes."""

import asyncio
import itertools
from collections.abc import Iterator
from statistics import median

from bench.compare import progress
from bench.context import Bench, Effort, Ground
from bench.load import Load, drive
from bench.processes import Server
from bench.reads import WHOLE, reads
from bench.report import Goal, Row
from bench.rows import CONNECTIONS, LOGINS_AT_ONCE

START = Goal(1.35, at_most=True)
DRAIN = Goal(0.3, at_most=True)
MEMORY = Goal(130, at_most=True)
GROWTH = Goal(1.05, at_most=True)
UPLOADS_AT_ONCE = 16
SETTLING = 2.0
READS_IN_A_LOAD = 100
"""How many requests of each read a load has, times the batch."""


async def start_rows(ground: Ground, effort: Effort) -> list[Row]:
    """From the exec of `photo-api serve` to its first 200, against the import of FastAPI, asyncpg
    and uvicorn by a Python of their own. The first of each only warms the disk cache."""
    pairs = []
    for number in range(effort.starts + 1):
        progress(f"start: {number} of {effort.starts}")
        start = await ground.launcher.start_seconds()
        pairs.append((start, await ground.launcher.import_seconds()))
    del pairs[0]
    ratios = [start / imports for start, imports in pairs]
    return [
        Row(
            "start",
            "s",
            median(start for start, _ in pairs),
            median(imports for _, imports in pairs),
            median(ratios),
            (min(ratios), max(ratios)),
            goal=START,
        )
    ]


async def drain_rows(ground: Ground, effort: Effort) -> list[Row]:
    """From the end of the last request to the exit of `photo-api serve`, while it drains."""
    found = []
    for number in range(effort.starts):
        progress(f"drain: {number + 1} of {effort.starts}")
        found.append(await ground.launcher.exit_seconds())
    return [Row("drain", "s", median(found), spread=(min(found), max(found)), goal=DRAIN)]


async def memory_rows(bench: Bench, effort: Effort) -> list[Row]:
    """The resident memory of a fresh worker, then after a load of every route, then after the same
    load again. On a busy machine a search may take longer than users wait for it."""
    settings = {"DATABASE_FILTER_TIMEOUT": "5"}
    async with bench.ground.launcher.service(settings) as server:
        found = [server.rss()]
        for number in (1, 2):
            progress(f"memory: load {number} of 2")
            await _load(bench, server, effort.batch)
            found.append(server.rss())
    growth = found[2] / found[1]
    return [
        Row("memory after start", "MB", found[0], goal=MEMORY),
        Row("memory after a load", "MB", found[1], goal=MEMORY),
        Row("memory after two", "MB", found[2], found[1], growth, goal=GROWTH),
    ]


async def _load(bench: Bench, server: Server, batch: int) -> None:
    """The same number of requests of each kind, whatever the machine's speed."""
    traffic = bench.traffic

    async def send(requests: Iterator[bytes], status: int, connections: int) -> Load:
        return await drive(server.address, requests, connections=connections, expect=status)

    number = READS_IN_A_LOAD * batch
    for read in reads(bench.world):
        if read.name == WHOLE:
            continue  # as many of the largest answers would take minutes
        requests = itertools.islice(itertools.cycle(read.ours), number)
        await send(requests, read.status, CONNECTIONS)
    await send(itertools.repeat(traffic.presign, number), 200, CONNECTIONS)
    staged = await traffic.stage(4 * batch)
    await send(traffic.confirmations(staged, ours=True), 200, CONNECTIONS)
    await send(itertools.islice(traffic.logins(), 4 * batch), 200, LOGINS_AT_ONCE)
    await send(traffic.uploads(4 * batch, 3), 201, 4)


async def upload_memory_rows(bench: Bench, effort: Effort) -> list[Row]:
    """The resident memory of a fresh worker after 16 uploads at once, over and over, and then after
    16 of the largest: a moment later, when nothing is in flight."""
    rows = []
    async with bench.ground.launcher.service() as server:
        for megabytes, number in ((3, UPLOADS_AT_ONCE * effort.batch // 2), (50, UPLOADS_AT_ONCE)):
            progress(f"memory: {number} uploads of {megabytes} MB")
            forms = bench.traffic.uploads(number, megabytes)
            await drive(server.address, forms, connections=UPLOADS_AT_ONCE, expect=201)
            await asyncio.sleep(SETTLING)
            rows.append(Row(f"memory after {megabytes} MB ×16", "MB", server.rss(), goal=MEMORY))
    return rows

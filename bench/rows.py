"""The rows that compare the running service with its limit."""

import asyncio
import itertools
from statistics import median

from bench.compare import Side, in_turns, latency_row, throughput_row
from bench.context import Bench, Effort
from bench.load import Address, Load, drive
from bench.processes import Server
from bench.reads import reads
from bench.report import Goal, Row

CONNECTIONS = 16
LOGINS_AT_ONCE = 4
LISTS = Goal(0.6)
ONE_ROW = Goal(0.4)
UPLOADS = Goal(0.5)
MARGIN = 0.3
"""Seconds for which logins run before and after what is measured beside them."""


async def read_row(bench: Bench, effort: Effort, name: str) -> list[Row]:
    """A route that reads."""
    read = next(read for read in reads(bench.world) if read.name == name)
    pairs = await in_turns(
        name,
        busy(bench.service, read.ours, effort, read.status),
        busy(bench.limit, read.limits, effort, read.status),
        effort.rounds,
    )
    return [throughput_row(name, "req/s", pairs, ONE_ROW if read.status == 302 else LISTS)]


async def presign_row(bench: Bench, effort: Effort) -> list[Row]:
    """Beginning an upload: one statement that writes; the PUT is on neither side."""

    pairs = await in_turns(
        "presign",
        busy(bench.service, [bench.traffic.presign], effort, 200),
        busy(bench.limit, [bench.traffic.limit_presign], effort, 200),
        effort.rounds,
    )
    return [throughput_row("presign", "req/s", pairs, ONE_ROW)]


async def confirm_row(bench: Bench, effort: Effort) -> list[Row]:
    """Finishing uploads of 100 kB that were PUT before: three statements, a copy inside the store
    and a read of the copy's head on either side."""

    def side(ours: bool) -> Side:
        server = bench.service if ours else bench.limit
        staged: list[int] = []

        async def stage() -> None:
            staged[:] = await bench.traffic.stage(effort.batch * 4)

        async def confirm() -> Load:
            requests = bench.traffic.confirmations(staged, ours=ours)
            return await drive(server.address, requests, connections=CONNECTIONS, expect=200)

        return Side(confirm, server, stage)

    pairs = await in_turns("confirm", side(True), side(False), effort.rounds)
    return [throughput_row("confirm", "req/s", pairs, None)]


async def login_row(bench: Bench, effort: Effort) -> list[Row]:
    """The photo list with four logins running at full tilt, against the same list without."""
    read = reads(bench.world)[0]
    logins: list[float] = []

    alone = busy(bench.service, read.ours, effort, 200)

    async def list_beside_logins() -> Load:
        login = drive(
            bench.service.address,
            bench.traffic.logins(),
            connections=LOGINS_AT_ONCE,
            expect=200,
            seconds=effort.seconds + 2 * MARGIN,
        )
        async with asyncio.TaskGroup() as tasks:
            meanwhile = tasks.create_task(login)
            await asyncio.sleep(MARGIN)
            lists = tasks.create_task(alone.work())
        logins.append(meanwhile.result().rate)
        return lists.result()

    pairs = await in_turns(
        "login-beside",
        Side(list_beside_logins),
        Side(alone.work),
        effort.rounds,
    )
    return [
        throughput_row("login-beside", "lists/s", pairs, None),
        latency_row("login-beside", pairs, None),
        Row("login-beside", "logins/s", median(logins)),
    ]


async def upload_row(bench: Bench, effort: Effort, at_once: int) -> list[Row]:
    """3 MB as a form through the server, against the same bytes PUT by a presigned URL. Neither
    side's count includes a presign or a confirmation."""
    number = effort.batch * at_once // 2 + at_once
    store = Address.of(bench.ground.settings.s3.endpoint)
    pairs = await in_turns(
        f"upload-{at_once}",
        Side(
            lambda: drive(
                bench.service.address,
                bench.traffic.uploads(number),
                connections=at_once,
                expect=201,
            ),
            bench.service,
        ),
        Side(
            lambda: drive(store, bench.traffic.puts(number), connections=at_once, expect=200),
        ),
        effort.rounds,
    )
    return [throughput_row(f"upload-{at_once}", "uploads/s", pairs, UPLOADS)]


def busy(server: Server, requests: list[bytes], effort: Effort, status: int) -> Side:
    """A server with as much to do as it can, from 16 connections, for one stretch of time."""
    return Side(
        lambda: drive(
            server.address,
            itertools.cycle(requests),
            connections=CONNECTIONS,
            expect=status,
            seconds=effort.seconds,
        ),
        server,
    )

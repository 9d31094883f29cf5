"""The rows that compare the running service with its limit."""

import itertools
from collections.abc import Iterator

from bench.compare import Side, Work, in_turns, latency_row, progress, throughput_row
from bench.context import Bench, Effort
from bench.load import Address, Load, drive
from bench.reads import Read, reads
from bench.report import Goal, Row
from photo_api.embedded.processes import EmbeddedError

CONNECTIONS = 16
LOGINS_AT_ONCE = 4
LISTS = Goal(0.6)
ONE_ROW = Goal(0.4)
UPLOADS = Goal(0.5)
MARGIN = 0.3
"""Seconds for which logins run before and after what is measured beside them."""


async def read_row(bench: Bench, effort: Effort, read: Read) -> list[Row]:
    """A reading route, at 16 connections."""

    def work(address: Address, requests: list[bytes], status: int) -> Work:
        return lambda: drive(
            address,
            itertools.cycle(requests),
            connections=CONNECTIONS,
            expect=status,
            seconds=effort.seconds,
        )

    status = 302 if read.name == "image-redirect" else 200
    pairs = await in_turns(
        read.name,
        Side(work(bench.service.address, read.ours, status), bench.service),
        Side(work(bench.limit.address, read.limits, status), bench.limit),
        effort.rounds,
    )
    goal = ONE_ROW if read.name == "image-redirect" else LISTS
    return [throughput_row(read.name, "req/s", pairs, goal)]


async def presign_row(bench: Bench, effort: Effort) -> list[Row]:
    """Beginning an upload: one statement that writes; the PUT is on neither side."""

    def work(address: Address, request: bytes) -> Work:
        return lambda: drive(
            address,
            itertools.repeat(request),
            connections=CONNECTIONS,
            expect=200,
            seconds=effort.seconds,
        )

    pairs = await in_turns(
        "presign",
        Side(work(bench.service.address, bench.traffic.presign), bench.service),
        Side(work(bench.limit.address, bench.traffic.limit_presign), bench.limit),
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
    address, read = bench.service.address, reads(bench.world)[0]
    logins: list[float] = []

    async def list_alone() -> Load:
        return await drive(
            address,
            itertools.cycle(read.ours),
            connections=CONNECTIONS,
            expect=200,
            seconds=effort.seconds,
        )

    async def list_beside_logins() -> Load:
        async with _logging_in(bench, effort.seconds + 2 * MARGIN, logins):
            return await list_alone()

    pairs = await in_turns(
        "login-beside",
        Side(list_beside_logins, bench.service),
        Side(list_alone, bench.service),
        effort.rounds,
    )
    return [
        throughput_row("login-beside", "lists/s", pairs, None),
        latency_row("login-beside", pairs, None),
        Row("login-beside", "logins/s", sum(logins) / len(logins)),
    ]

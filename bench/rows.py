"""The rows that compare the running service with its limit."""

import asyncio
import itertools
from collections.abc import Sequence
from statistics import median
from time import perf_counter, process_time

from argon2 import PasswordHasher

from bench.compare import Side, Worker, in_turns, latency_row, throughput_row
from bench.context import Bench, Effort
from bench.load import Address, Load, drive
from bench.processes import Server
from bench.reads import FINDING, WHOLE, read_named
from bench.report import Goal, Row
from bench.world import PASSWORD
from photo_api.accounts.passwords import MEMORY_KIB, PASSES

CONNECTIONS = 16
LOGINS_AT_ONCE = 4
GOALS = {
    **dict.fromkeys(("photo-list-20", "photo-list-10000", "album-page", "share-view"), Goal(0.85)),
    **dict.fromkeys(
        ("photo-list-20-cold", "photo-list-50-cold", "album-page-cold", "share-view-cold"),
        Goal(0.35),
    ),
    "image-redirect": Goal(0.85),
    **dict.fromkeys(("timeline", "timeline-month", "tiles"), Goal(0.7)),
    "tiles-cold": Goal(0.35),
    **dict.fromkeys(FINDING, Goal(0.7)),
}
PRESIGN = Goal(0.75)
UPLOADS = Goal(0.85)
WHOLE_ALBUM = Goal(2)
WHOLE_ALBUMS = 3
"""In one stretch."""

BESIDE = Goal(1.3, at_most=True)
LOGINS = Goal(0.7)
SMALL_MB = 10
LARGE_UPLOADS = 4
LARGE_ROUNDS = 3
"""Of uploads of 50 MB, of which more would fill a disk."""

MARGIN = 0.3
"""Seconds for which logins run before and after what is measured beside them."""


async def read_row(bench: Bench, effort: Effort, name: str) -> list[Row]:
    """A route that reads."""
    read = read_named(bench.world, name)
    sides = [
        busy(bench.service, read.ours, effort, read.status),
        busy(bench.limit, read.limits, effort, read.status),
        *_other(bench, name, effort),
    ]
    rounds = await in_turns(name, sides, effort.rounds)
    return [throughput_row(name, "req/s", rounds, GOALS.get(name))]


async def whole_album_row(bench: Bench, effort: Effort) -> list[Row]:
    """All photos of an album of 10,000, by one client that asks for one page after the other: each
    server's pages are as large as it makes them."""
    read = read_named(bench.world, WHOLE)

    def side(
        address: Address, requests: Sequence[bytes], worker: Worker | None, optional: bool = False
    ) -> Side:
        async def work() -> Load:
            asked = itertools.chain.from_iterable(itertools.repeat(requests, WHOLE_ALBUMS))
            load = await drive(address, asked, connections=1, expect=200)
            return load.in_groups(len(requests))

        return Side(work, worker, optional=optional)

    sides = [
        side(bench.service.address, read.ours, bench.service),
        side(bench.limit.address, read.limits, bench.limit),
    ]
    if bench.other is not None:
        pages = bench.other.rows[WHOLE].requests
        sides.append(side(bench.other.address, pages, bench.other.processes, optional=True))
    rounds = await in_turns(WHOLE, sides, effort.rounds)
    return [throughput_row(WHOLE, "albums/s", rounds, None, WHOLE_ALBUM)]


async def presign_row(bench: Bench, effort: Effort) -> list[Row]:
    """Beginning an upload: one statement that writes; the PUT is on neither side."""
    sides = [
        busy(bench.service, [bench.traffic.presign], effort, 200),
        busy(bench.limit, [bench.traffic.limit_presign], effort, 200),
        *_other(bench, "presign", effort),
    ]
    rounds = await in_turns("presign", sides, effort.rounds)
    return [throughput_row("presign", "req/s", rounds, PRESIGN)]


async def confirm_row(bench: Bench, effort: Effort) -> list[Row]:
    """Finishing uploads of 100 kB that were PUT before: three statements, a copy inside the store
    and reads of the upload's and the copy's heads on either side."""

    def side(ours: bool) -> Side:
        server = bench.service if ours else bench.limit
        staged: list[int] = []

        async def stage() -> None:
            staged[:] = await bench.traffic.stage(effort.batch * 4)

        async def confirm() -> Load:
            requests = bench.traffic.confirmations(staged, ours=ours)
            return await drive(server.address, requests, connections=CONNECTIONS, expect=200)

        return Side(confirm, server, stage)

    pairs = await in_turns("confirm", [side(True), side(False)], effort.rounds)
    return [throughput_row("confirm", "req/s", pairs, None)]


async def login_row(bench: Bench, effort: Effort) -> list[Row]:
    """The photo list with four logins running at full tilt, against the same list without; and the
    logins against what one thread verifies with nothing else to do. Beside lists the hashing gets
    what they leave of the processors: where that is no whole one, what a login costs decides, as it
    does wherever a side has to wait."""
    read = read_named(bench.world, "photo-list-20")
    logins: list[float] = []

    alone = busy(bench.service, read.ours, effort, 200)

    async def login() -> Load:
        return await drive(
            bench.service.address,
            bench.traffic.logins(),
            connections=LOGINS_AT_ONCE,
            expect=200,
            seconds=effort.seconds + 2 * MARGIN,
        )

    async def list_beside_logins() -> Load:
        async with asyncio.TaskGroup() as tasks:
            meanwhile = tasks.create_task(login())
            await asyncio.sleep(MARGIN)
            lists = tasks.create_task(alone.work())
        logins.append(meanwhile.result().rate)
        return lists.result()

    sides = [Side(list_beside_logins), Side(alone.work)]
    rounds = await in_turns("login-beside", sides, effort.rounds)
    [costs] = await in_turns(
        "login-beside: costs", [Side(login, bench.service), _raw_logins(effort)], 1
    )
    cost, raw = costs
    assert cost is not None
    assert raw is not None
    rate = median(logins)
    busy_with_it = rate * raw.cpu_us / 1e6, raw.busy
    return [
        throughput_row("login-beside", "lists/s", rounds, None),
        latency_row("login-beside", rounds, BESIDE),
        Row(
            "login-beside",
            "logins/s",
            rate,
            raw.rate,
            rate / raw.rate,
            cpu_us=(cost.cpu_us, raw.cpu_us),
            busy=busy_with_it,
            goal=LOGINS,
        ),
    ]


class _ThisProcess:
    def cpu(self) -> float:
        return process_time()


def _raw_logins(effort: Effort) -> Side:
    async def work() -> Load:
        return await asyncio.to_thread(verifications, effort.seconds)

    return Side(work, _ThisProcess())


def verifications(seconds: float) -> Load:
    """Of passwords, with the service's parameters, by one thread."""
    hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
    encoded = hasher.hash(PASSWORD)
    latencies: list[float] = []
    began = before = perf_counter()
    while before < began + seconds:
        hasher.verify(encoded, PASSWORD)
        latencies.append(perf_counter() - before)
        before += latencies[-1]
    return Load(len(latencies), before - began, latencies)


async def upload_row(
    bench: Bench, effort: Effort, name: str, megabytes: int, at_once: int
) -> list[Row]:
    """Photos as forms through the server, against the same bytes PUT by presigned URLs. Neither
    side's count includes a presign or a confirmation."""
    rounds, number = uploads_in_a_stretch(effort, megabytes, at_once)
    store = Address.of(bench.ground.settings.s3.endpoint)

    async def ours() -> Load:
        forms = bench.traffic.uploads(number, megabytes)
        return await drive(bench.service.address, forms, connections=at_once, expect=201)

    async def puts() -> Load:
        files = bench.traffic.puts(number, megabytes)
        return await drive(store, files, connections=at_once, expect=200)

    sides = [Side(ours, bench.service), Side(puts)]
    if bench.other is not None:
        sides.append(bench.other.uploads(bench.traffic, number, megabytes, at_once))
    samples = await in_turns(name, sides, rounds)
    return [throughput_row(name, "uploads/s", samples, UPLOADS)]


def uploads_in_a_stretch(effort: Effort, megabytes: int, at_once: int) -> tuple[int, int]:
    """Rounds, and uploads in each stretch of them."""
    if megabytes > SMALL_MB:
        return min(effort.rounds, LARGE_ROUNDS), max(at_once, LARGE_UPLOADS)
    return effort.rounds, effort.batch * at_once // 2 + at_once


def busy(
    server: Server,
    requests: list[bytes],
    effort: Effort,
    status: int,
    connections: int = CONNECTIONS,
) -> Side:
    """A server with as much to do as it can, for one stretch of time. Each stretch goes on behind
    the last, so that what is cold stays cold."""
    following = itertools.cycle(requests)
    return Side(
        lambda: drive(
            server.address,
            following,
            connections=connections,
            expect=status,
            seconds=effort.seconds,
        ),
        server,
    )


def _other(bench: Bench, name: str, effort: Effort) -> list[Side]:
    return bench.other.busy(name, CONNECTIONS, effort.seconds) if bench.other else []

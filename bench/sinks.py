"""What shipping lines and spans costs requests: to collectors that take nothing, and to others."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.compare import Side, in_turns, throughput_row
from bench.context import Bench, Effort
from bench.processes import HOST
from bench.reads import read_named
from bench.report import Goal, Row
from bench.rows import busy
from photo_local.ports import free_port

NO_TOLL = Goal(0.95)
LONGER = 4
"""Times the rounds, where there is a goal: two of the same service differ by a tenth in a few."""
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


async def dead_sinks_row(bench: Bench, effort: Effort) -> list[Row]:
    """The redirect with one collector that hangs, one that is not there and a file whose folder is
    not, against the same service without any."""
    with socket.create_server((HOST, 0), backlog=64) as hanging:
        settings = {
            "LOG_LOKI_URL": f"http://{HOST}:{hanging.getsockname()[1]}",
            "LOG_OTLP_URL": f"http://{HOST}:{free_port()}",
            "LOG_SINK": "/nowhere/log",
            "LOG_FLUSH": "0.5",
        }
        return await _row("sinks-dead", bench, effort, settings, NO_TOLL)


async def loki_row(bench: Bench, effort: Effort) -> list[Row]:
    """The redirect with every line on its way to Loki, against the same service without."""
    async with _collector() as port:
        settings = {"LOG_LOKI_URL": f"http://{HOST}:{port}", "LOG_QUEUE": "100000"}
        return await _row("sinks-loki", bench, effort, settings, None)


async def traces_row(bench: Bench, effort: Effort) -> list[Row]:
    """The redirect with one request in a hundred sampled, and with all, against none."""
    rows = []
    for name, ratio, goal in (("traces-1", "0.01", NO_TOLL), ("traces-100", "1", None)):
        async with _collector() as port:
            where = {"TRACE_OTLP_URL": f"http://{HOST}:{port}", "TRACE_RATIO": ratio}
            rows += await _row(name, bench, effort, where, goal)
    return rows


async def _row(
    name: str, bench: Bench, effort: Effort, settings: dict[str, str], goal: Goal | None
) -> list[Row]:
    read = read_named(bench.world, "image-redirect")
    start = bench.ground.launcher.service
    async with start(settings) as server, start() as plain:  # as old as the other
        ours: Side = busy(server, read.ours, effort, read.status)
        alone = busy(plain, read.ours, effort, read.status)
        rounds = effort.rounds if goal is None else LONGER * effort.rounds
        pairs = await in_turns(name, [ours, alone], rounds)
    return [throughput_row(name, "req/s", pairs, goal)]


@asynccontextmanager
async def _collector() -> AsyncIterator[int]:
    """Takes whatever comes."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(size))
        writer.write(OK)
        writer.close()

    server = await asyncio.start_server(take, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()

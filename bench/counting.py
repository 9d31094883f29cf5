"""What metrics, and tracing that is off, cost of a request's processor time."""

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import fields
from statistics import median
from time import process_time

import psutil

from bench.compare import Side, in_turns, progress
from bench.context import Bench, Effort
from bench.load import drive, request
from bench.processes import Server, processor_seconds
from bench.reads import read_named
from bench.report import Goal, Row
from photo_api.contract import METRICS_PATH
from photo_api.http.middleware import count_for_objective
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import REQUEST_DURATION, REQUESTS, TOKEN_CHECKS
from photo_api.settings.instance import LogSettings
from photo_api.tracing import Tracer, sampled

REQUESTS_AT_ONCE = 2000
"""In one round, after which counts are reported, as once a second."""

ROUNDS = 20
SCRAPES = 6
BETWEEN_SCRAPES = 0.3
"""Seconds; what was written for a scrape is given to the next for a quarter of one."""

SCRAPE = Goal(0.01, at_most=True)
COST = Goal(0.05, at_most=True)
NEXT_TO_NOTHING = Goal(0.01, at_most=True)
IMAGE = "/api/photos/{photo_id}/image"


async def counting_row(bench: Bench, effort: Effort) -> list[Row]:
    """What a redirect counts, and its share of the report, against all that a redirect costs."""
    return [await _share("counting", _counting(), COST, bench, effort)]


async def untraced_row(bench: Bench, effort: Effort) -> list[Row]:
    """Where a redirect looks whether it is traced, against all that it costs."""
    return [await _share("traces-off", _not_tracing(), NEXT_TO_NOTHING, bench, effort)]


async def scrape_row(bench: Bench, effort: Effort) -> list[Row]:
    """What a scrape costs the worker and its supervisor, against a second of a processor: of a
    worker at full tilt, one a second takes this share of each request."""
    server = bench.service
    scrape = request("GET", METRICS_PATH)

    async def stretch(*, scraped: bool) -> float:
        before = _of_both(server)
        for _ in range(SCRAPES):
            if scraped:
                await drive(server.address, iter([scrape]), connections=1, expect=200)
            await asyncio.sleep(BETWEEN_SCRAPES)
        return (_of_both(server) - before) / SCRAPES

    progress("scrape")
    costs = [await stretch(scraped=True) - await stretch(scraped=False) for _ in range(3)]
    cost = median(costs) * 1000
    return [Row("scrape", "CPU ms", cost, 1000, cost / 1000, goal=SCRAPE)]


def _of_both(server: Server) -> float:
    supervisor = psutil.Process(server.pid).ppid()
    return server.cpu() + processor_seconds(supervisor)


async def _share(name: str, cost: float, goal: Goal, bench: Bench, effort: Effort) -> Row:
    read = read_named(bench.world, "image-redirect")

    def redirects() -> Side:
        requests = itertools.cycle(read.ours)
        address = bench.service.address
        return Side(
            lambda: drive(address, requests, connections=16, expect=302, seconds=effort.seconds),
            bench.service,
        )

    pairs = await in_turns(name, [redirects(), redirects()], 1)
    whole = median(sample.cpu_us for pair in pairs for sample in pair if sample)
    return Row(name, "CPU µs", cost, whole, cost / whole, goal=goal)


def _counting() -> float:
    """Microseconds for each request."""
    counts = Counts()

    def count() -> None:
        for _ in range(REQUESTS_AT_ONCE):
            counts.add(TOKEN_CHECKS, "cached")
            counts.add(REQUESTS, "GET", IMAGE, str(302))
            count_for_objective(counts, "GET", IMAGE, 302)
            counts.observe(REQUEST_DURATION, 0.003, "GET", IMAGE, request_id="0" * 32)
        for _ in counts.take():
            pass

    return median(_seconds(count) for _ in range(ROUNDS)) / REQUESTS_AT_ONCE * 1e6


def _not_tracing() -> float:
    """Microseconds for each request: its headers, and its two connections of the pool."""
    unset = {item.name: item.metadata["variable"] for item in fields(LogSettings)}
    settings = LogSettings(**{name: one.parse(one.default) for name, one in unset.items()})
    tracer = Tracer(settings, Counts(), None)
    headers = [(b"x-header-%d" % number, b"value") for number in range(12)]

    def look() -> None:
        for _ in range(REQUESTS_AT_ONCE):
            tracer.of_request(headers)
            sampled()
            sampled()

    return median(_seconds(look) for _ in range(ROUNDS)) / REQUESTS_AT_ONCE * 1e6


def _seconds(work: Callable[[], None]) -> float:
    began = process_time()
    work()
    return process_time() - began

"""What the metrics cost of a request's processor time."""

import itertools
from collections.abc import Callable
from statistics import median
from time import process_time

from bench.compare import Side, in_turns
from bench.context import Bench, Effort
from bench.load import drive
from bench.reads import reads
from bench.report import Goal, Row
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import REQUEST_DURATION, REQUESTS, TOKEN_CHECKS

REQUESTS_AT_ONCE = 2000
"""In one round, after which counts are reported, as once a second."""

ROUNDS = 20
COST = Goal(0.05, at_most=True)
IMAGE = "/api/photos/{photo_id}/image"


async def counting_row(bench: Bench, effort: Effort) -> list[Row]:
    """What a redirect counts, and its share of the report, against all that a redirect costs."""
    read = next(read for read in reads(bench.world) if read.name == "image-redirect")

    def redirects() -> Side:
        requests = itertools.cycle(read.ours)
        address = bench.service.address
        return Side(
            lambda: drive(address, requests, connections=16, expect=302, seconds=effort.seconds),
            bench.service,
        )

    pairs = await in_turns("counting", redirects(), redirects(), 1)
    request = median(sample.cpu_us for pair in pairs for sample in pair)
    counting = _counting()
    return [Row("counting", "CPU µs", counting, request, counting / request, goal=COST)]


def _counting() -> float:
    """Microseconds for each request."""
    counts = Counts()

    def count() -> None:
        for _ in range(REQUESTS_AT_ONCE):
            counts.add(TOKEN_CHECKS, "cached")
            counts.add(REQUESTS, "GET", IMAGE, str(302))
            counts.observe(REQUEST_DURATION, 0.003, "GET", IMAGE, request_id="0" * 32)
        for _ in counts.take():
            pass

    return median(_seconds(count) for _ in range(ROUNDS)) / REQUESTS_AT_ONCE * 1e6


def _seconds(work: Callable[[], None]) -> float:
    began = process_time()
    work()
    return process_time() - began

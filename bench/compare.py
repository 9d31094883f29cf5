"""Two sides measured in turns, so that a busy machine slows down both."""

import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from bench.load import Load
from bench.processes import Server
from bench.report import Goal, Row

Work = Callable[[], Coroutine[Any, Any, Load]]


@dataclass(frozen=True, slots=True)
class Side:
    """One of two that are compared: a stretch of work, the server that does it if that is one
    process of ours, and what must be there before each stretch."""

    work: Work
    server: Server | None = None
    prepare: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One stretch. `rate` per second, `p99` in seconds, `cpu_us` per request, `busy` in cores."""

    rate: float
    p99: float
    cpu_us: float = 0.0
    busy: float = 0.0


async def in_turns(name: str, ours: Side, limit: Side, rounds: int) -> list[tuple[Sample, Sample]]:
    """Samples of (ours, limit); one stretch of each goes ahead unmeasured. The side that begins
    changes with every round."""
    pairs = []
    for number in range(rounds + 1):
        progress(f"{name}: round {number} of {rounds}" if number else f"{name}: warming up")
        if number % 2:
            first = await _sample(ours)
            pairs.append((first, await _sample(limit)))
        else:
            second = await _sample(limit)
            pairs.append((await _sample(ours), second))
    return pairs[1:]


async def _sample(side: Side) -> Sample:
    if side.prepare is not None:
        await side.prepare()
    before = side.server.cpu() if side.server else 0.0
    started = perf_counter()
    load = await side.work()
    seconds = perf_counter() - started
    if side.server is None:
        return Sample(load.rate, load.p99)
    cpu = side.server.cpu() - before
    return Sample(load.rate, load.p99, cpu / load.done * 1e6, cpu / seconds)


def throughput_row(
    name: str, unit: str, pairs: Sequence[tuple[Sample, Sample]], goal: Goal | None
) -> Row:
    """Rates and their ratio."""
    ratios = [ours.rate / limit.rate for ours, limit in pairs]
    measured = all(side.cpu_us for pair in pairs for side in pair)
    return Row(
        name,
        unit,
        median(ours.rate for ours, _ in pairs),
        median(limit.rate for _, limit in pairs),
        median(ratios),
        (min(ratios), max(ratios)),
        _medians(pairs, lambda sample: sample.cpu_us) if measured else None,
        _medians(pairs, lambda sample: sample.busy) if measured else None,
        goal,
    )


def latency_row(name: str, pairs: Sequence[tuple[Sample, Sample]], goal: Goal | None) -> Row:
    """99th percentiles in milliseconds and their ratio."""
    ratios = [ours.p99 / limit.p99 for ours, limit in pairs]
    ours, limit = _medians(pairs, lambda sample: sample.p99 * 1000)
    return Row(name, "p99 ms", ours, limit, median(ratios), (min(ratios), max(ratios)), goal=goal)


def _medians(
    pairs: Sequence[tuple[Sample, Sample]], of: Callable[[Sample], float]
) -> tuple[float, float]:
    return median(of(ours) for ours, _ in pairs), median(of(limit) for _, limit in pairs)


def progress(text: str) -> None:
    """One line on standard error."""
    print(text, file=sys.stderr, flush=True)

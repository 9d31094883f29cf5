"""Sides measured in turns, so that a busy machine slows down all of them."""

import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, Protocol

from bench.load import Load, LoadFailed
from bench.report import Goal, Row

Round = Sequence["Sample | None"]
Work = Callable[[], Coroutine[Any, Any, Load]]


class Worker(Protocol):
    """What does the work of a side."""

    def cpu(self) -> float:
        """Seconds of a processor that it has used so far."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of those that are compared: a stretch of work, who does it if its processor time can be
    told, what must be there before each stretch, and whether a measurement does without a side that
    fails."""

    work: Work
    worker: Worker | None = None
    prepare: Callable[[], Awaitable[None]] | None = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """One stretch. `rate` per second, `p99` in seconds, `cpu_us` per request, `busy` in cores."""

    rate: float
    p99: float
    cpu_us: float = 0.0
    busy: float = 0.0


async def in_turns(name: str, sides: Sequence[Side], rounds: int) -> list[Round]:
    """Rounds of a sample for each side; one stretch of each goes ahead unmeasured. The order turns
    round with every round. A side that failed is left alone from then on."""
    found: list[Round] = []
    failed: set[int] = set()
    for number in range(rounds + 1):
        progress(f"{name}: round {number} of {rounds}" if number else f"{name}: warming up")
        samples: list[Sample | None] = [None] * len(sides)
        places = range(len(sides)) if number % 2 else reversed(range(len(sides)))
        for place in places:
            if place in failed:
                continue
            try:
                samples[place] = await _sample(sides[place])
            except (LoadFailed, OSError) as error:
                if not sides[place].optional:
                    raise
                failed.add(place)
                progress(f"{name}: the other server fails: {error}")
        found.append(samples)
    return found[1:]


async def _sample(side: Side) -> Sample:
    if side.prepare is not None:
        await side.prepare()
    before = side.worker.cpu() if side.worker else 0.0
    started = perf_counter()
    load = await side.work()
    seconds = perf_counter() - started
    if side.worker is None:
        return Sample(load.rate, load.p99)
    cpu = side.worker.cpu() - before
    return Sample(load.rate, load.p99, cpu / load.done * 1e6, cpu / seconds)


def throughput_row(
    name: str,
    unit: str,
    rounds: Sequence[Round],
    goal: Goal | None,
    goal_of_other: Goal | None = None,
) -> Row:
    """Rates and their ratios: ours to the limit's, and to the other server's if there is one."""
    pairs = [(_of(samples, 0), _of(samples, 1)) for samples in rounds]
    ratios = [ours.rate / limit.rate for ours, limit in pairs]
    measured = all(side.cpu_us for pair in pairs for side in pair)
    other, other_ratio, other_cpu_us = _beside_other(rounds)
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
        other,
        other_ratio,
        goal_of_other,
        other_cpu_us,
    )


def _beside_other(
    rounds: Sequence[Round],
) -> tuple[float | None, float | None, float | None]:
    """The other server's rate, ours by it, and what a request costs it if that can be told."""
    found = [
        (_of(samples, 0), samples[2])
        for samples in rounds
        if len(samples) > 2 and samples[2] is not None
    ]
    if len(found) < len(rounds):
        return None, None, None  # there is none, or it failed
    cpu_us = median(other.cpu_us for _, other in found)
    ratio = median(ours.rate / other.rate for ours, other in found)
    return median(other.rate for _, other in found), ratio, cpu_us or None


def _of(samples: Round, place: int) -> Sample:
    sample = samples[place]
    assert sample is not None
    return sample


def latency_row(name: str, rounds: Sequence[Round], goal: Goal | None) -> Row:
    """99th percentiles in milliseconds and their ratio."""
    pairs = [(_of(samples, 0), _of(samples, 1)) for samples in rounds]
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

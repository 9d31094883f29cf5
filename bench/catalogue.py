"""All rows by their names, in the order of a run, and how long each takes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from bench.balancer import nginx_row
from bench.context import Bench, Effort, Ground
from bench.counting import counting_row, scrape_row, untraced_row
from bench.flat import statement_rows
from bench.footprint import drain_rows, memory_rows, start_rows, upload_memory_rows
from bench.job_queue import job_rows
from bench.reads import COLD, FINDING, HOT, TIMELINE
from bench.renditions import rendition_rows
from bench.report import Row
from bench.rows import (
    MARGIN,
    confirm_row,
    login_row,
    presign_row,
    read_row,
    upload_row,
    uploads_in_a_stretch,
    whole_album_row,
)
from bench.sinks import LONGER, dead_sinks_row, loki_row, traces_row

Seconds = Callable[[Effort, int], float]
"""By the effort, and the servers in a comparison that another may take part in: 2 or 3."""


@dataclass(frozen=True, slots=True)
class OnBothSides:
    """A row, or several that are measured together, of the service and its limit; about so long on
    an idle machine of two cores."""

    measure: Callable[[Bench, Effort], Awaitable[list[Row]]]
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class Alone:
    """The same of what needs neither a filled database nor a server that runs."""

    measure: Callable[[Ground, Effort], Awaitable[list[Row]]]
    seconds: Seconds


START, FILLING, FILLING_LARGE = 5.0, 60.0, 60.0
"""Seconds until PostgreSQL and the store are there, and until both servers are, with photos, and
with those of somebody who has the most."""
MB_A_SECOND = 75.0
"""Through the service into the store, and nearly as many beside it."""


def estimate(names: list[str], effort: Effort, *, other: bool) -> float:
    """Seconds that these rows take on an idle machine of two cores."""
    sides = 3 if other else 2
    filling = FILLING if any(name in ON_BOTH_SIDES for name in names) else 0.0
    filling += FILLING_LARGE if any(name in (*TIMELINE, *FINDING) for name in names) else 0.0
    return START + filling + sum(ROWS[name].seconds(effort, sides) for name in names)


def _turns(
    more: float = 0.0, *, sides: int | None = None, start: float = 0.0, times: int = 1
) -> Seconds:
    """Stretches that last as long as the effort says, and `more`, in so many times its rounds."""

    def seconds(effort: Effort, servers: int) -> float:
        return start + (times * effort.rounds + 1) * (sides or servers) * (effort.seconds + more)

    return seconds


def _fixed(stretch: float, *, sides: int | None = None) -> Seconds:
    """Stretches whose work is the same whatever the effort."""
    return lambda effort, servers: (effort.rounds + 1) * (sides or servers) * stretch


def _of_batch(each: float, *, start: float = 0.0) -> Seconds:
    """Two sides whose work grows with the batch."""
    return lambda effort, _: start + (effort.rounds + 1) * 2 * effort.batch * each


def _upload(megabytes: int, at_once: int) -> OnBothSides:
    def seconds(effort: Effort, servers: int) -> float:
        rounds, number = uploads_in_a_stretch(effort, megabytes, at_once)
        return (rounds + 1) * servers * number * megabytes / MB_A_SECOND

    name = f"upload-{megabytes}mb-{at_once}"
    return OnBothSides(
        partial(upload_row, name=name, megabytes=megabytes, at_once=at_once), seconds
    )


ALONE: Mapping[str, Alone] = MappingProxyType(
    {
        "start": Alone(start_rows, lambda effort, _: (effort.starts + 1) * 1.6),
        "drain": Alone(drain_rows, lambda effort, _: effort.starts * 2.5),
        "renditions": Alone(rendition_rows, lambda effort, _: 15 + (effort.rounds + 1) * 2.5),
        "nginx": Alone(nginx_row, _turns(sides=2, start=2)),
        "statements": Alone(statement_rows, lambda *_: 600.0),
    }
)
ON_BOTH_SIDES: Mapping[str, OnBothSides] = MappingProxyType(
    {
        **{name: OnBothSides(partial(read_row, name=name), _turns()) for name in HOT},
        **{name: OnBothSides(partial(read_row, name=name), _turns(sides=2)) for name in COLD},
        **{
            name: OnBothSides(partial(read_row, name=name), _turns(sides=2))
            for name in (*TIMELINE, *FINDING)
        },
        "album-whole": OnBothSides(whole_album_row, _fixed(0.8)),
        "presign": OnBothSides(presign_row, _turns()),
        "confirm": OnBothSides(confirm_row, _of_batch(0.2)),
        "login-beside": OnBothSides(login_row, _turns(MARGIN, sides=2, start=2)),
        **{
            f"upload-{megabytes}mb-{at_once}": _upload(megabytes, at_once)
            for megabytes in (3, 50)
            for at_once in (1, 4, 16)
        },
        "jobs": OnBothSides(job_rows, _of_batch(0.1)),
        "memory-uploads": OnBothSides(
            upload_memory_rows, lambda effort, _: 8 + (24 * effort.batch + 800) / MB_A_SECOND
        ),
        "counting": OnBothSides(counting_row, lambda effort, _: 2 + 4 * effort.seconds),
        "scrape": OnBothSides(scrape_row, lambda *_: 13.0),
        "sinks-dead": OnBothSides(dead_sinks_row, _turns(sides=2, start=6, times=LONGER)),
        "sinks-loki": OnBothSides(loki_row, _turns(sides=2, start=6)),
        "traces-off": OnBothSides(untraced_row, lambda effort, _: 2 + 4 * effort.seconds),
        "traces": OnBothSides(traces_row, _turns(sides=3, start=12, times=LONGER)),
        "memory": OnBothSides(memory_rows, lambda effort, _: 4 + effort.batch * 4.0),
    }
)
BY_NAME = frozenset({"statements"})
"""Rows that take gigabytes, and are measured only when they are asked for by the whole name."""
ROWS: Mapping[str, Alone | OnBothSides] = MappingProxyType({**ALONE, **ON_BOTH_SIDES})

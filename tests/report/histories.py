"""Histories of fleets: what a Prometheus would have of them, brought in by promtool, and what they
left in a registry. Each fleet has a job of its own, so that one Prometheus holds all of them."""

import asyncio
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Any

import asyncpg

HOUR, DAY = 3600.0, 86400.0
Number = Callable[[float], float]
"""A series as a function of the seconds since it is looked at."""

KEEP = "--storage.tsdb.retention.time=90d"
"""For a Prometheus that is to answer for a month: by itself it keeps 15 days."""

NAMES = ("10.0.1.10", "10.0.1.11", "10.0.1.12")
LE = ("0.25", "1.0", "+Inf")


@dataclass
class Fleet:
    """Of three instances whose samples lie `interval` seconds apart in the last `seconds`, and are
    few in the days before. `told` is the share of that time of which there are samples."""

    job: str
    seconds: float
    interval: float = 60.0
    before: float = 9 * DAY
    told: float = 1.0
    names: tuple[str, ...] = NAMES
    since: dict[str, float] = field(default_factory=dict)
    """How many seconds before the end an instance is seen first."""
    of_each: dict[str, dict[str, Number]] = field(default_factory=dict)
    """By name with labels and by instance; by "" what holds for all others."""

    def add(self, series: str, number: Number, only: str = "") -> "Fleet":
        """One series of every instance, or of one."""
        self.of_each.setdefault(series, {})[only] = number
        return self

    def grow(self, series: str, rate: float, only: str = "") -> "Fleet":
        """A counter that grows by `rate` a second."""
        return self.add(series, lambda at: rate * at, only)

    def samples(self, end: float) -> Iterator[str]:
        """All of them, as OpenMetrics; times are whole seconds."""
        begin = end - self.seconds
        moments = [begin - at for at in range(int(self.before), 0, -3600)]
        last = end - self.seconds * (1 - self.told)
        moments += [begin + at for at in range(0, int(self.seconds) + 1, int(self.interval))]
        for series, numbers in self.of_each.items():
            metric, _, labels = series.partition("{")
            few = metric in ("photo_api_ready", "up")
            for name in self.names:
                number = numbers.get(name, numbers.get(""))
                if number is None:
                    continue
                own = f'{labels.rstrip("}")}{"," if labels else ""}job="{self.job}"'
                first = end - self.since.get(name, self.seconds + self.before)
                head = f'{metric}{{{own},instance="{name}:8000"}}'
                for at in moments:
                    if first <= at <= last and (few or at >= begin):
                        yield f"{head} {number(at - begin)} {at:.0f}\n"


def bring_in(fleets: list[Fleet], end: float, folder: Path) -> None:
    """Have them in a Prometheus's `folder/data`."""
    told = folder / "history.txt"
    with told.open("w") as file:
        for fleet in fleets:
            file.writelines(fleet.samples(end))
        file.write("# EOF\n")
    subprocess.run(
        [
            # Blocks of two hours would have it read the whole file for each.
            *("promtool", "tsdb", "create-blocks-from", "--max-block-duration=1000h"),
            *("openmetrics", str(told), str(folder / "data")),
        ],
        check=True,
        capture_output=True,
    )
    told.unlink()


@dataclass(frozen=True)
class Life:
    """One boot, whose times are seconds before the end; None has not happened. `cut` and `lines`
    are what its receipt tells."""

    instance: str
    started: float
    ready: float | None = None
    draining: float | None = None
    ended: float | None = None
    ending: str = "drained"
    version: str = "0.1.0"
    cut: int | None = 0
    lines: int | None = 0
    boot_id: str = field(default_factory=lambda: str(uuid.uuid4()))


def alive(instance: str, days: float = 9.0, version: str = "0.1.0", takes: float = 20.0) -> Life:
    """One that still serves."""
    return Life(instance, days * DAY, days * DAY - takes, version=version)


Event = tuple[str, float, str, str]
"""Instance, seconds before the end, event, cause."""


def note(url: str, end: float, lives: list[Life], events: list[Event] | None = None) -> None:
    """Have this, and nothing else, in the registry."""
    asyncio.run(_note(url, end, lives, events or []))


async def _note(url: str, end: float, lives: list[Life], events: list[Event]) -> None:
    db = await asyncpg.connect(url)
    try:
        await db.execute("TRUNCATE instances, instance_events, instance_receipts")
        told: list[tuple[Any, ...]] = []
        for one in lives:
            for event in ("started", "ready", "draining"):
                if (at := getattr(one, event)) is not None:
                    told.append((one.boot_id, one.instance, event, _cause(event), _at(end, at)))
            if one.ended is None:
                await _row(db, one, end)
            else:
                last = "lost" if one.ending == "lost" else "stopped"
                told.append((one.boot_id, one.instance, last, "", _at(end, one.ended)))
                await _receipt(db, one, end)
        boots = {one.instance: one.boot_id for one in lives}
        told += [(boots[who], who, event, why, _at(end, at)) for who, at, event, why in events]
        await db.executemany(
            "INSERT INTO instance_events (boot_id, instance, event, cause, at)"
            " VALUES ($1, $2, $3, $4, $5)",
            sorted(told, key=itemgetter(4)),
        )
    finally:
        await db.close()


def _cause(event: str) -> str | None:
    return "SIGTERM" if event == "draining" else None


def _at(end: float, before: float) -> datetime:
    return datetime.fromtimestamp(end - before, UTC)


async def _row(db: Any, one: Life, end: float) -> None:
    await db.execute(
        "INSERT INTO instances (boot_id, instance, node, version, address, port, workers, state,"
        " started_at) VALUES ($1, $2, 'vm', $3, $2, 8000, 1, $4, $5)",
        one.boot_id, one.instance, one.version,
        "draining" if one.draining else "ready", _at(end, one.started),
    )  # fmt: skip


async def _receipt(db: Any, one: Life, end: float) -> None:
    assert one.ended is not None
    if one.ending == "none":
        return
    await db.execute(
        "INSERT INTO instance_receipts (boot_id, instance, version, written_at, ending, was_ready,"
        " started_at, ended_at, requests_cut, log_lines_lost)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $4, $8, $9)",
        one.boot_id, one.instance, one.version, _at(end, one.ended), one.ending,
        one.ready is not None, _at(end, one.started), one.cut, one.lines,
    )  # fmt: skip

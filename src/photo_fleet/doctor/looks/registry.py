"""The registry: instances, what happened to them, how they ended, and the balancers that follow."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import asyncpg

from photo_api.contract import ALIVE, LOST_AFTER
from photo_base.log_lines import one_line
from photo_base.postgres import FAILURES
from photo_fleet.balancer.database_address import VARIABLE
from photo_fleet.doctor.looks.database import CHECK, TOLD, connected, explained, rows_of
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import NotRead, Seen, Unseen
from photo_fleet.spec.kinds import is_number

MOST_INSTANCES, MOST_EVENTS, MOST_RECEIPTS = 2000, 5000, 1000
MOST_STARTS, MOST_BALANCERS, MOST_REMOVALS = 5000, 100, 5000
BASELINE_DAYS = 7
LONGEST_TEXT = 300
LARGEST = 10**15

# Texts are cut where they are kept, and long before any is shown: what is much longer than any name
# would cost memory here, and seconds to look through for secrets.
INSTANCES = """
    SELECT boot_id::text, left(instance, 2000) AS instance, left(node, 2000) AS node,
        left(region, 2000) AS region, left(version, 2000) AS version,
        left(address, 2000) AS address, port, workers, state,
        left(coalesce(cause, ''), 2000) AS cause,
        extract(epoch FROM started_at)::float8 AS started_at,
        extract(epoch FROM changed_at)::float8 AS changed_at,
        extract(epoch FROM heartbeat_at)::float8 AS heartbeat_at, left(load::text, 10000) AS load
    FROM instances WHERE state = ANY($1) OR changed_at >= now() - make_interval(secs => $2)
    ORDER BY state = ANY($1) DESC, started_at DESC LIMIT $3
"""
EVENTS = """
    SELECT extract(epoch FROM at)::float8 AS at, boot_id::text,
        left(instance, 2000) AS instance, left(event, 2000) AS event,
        left(coalesce(cause, ''), 2000) AS cause
    FROM instance_events WHERE at >= now() - make_interval(secs => $1) ORDER BY at DESC LIMIT $2
"""
RECEIPTS = """
    SELECT boot_id::text, left(instance, 2000) AS instance, left(version, 2000) AS version,
        extract(epoch FROM written_at)::float8 AS written_at,
        ending, left(coalesce(cause, ''), 2000) AS cause, was_ready,
        extract(epoch FROM started_at)::float8 AS started_at,
        extract(epoch FROM asked_at)::float8 AS asked_at,
        extract(epoch FROM ended_at)::float8 AS ended_at,
        requests_accepted, requests_finished, requests_cut, untold, balancers, acknowledged,
        left(lame_duck_end, 2000) AS lame_duck_end, registry_s, lame_duck_s, in_flight_s, flush_s,
        jobs_handed_back, jobs_kept, log_lines_lost
    FROM instance_receipts WHERE written_at >= now() - make_interval(secs => $1)
    ORDER BY written_at DESC LIMIT $2
"""
STARTS = """
    SELECT left(instance, 2000) AS instance,
        floor(extract(epoch FROM now() - at) / 86400)::int AS days_ago,
        count(*)::int AS count
    FROM instance_events WHERE event = 'started' AND at >= now() - make_interval(days => $1)
    GROUP BY 1, 2 ORDER BY 2, 3 DESC LIMIT $2
"""
BALANCERS = """
    SELECT id::text, left(name, 2000) AS name, extract(epoch FROM seen_at)::float8 AS seen_at,
        coalesce(array(SELECT boot_id::text FROM balancer_removals WHERE balancer_id = id
            ORDER BY acknowledged_at DESC LIMIT $1), '{}') AS removed
    FROM balancers ORDER BY seen_at DESC LIMIT $2
"""

TABLES = {
    "instances": "instances",
    "events": "instance_events",
    "receipts": "instance_receipts",
    "starts": "instance_events",
    "balancers": "balancers",
}
"""What is read, and the table that it stands in."""
NO_REGISTRY = asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot of an instance, as its row has it. Times are epoch seconds of the database's clock;
    `load` has the numbers of its last sign of life (`cpu_percent`, `in_flight`, `memory_bytes`,
    `queue_depth`), those that it knew. `workers` 0: it only does jobs, and answers no HTTP."""

    boot_id: str
    instance: str
    node: str
    region: str | None
    version: str
    address: str
    port: int
    workers: int
    state: str
    cause: str
    started_at: float
    changed_at: float
    heartbeat_at: float
    load: Mapping[str, float] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        """Whether the registry says that it runs."""
        return self.state in ALIVE

    @property
    def place(self) -> str:
        """Host and port, as they stand in a URL."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"

    def asked(self, path: str) -> str:
        """A command that asks it for this path; whatever its address is, it is one argument."""
        return f"curl -sS {shlex.quote(f'http://{self.place}{path}')}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that an instance, or another one about it, wrote down."""

    at: float
    boot_id: str
    instance: str
    event: str
    cause: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a boot ended; None is what nobody knows. What each number means stands in
    docs/operations.md."""

    boot_id: str
    instance: str
    version: str
    written_at: float
    ending: str
    cause: str
    was_ready: bool | None = None
    started_at: float | None = None
    asked_at: float | None = None
    ended_at: float | None = None
    requests_accepted: int | None = None
    requests_finished: int | None = None
    requests_cut: int | None = None
    untold: int | None = None
    balancers: int | None = None
    acknowledged: int | None = None
    lame_duck_end: str | None = None
    registry_s: float | None = None
    lame_duck_s: float | None = None
    in_flight_s: float | None = None
    flush_s: float | None = None
    jobs_handed_back: int | None = None
    jobs_kept: int | None = None
    log_lines_lost: int | None = None


@dataclass(frozen=True, slots=True)
class Starts:
    """How often an instance was started in the 24 hours that ended `days_ago` days ago."""

    instance: str
    days_ago: int
    count: int


@dataclass(frozen=True, slots=True)
class FollowingBalancer:
    """A `photo-fleet balance`: when it was seen last, and the boots of which it said that it sends
    them nothing any more."""

    id: str
    name: str
    seen_at: float
    removed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RegistryLook:
    """`now` is the database's time at which all was read; `window` are the seconds before it whose
    `events` and `receipts` are here, the newest first. `instances` are those that live, and those
    that ended in the window. Those that could not be read raise `Unseen` where they are needed.
    `left_out` names what was too much to read."""

    now: float
    window: float
    instances: Sequence[Boot] = ()
    events: Sequence[Event] = ()
    receipts: Sequence[Receipt] = ()
    starts: Sequence[Starts] = ()
    balancers: Sequence[FollowingBalancer] = ()
    left_out: frozenset[str] = frozenset()

    @property
    def alive(self) -> tuple[Boot, ...]:
        """The boots that run, as far as the registry knows."""
        return tuple(boot for boot in self.instances if boot.alive)

    @property
    def present_balancers(self) -> tuple[FollowingBalancer, ...]:
        """Those that have been seen lately enough to be waited for."""
        return tuple(one for one in self.balancers if self.now - one.seen_at <= LOST_AFTER)


async def take(reach: Reach, seen: Seen) -> RegistryLook:
    """Raises `Unseen` when there is no registry to be read."""
    if reach.database is None:
        raise Unseen(
            "nobody has told the database's address", f"{VARIABLE}_FILE=… photo-fleet doctor"
        )
    try:
        async with connected(reach) as connection:
            return await _read(connection, reach.since)
    except asyncpg.UndefinedTableError as error:
        raise Unseen("the database has no registry: nobody has migrated it", CHECK) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise Unseen("the database's role may not read the registry", CHECK) from error
    except FAILURES as error:
        raise Unseen(f"the registry: {explained(error)}", TOLD) from error


async def _read(connection: Any, window: float) -> RegistryLook:
    left_out: set[str] = set()

    async def rows(
        name: str, make: Callable[..., Row], most: int, sql: str, *arguments: object
    ) -> Sequence[Row]:
        try:
            found = await rows_of(connection, TABLES[name], sql, *arguments, most + 1)
        except Unseen as unseen:
            if name == "instances" and isinstance(unseen.__cause__, NO_REGISTRY):
                raise unseen.__cause__ from None
            return NotRead(unseen)
        if len(found) > most:
            left_out.add(name)
        return tuple(make(**_safe(dict(row))) for row in found[:most])

    now: float = await connection.fetchval("SELECT extract(epoch FROM now())::float8")
    return RegistryLook(
        now,
        window,
        await rows("instances", _boot, MOST_INSTANCES, INSTANCES, list(ALIVE), window),
        await rows("events", Event, MOST_EVENTS, EVENTS, window),
        await rows("receipts", Receipt, MOST_RECEIPTS, RECEIPTS, window),
        await rows("starts", Starts, MOST_STARTS, STARTS, BASELINE_DAYS),
        await rows("balancers", _balancer, MOST_BALANCERS, BALANCERS, MOST_REMOVALS),
        frozenset(left_out),
    )


def _boot(**row: Any) -> Boot:
    return Boot(**row | {"load": _numbers(row["load"])})


def _balancer(**row: Any) -> FollowingBalancer:
    return FollowingBalancer(**row | {"removed": frozenset(row["removed"])})


def _safe(row: Mapping[str, Any]) -> dict[str, Any]:
    """With texts as they may stand on a terminal."""
    return {
        name: one_line(value)[:LONGEST_TEXT] if isinstance(value, str) and name != "load" else value
        for name, value in row.items()
    }


def _numbers(load: str) -> dict[str, float]:
    """None of what is no number of an instance, nor of a text that is cut."""
    try:
        told = json.loads(load)
    except (ValueError, RecursionError):
        told = {}
    pairs = told.items() if isinstance(told, dict) else ()
    sane = ((name, value) for name, value in pairs if is_number(value) and abs(value) < LARGEST)
    return {str(name)[:64]: float(value) for name, value in sane}

"""Whether statements cost the same however many rows there are, of others and of one's own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.compare import progress
from bench.context import Effort, Ground
from bench.every_statement import STATEMENTS, Call
from bench.many_rows import (
    GROWING,
    LARGE,
    MIDDLE,
    NONE,
    SMALL,
    Rows,
    buffers,
    explained,
    fill,
    ids_of,
    literals,
)
from bench.report import Goal, Row
from bench.senders import Seen
from photo_api.db.connect import ONE_PLAN
from photo_api.db.migrations import migrate
from photo_api.settings.dependencies import DatabaseSettings
from photo_local.postgres import Postgres

NOT_FLAT = {
    "album list, covers": "two look-ups for each of fifty albums, in indexes that become deeper",
    "photos by box": "the places of one user, where few of the latest are in the box",
    "photos by rare text": "all photos of one user that have the text, up to 500",
    "share count": "the links of all albums of one user, when they have come to their bound",
    "share made and revoked": "the same",
    "album delete": "all photos of an album leave it",
    "user deactivated": "all sessions and links of one user end",
    "account closed": "the same",
    "account's photos": "up to 500 photos of one user and what refers to them, round by round",
    "account's belongings": "up to 2,000 rows of each kind, round by round",
    "sessions ended": "all sessions of one user",
    "jobs revived": "a command of the operator's, in batches",
    "remake": "the same",
    "photos without": "`photo-api reconcile`, which compares all photos with the store",
}
"""What may grow with what one user has, or is no request and on no timer, and why."""

SIZES = Rows(1_200, 1_000), Rows(5_000, 100_000), Rows(250_000, 5_000_000)
WHOSE = {
    "20": (SMALL, 0),
    "980": (MIDDLE, 0),
    # Among a thousand photos nobody has many.
    "1/25": (LARGE, 1),
}
"""Users by how many photos are theirs, and the first size at which there is such a user."""

FLAT = Goal(1.3, at_most=True)
"""Of the CPU, half of the statements: what a machine does besides shows in that of each."""
A_LEVEL = Goal(1.5, at_most=True)
"""Of the pages of each. A tree of two levels has three when it is large; no statement may read
more rows."""
DEEPER = 4
"""Pages more that count in no case."""

ROUNDS, TIMES = 3, 4
OPTIONS = {"shared_buffers": "1GB", "max_wal_size": "2GB", "maintenance_work_mem": "512MB"}


@dataclass(slots=True)
class Cost:
    """Of one call's statements, each: pages read, and the least µs of the server process's own CPU
    time, since what disturbs it only adds."""

    pages: list[int] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


async def statement_rows(ground: Ground, effort: Effort) -> list[Row]:
    """What each statement of the catalogue reads and costs, of each user, at the largest size
    against the smallest, in turns."""
    async with _filled(ground.settings.database, ground.folder / "rows") as worlds:
        rows = []
        for whose, (user, first) in WHOSE.items():
            progress(f"statements of who has {whose} photos")
            for world in worlds:  # what was measured before has left dead rows at the queue's head
                await world.execute("VACUUM (INDEX_CLEANUP ON)")
            found = [
                await _measured(f"{name}, of {whose}", name, call, user, worlds[first:])
                for name, call in STATEMENTS.items()
            ]
            middle = median(1 / row.cpu_ratio for row in found if row.cpu_ratio)
            rows += [Row(f"statements: CPU, of {whose}", "×", middle, goal=FLAT), *found]
        return rows


async def _measured(title: str, name: str, call: Call, user: int, worlds: Sequence[Any]) -> Row:
    costs = [Cost() for _ in worlds]
    for _ in range(ROUNDS):
        for world, cost in zip(worlds, costs, strict=True):
            await _measure(world, user, call, cost)
    small, large = costs[0], costs[-1]
    pages = sum(large.pages), sum(small.pages)
    return Row(
        f"statements: {title}",
        "pages",
        *pages,
        pages[0] / max(pages[1], 1),
        cpu_us=(sum(large.cpu_us), sum(small.cpu_us)),
        goal=None if name in NOT_FLAT or pages[0] <= pages[1] + DEEPER else A_LEVEL,
    )


@asynccontextmanager
async def _filled(settings: DatabaseSettings, folder: Path) -> AsyncIterator[list[Any]]:
    """A superuser's connection to a database of each size, in a cluster that forgets what a crash
    takes."""
    postgres = Postgres(folder, "bench", durable=False, options=OPTIONS)
    await postgres.start()
    worlds: list[Any] = []
    try:
        for number, rows in enumerate(SIZES):
            progress(f"filling in {rows.photos:,} photos of {rows.users:,} users")
            name = f"rows_{number}"
            server = await asyncpg.connect(postgres.superuser_url)
            await server.execute(f"CREATE DATABASE {name} OWNER photo_api")
            await server.close()
            await migrate(replace(settings, url=_in(name, postgres.url), direct_url=""))
            worlds.append(
                await asyncpg.connect(
                    _in(name, postgres.superuser_url), server_settings={"plan_cache_mode": ONE_PLAN}
                )
            )
            await _fill_fast(worlds[-1], rows)
        yield worlds
    finally:
        for world in worlds:
            await world.close()
        await postgres.stop()


def _in(database: str, url: str) -> str:
    return str(urlunsplit(urlsplit(url)._replace(path=f"/{database}")))


async def _fill_fast(superuser: Any, rows: Rows) -> None:
    async with later_indexes(superuser):
        await fill(superuser, NONE, rows)
    await superuser.execute("CHECKPOINT")


@asynccontextmanager
async def later_indexes(superuser: Any) -> AsyncIterator[None]:
    """Indexes that no constraint needs are made when the rows are there."""
    indexes = await superuser.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS made"
        " FROM pg_index i WHERE indrelid::regclass::text = ANY ($1)"
        " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)",
        GROWING,
    )
    for index in indexes:
        await superuser.execute(f"DROP INDEX {index['name']}")
    yield
    for index in indexes:
        await superuser.execute(index["made"])


async def _measure(superuser: Any, user: int, call: Call, cost: Cost) -> None:
    """Once more; what a call does is taken back."""
    pid = superuser.get_server_pid()
    number = 0

    async def look(query: str, args: tuple[object, ...]) -> None:
        nonlocal number
        if number == len(cost.pages):
            plan = await explained(superuser, query, args, "ANALYZE, BUFFERS, TIMING OFF")
            cost.pages.append(buffers(plan))
            cost.cpu_us.append(float("inf"))
        spent = await _cpu_us(superuser, pid, query, args)
        cost.cpu_us[number] = min(cost.cpu_us[number], spent)
        number += 1

    everything = superuser.transaction()
    await everything.start()
    await call(Seen(superuser, look), await ids_of(superuser, user))
    await everything.rollback()


async def _cpu_us(superuser: Any, pid: int, query: str, args: tuple[object, ...]) -> float:
    """The least of some executions, each of which is taken back."""
    await superuser.execute(f"PREPARE measured AS {query}")
    spent = []
    for _ in range(TIMES):
        attempt = superuser.transaction()
        await attempt.start()
        began = _cpu_ns(pid)
        await superuser.execute(f"EXECUTE measured{literals(args)}")
        spent.append((_cpu_ns(pid) - began) / 1000)
        await attempt.rollback()
    await superuser.execute("DEALLOCATE measured")
    return min(spent)


def _cpu_ns(pid: int) -> int:
    """What a process that waits has spent, as Linux's scheduler counts it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])

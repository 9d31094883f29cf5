"""SQL of the registry: one row per boot, and an append-only log of what happened to it.

Every change of state is one statement that writes the row, its event and the notification.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from photo_api import contract
from photo_api.cloud.identity import Identity
from photo_api.db import totals
from photo_api.registry import leases
from photo_api.registry.leases import Lease

CHANNEL = contract.REGISTRY_CHANNEL
LOST_AFTER = contract.LOST_AFTER

GAP = 10.0
"""Seconds between two heartbeats of one instance, by the database's clock, that break its unbroken
count: it stood still, was suspended, or the database was. Heartbeats are 5.5 s apart at most."""

ALIVE = str(contract.ALIVE)  # a list of SQL reads as one of Python

LOOPBACK = "(old.address LIKE '127.%' OR old.address IN ('::1', 'localhost'))"

PLACE = ("instance", "node", "region", "version", "address", "port", "workers")
"""What a row says of a boot that never changes."""


@dataclass(frozen=True, slots=True)
class Boot(Identity):
    """One boot, as its row should say."""

    address: str
    port: int
    workers: int

    @property
    def place(self) -> list[Any]:
        return [getattr(self, name) for name in PLACE]


async def enlist(
    db: Any, me: Boot, state: str, event: str, cause: str | None = None, ago: float = 0
) -> None:
    """A row for this boot, which began `ago` seconds ago; without effect when it is there
    already."""
    await db.execute(
        f"""
        WITH mine AS (
            INSERT INTO instances (boot_id, {", ".join(PLACE)}, state, cause, started_at)
            VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8, $9, $11,
                now() - make_interval(secs => $12))
            ON CONFLICT DO NOTHING RETURNING boot_id, instance
        ), event AS (
            INSERT INTO instance_events (boot_id, instance, event, cause)
            SELECT boot_id, instance, $10, $11 FROM mine
        )
        SELECT pg_notify('{CHANNEL}', boot_id::text) FROM mine
        """,
        me.boot_id, *me.place, state, event, cause, float(ago),
    )  # fmt: skip


async def change(db: Any, me: Boot, state: str, event: str, cause: str | None = None) -> None:
    """Move to `state`, unless the row is in it or has stopped. What happened is written down also
    when there is no row, which the heartbeat finds out."""
    await db.execute(
        f"""
        WITH mine AS (
            UPDATE instances SET state = $3, cause = $5, changed_at = now()
            WHERE boot_id = $1::uuid AND state NOT IN ($3, 'stopped') RETURNING boot_id
        ), event AS (
            INSERT INTO instance_events (boot_id, instance, event, cause)
            SELECT $1::uuid, $2, $4, $5 WHERE EXISTS (SELECT FROM mine)
            OR NOT EXISTS (SELECT FROM instances WHERE boot_id = $1::uuid)
        )
        SELECT pg_notify('{CHANNEL}', boot_id::text) FROM mine
        """,
        me.boot_id, me.instance, state, event, cause,
    )  # fmt: skip


async def correct(
    db: Any, me: Boot, said: str, state: str, event: str, cause: str | None = None
) -> None:
    """Write what is so over a row that said otherwise, unless it is not in the state `said` any
    more."""
    columns = ", ".join(f"{name} = ${number}" for number, name in enumerate(PLACE, 2))
    await db.execute(
        f"""
        WITH mine AS (
            UPDATE instances SET {columns}, state = $10, cause = $12, changed_at = now()
            WHERE boot_id = $1::uuid AND state = $9 RETURNING boot_id, instance
        ), event AS (
            INSERT INTO instance_events (boot_id, instance, event, cause)
            SELECT boot_id, instance, $11, $12 FROM mine
        )
        SELECT pg_notify('{CHANNEL}', boot_id::text) FROM mine
        """,
        me.boot_id, *me.place, said, state, event, cause,
    )  # fmt: skip


async def add_event(db: Any, me: Boot, event: str, cause: str | None, ago: float) -> None:
    """Write down what happened `ago` seconds ago; the state stays."""
    await db.execute(
        "INSERT INTO instance_events (boot_id, instance, event, cause, at)"
        " VALUES ($1::uuid, $2, $3, $4, now() - make_interval(secs => $5))",
        me.boot_id, me.instance, event, cause, ago,
    )  # fmt: skip


class Removals(NamedTuple):
    """How many balancers live, and how many of them have acknowledged a boot's removal."""

    balancers: int
    acknowledged: int

    @property
    def complete(self) -> bool:
        """There is a live balancer, and every one has acknowledged it."""
        return 0 < self.balancers == self.acknowledged


async def removals(db: Any, boot_id: str) -> Removals:
    """Those of this boot."""
    row = await db.fetchrow(
        "SELECT count(*), count(removal.boot_id) FROM balancers"
        " LEFT JOIN balancer_removals AS removal"
        "  ON removal.balancer_id = balancers.id AND removal.boot_id = $1::uuid"
        " WHERE balancers.seen_at > now() - make_interval(secs => $2)",
        boot_id, LOST_AFTER,
    )  # fmt: skip
    return Removals(*row)


async def heartbeat(db: Any, boot_id: str, load: str) -> Any | None:
    """The row's state and `PLACE`, and as `gap` the seconds since the heartbeat before; None when
    there is no row (any more). `load` is JSON; the depth of the job queue, which all share, is
    added to it."""
    columns = ", ".join(f"mine.{name}" for name in ("state", *PLACE))
    return await db.fetchrow(
        "UPDATE instances AS mine SET heartbeat_at = now(),"
        " load = $2::jsonb || jsonb_build_object("
        f"  'queue_depth', {totals.QUEUED})"
        " FROM (SELECT boot_id, heartbeat_at FROM instances"
        "  WHERE boot_id = $1::uuid FOR UPDATE) AS before"
        " WHERE mine.boot_id = before.boot_id RETURNING"
        f" {columns}, extract(epoch FROM now() - before.heartbeat_at)::float8 AS gap",
        boot_id, load,
    )  # fmt: skip


async def suspects(db: Any, boot_id: str, most: int) -> list[Any]:
    """Others that have been silent for too long, at most so many, other ones each time.
    `replaced` is whether another boot lives at its address, and would answer for it."""
    rows: list[Any] = await db.fetch(
        "SELECT boot_id::text AS boot_id, node, address, port, workers,"
        " EXISTS (SELECT FROM instances AS new"
        "  WHERE new.address = old.address AND new.port = old.port"
        f"  AND (new.node = old.node OR NOT {LOOPBACK})"
        f"  AND new.boot_id <> old.boot_id AND new.state IN {ALIVE}"
        "  AND new.heartbeat_at >= now() - make_interval(secs => $2)) AS replaced"
        f" FROM instances AS old WHERE boot_id <> $1::uuid AND state IN {ALIVE}"
        " AND heartbeat_at < now() - make_interval(secs => $2)"
        " ORDER BY random() LIMIT $3",
        boot_id, LOST_AFTER, most,
    )  # fmt: skip
    return rows


async def peers(db: Any, boot_id: str, most: int) -> list[Any]:
    """Some others that serve and are not silent, at most so many, other ones each time."""
    rows: list[Any] = await db.fetch(
        "SELECT boot_id::text AS boot_id, node, address, port, workers FROM instances"
        " WHERE boot_id <> $1::uuid AND state = 'ready' AND workers > 0"
        " AND heartbeat_at >= now() - make_interval(secs => $2) ORDER BY random() LIMIT $3",
        boot_id, GAP, most,
    )  # fmt: skip
    return rows


async def declare_lost(db: Any, boot_ids: Collection[str], me: Boot) -> list[str]:
    """Those of them that were still silent and are lost now: out of the balancer, their jobs free
    for others. It never means that anybody kills them. An instance whose own last heartbeat is
    older than `GAP` declares nothing: to one that stood still all others look silent."""
    rows = await db.fetch(
        f"""
        WITH silent AS (
            SELECT boot_id FROM instances
            WHERE boot_id = ANY($1::text[]::uuid[]) AND state IN {ALIVE}
            AND heartbeat_at < now() - make_interval(secs => $4)
            AND EXISTS (SELECT FROM instances WHERE boot_id = $2::uuid
                AND heartbeat_at > now() - make_interval(secs => $5))
            FOR UPDATE SKIP LOCKED
        ), lost AS (
            UPDATE instances SET state = 'lost', cause = 'silent', changed_at = now()
            FROM silent WHERE instances.boot_id = silent.boot_id
            RETURNING instances.boot_id, instance
        ), event AS (
            INSERT INTO instance_events (boot_id, instance, event, cause)
            SELECT boot_id, instance, 'lost', 'silent, declared by ' || $3 FROM lost
        ), freed AS (
            UPDATE jobs SET available_at = now() WHERE id IN (
                SELECT id FROM jobs JOIN lost ON jobs.worker = lost.boot_id::text
                WHERE jobs.state = 'leased' FOR UPDATE OF jobs SKIP LOCKED)
        )
        SELECT boot_id::text AS boot_id, pg_notify('{CHANNEL}', boot_id::text) FROM lost
        """,
        list(boot_ids), me.boot_id, me.instance, LOST_AFTER, GAP,
    )  # fmt: skip
    return [row["boot_id"] for row in rows]


async def gone(db: Any) -> list[Any]:
    """`boot_id`, `instance`, `port` and `changed_at` of boots that have stopped or were lost within
    a day, the latest first, but for those whose place another boot has taken; 1,000 at most."""
    found: list[Any] = await db.fetch(
        f"""
        SELECT g.boot_id, g.instance, g.port, g.changed_at FROM instances g
        WHERE g.state IN ('stopped', 'lost') AND g.changed_at > now() - interval '1 day'
        AND NOT EXISTS (SELECT FROM instances a WHERE a.state IN {ALIVE}
                        AND a.instance = g.instance AND a.port = g.port)
        ORDER BY g.changed_at DESC LIMIT 1000
        """
    )
    return found


async def prune(db: Any, lease: Lease) -> None:
    """Rows live 7 days beyond their last sign of life, events 100 days. A row of one that lives all
    the same comes back with its next heartbeat. One that nobody could declare lost is lost now, so
    that its end leaves a receipt."""
    old = "heartbeat_at < now() - interval '7 days'"
    lost = "UPDATE instances SET state = 'lost', cause = 'silent for 7 days', changed_at = now()"
    await leases.execute(db, lease, f"{lost} WHERE state IN {ALIVE} AND {old}")
    await leases.execute(db, lease, f"DELETE FROM instances WHERE {old}")
    old = "SELECT ctid FROM instance_events WHERE at < now() - interval '100 days' LIMIT $3"
    some = f"DELETE FROM instance_events WHERE ctid = ANY (ARRAY ({old}))"
    await leases.execute(db, lease, some, leases.ROWS_AT_ONCE)

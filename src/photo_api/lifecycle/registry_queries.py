"""SQL of the registry: one row per boot, and an append-only log of what happened to it.

Every change of state is one statement that writes the row, its event and the notification.
"""

from typing import Any

from photo_api import contract
from photo_api.db.leases import FENCE, HELD, Lease

CHANNEL = contract.REGISTRY_CHANNEL
LOST_AFTER = contract.LOST_AFTER

ALIVE = "('starting', 'ready', 'draining')"


async def enlist(
    db: Any,
    boot_id: str,
    *,
    instance: str,
    node: str,
    region: str | None,
    version: str,
    address: str,
    port: int,
    workers: int,
) -> None:
    """A row for this boot, `starting`; without effect when it is there already."""
    await db.execute(
        f"""
        WITH mine AS (
            INSERT INTO instances (boot_id, instance, node, region, version, address, port, workers)
            VALUES ($1::uuid, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
            RETURNING boot_id, instance
        ), event AS (
            INSERT INTO instance_events (boot_id, instance, event)
            SELECT boot_id, instance, 'started' FROM mine
        )
        SELECT pg_notify('{CHANNEL}', boot_id::text) FROM mine
        """,
        boot_id, instance, node, region, version, address, port, workers,
    )  # fmt: skip


async def change(db: Any, boot_id: str, state: str, event: str, cause: str | None = None) -> None:
    """Move to `state`, unless it is in it or has stopped."""
    await db.execute(
        f"""
        WITH mine AS (
            UPDATE instances SET state = $2, cause = $4, changed_at = now(), heartbeat_at = now()
            WHERE boot_id = $1::uuid AND state NOT IN ($2, 'stopped') RETURNING boot_id, instance
        ), event AS (
            INSERT INTO instance_events (boot_id, instance, event, cause)
            SELECT boot_id, instance, $3, $4 FROM mine
        )
        SELECT pg_notify('{CHANNEL}', boot_id::text) FROM mine
        """,
        boot_id, state, event, cause,
    )  # fmt: skip


async def add_event(db: Any, boot_id: str, event: str, cause: str | None, ago: float) -> None:
    """Write down what happened `ago` seconds ago; the state stays."""
    await db.execute(
        "INSERT INTO instance_events (boot_id, instance, event, cause, at)"
        " SELECT boot_id, instance, $2, $3, now() - make_interval(secs => $4)"
        " FROM instances WHERE boot_id = $1::uuid",
        boot_id, event, cause, ago,
    )  # fmt: skip


async def removed_from_balancers(db: Any, boot_id: str) -> bool:
    """Whether there is a live balancer, and every one has acknowledged the removal of this boot."""
    return bool(
        await db.fetchval(
            "SELECT count(*) > 0 AND count(*) = count(removal.boot_id) FROM balancers"
            " LEFT JOIN balancer_removals AS removal"
            "  ON removal.balancer_id = balancers.id AND removal.boot_id = $1::uuid"
            " WHERE balancers.seen_at > now() - make_interval(secs => $2)",
            boot_id, LOST_AFTER,
        )
    )  # fmt: skip


async def heartbeat(db: Any, boot_id: str, load: str) -> str | None:
    """The state that the row has; None when there is no row (any more). `load` is JSON; the depth
    of the job queue, which all share, is added to it."""
    state: str | None = await db.fetchval(
        "UPDATE instances SET heartbeat_at = now(), load = $2::jsonb || jsonb_build_object("
        "  'queue_depth', (SELECT count(*) FROM jobs WHERE state = 'queued'))"
        " WHERE boot_id = $1::uuid RETURNING state",
        boot_id, load,
    )  # fmt: skip
    return state


async def suspects(db: Any, boot_id: str) -> list[Any]:
    """Others that have been silent for too long."""
    rows: list[Any] = await db.fetch(
        "SELECT boot_id::text AS boot_id, address, port FROM instances"
        f" WHERE boot_id <> $1::uuid AND state IN {ALIVE}"
        " AND heartbeat_at < now() - make_interval(secs => $2)",
        boot_id, LOST_AFTER,
    )  # fmt: skip
    return rows


async def declare_lost(db: Any, boot_id: str, by: str) -> bool:
    """Whether it was still silent and is lost now: out of the balancer, its jobs free for others.
    It never means that anybody kills it."""
    return await db.fetchval(
        f"""
        WITH lost AS (
            UPDATE instances SET state = 'lost', cause = 'silent', changed_at = now()
            WHERE boot_id = $1::uuid AND state IN {ALIVE}
            AND heartbeat_at < now() - make_interval(secs => $2)
            RETURNING boot_id, instance
        ), event AS (
            INSERT INTO instance_events (boot_id, instance, event, cause)
            SELECT boot_id, instance, 'lost', 'silent, declared by ' || $3 FROM lost
        ), freed AS (
            UPDATE jobs SET available_at = now() FROM lost
            WHERE jobs.state = 'leased' AND jobs.worker = lost.boot_id::text
        )
        SELECT true, pg_notify('{CHANNEL}', boot_id::text) FROM lost
        """,
        boot_id, LOST_AFTER, by,
    ) is not None  # fmt: skip


async def prune(db: Any, lease: Lease) -> None:
    """Rows live 7 days beyond their last sign of life, events 100 days."""
    await db.execute(
        f"WITH {FENCE} DELETE FROM instances WHERE heartbeat_at < now() - interval '7 days'"
        f" AND state NOT IN {ALIVE} AND {HELD}",
        *lease,
    )
    await db.execute(
        f"WITH {FENCE} DELETE FROM instance_events"
        f" WHERE at < now() - interval '100 days' AND {HELD}",
        *lease,
    )

"""Whether the whole group's connections fit into the database: found at start, and not on the day
on which the group grows."""

from typing import Any

from photo_api.settings.dependencies import DatabaseSettings
from photo_base.capacity import DEPLOYED, ROUND, beside_workers


def connections_needed(
    settings: DatabaseSettings, workers: int, jobs: int, deployed: int = DEPLOYED
) -> int:
    """Connections that the group may hold when it has grown to its limit and a deploy begins."""
    each = workers * settings.pool_size + beside_workers(jobs)
    return (settings.max_instances + deployed) * each


def advice(
    settings: DatabaseSettings,
    workers: int,
    jobs: int,
    deployed: int = DEPLOYED,
    *,
    limit: int,
    reserved: int,
) -> str | None:
    """What is wrong and what to do about it, or None when all fits into `limit` connections, of
    which `reserved` are for superusers and others."""
    needed = connections_needed(settings, workers, jobs, deployed)
    usable = limit - reserved
    if needed <= usable:
        return None
    beside = beside_workers(jobs)
    workers_named = f"{workers} worker{'' if workers == 1 else 's'}"
    ways = [
        "put a transaction pooler in front",
        f"or raise max_connections to {-(-(needed + reserved) // ROUND) * ROUND}",
    ]
    fitting = (usable // (settings.max_instances + deployed) - beside) // workers if workers else 0
    if fitting >= 1:
        ways.insert(0, f"set PHOTO_API_DATABASE_POOL to {fitting}")
    return (
        f"({settings.max_instances} + {deployed} instances) ×"
        f" ({workers_named} × {settings.pool_size} + {beside})"
        f" = {needed} connections, but the server takes {usable}: {', '.join(ways)}"
    )


async def check_capacity(
    connection: Any,
    settings: DatabaseSettings,
    workers: int,
    jobs: int,
    deployed: int = DEPLOYED,
) -> str | None:
    """`advice` for the server behind `connection`. None behind a transaction pooler: there the
    pooler's own limits count, which the server does not know."""
    if settings.pooler == "transaction":
        return None
    limit, reserved = await connection.fetchrow(
        "SELECT current_setting('max_connections')::int,"
        " current_setting('superuser_reserved_connections')::int"
        # Since PostgreSQL 16.
        " + coalesce(current_setting('reserved_connections', true)::int, 0)"
    )
    return advice(settings, workers, jobs, deployed, limit=limit, reserved=reserved)

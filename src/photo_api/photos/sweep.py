"""Clears away what nobody will ask for again: abandoned uploads, deleted bytes, their rows.

One instance at a time does so, under a lease; safe also if there were several. Bytes go when both
clocks say that it is time (`both`), and only after their row: a staging key when its URL and the
longest PUT are over, any other key when nothing points to it for its grace time.
"""

import logging
from dataclasses import dataclass
from typing import Any

from photo_api.db.clocks import both, own_time
from photo_api.db.pool import Database
from photo_api.registry import leases
from photo_api.registry.leases import FENCE, HELD, Lease
from photo_api.storage.base import ObjectStore

log = logging.getLogger(__name__)

BATCH = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did."""

    uploads: int
    objects: int


async def sweep(db: Database, store: ObjectStore, longest_put: int, lease: Lease) -> Swept:
    """One round over everything. `longest_put` in seconds, as for the uploads' own deadline.

    A process that loses the lease in between takes nothing more; what it had taken stays
    unadoptable, and deleting that twice does no harm."""
    uploads = await _abandon_uploads(db, longest_put, lease)
    objects = 0
    while due := await _take_due(db, lease):
        keys = list(due)
        for key, in_parts in due.items():
            if in_parts:
                await store.discard_parts(key)
        await store.delete(keys)
        await _forget(db, keys, lease)
        objects += len(keys)
    await _prune(db, lease)
    if uploads or objects:
        log.info("swept", extra={"fields": {"uploads": uploads, "objects": objects}})
    return Swept(uploads, objects)


async def _abandon_uploads(db: Database, longest_put: int, lease: Lease) -> int:
    count: int = await db.fetchval(
        f"""
        WITH {FENCE}, abandoned AS (
            UPDATE photos SET status = 'gone', gone_at = now() WHERE id IN (
                SELECT id FROM photos WHERE status = 'pending'
                AND upload_expires_at < {both("$4")} - make_interval(secs => $3) AND {HELD}
                LIMIT 10000 FOR UPDATE SKIP LOCKED
            ) RETURNING 1
        )
        SELECT count(*) FROM abandoned
        """,
        *lease,
        float(longest_put),
        own_time(),
    )
    return count


async def _take_due(db: Database, lease: Lease) -> dict[str, bool]:
    """Keys that may be deleted now, and whether parts of an upload may have been left behind.

    From here on nobody can adopt them; those that another sweep took and did not finish within 5
    minutes are taken again."""
    rows: list[Any] = await db.fetch(
        f"""
        WITH {FENCE} UPDATE unreferenced_objects SET taken = true,
            delete_after = now() + interval '5 minutes'
        WHERE object_key IN (
            SELECT object_key FROM unreferenced_objects
            WHERE delete_after < {both("$4")} AND {HELD}
            ORDER BY delete_after LIMIT $3 FOR UPDATE SKIP LOCKED
        ) RETURNING object_key, in_parts
        """,
        *lease,
        BATCH,
        own_time(),
    )
    return {row["object_key"]: row["in_parts"] for row in rows}


async def _forget(db: Database, keys: list[str], lease: Lease) -> None:
    theirs = "DELETE FROM unreferenced_objects WHERE object_key = ANY ($3)"
    await leases.execute(db, lease, theirs, keys)


async def _prune(db: Database, lease: Lease) -> None:
    old = (
        "DELETE FROM photos WHERE status = 'gone' AND ctid = ANY (ARRAY (SELECT ctid FROM photos"
        " WHERE status = 'gone' AND gone_at < now() - interval '7 days' LIMIT $3"
        # Who names gone ones in a bulk operation has locked them in the order of their ids.
        " FOR UPDATE SKIP LOCKED))"
    )
    await leases.execute(db, lease, old, leases.ROWS_AT_ONCE)

"""Clears away what nobody will ask for again: abandoned uploads, deleted bytes, old records.

Safe to run on any number of instances at once. Bytes go only after their row: a staging key when
its URL and the longest PUT are over, any other key when nothing points to it for its grace time.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from photo_api.accounts import queries as accounts
from photo_api.accounts.throttle import prune_attempts
from photo_api.db.pool import Database
from photo_api.jobs.queue import prune_dead
from photo_api.storage.base import ObjectStore

log = logging.getLogger(__name__)

BATCH = 500


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did."""

    uploads: int
    objects: int


async def sweep(db: Database, store: ObjectStore, longest_put: int) -> Swept:
    """One round over everything. `longest_put` in seconds, as for the uploads' own deadline."""
    uploads = await _abandon_uploads(db, longest_put)
    objects = 0
    while due := await _take_due(db):
        keys = list(due)
        for key, in_parts in due.items():
            if in_parts:
                await store.discard_parts(key)
        await store.delete(keys)
        await db.execute("DELETE FROM unreferenced_objects WHERE object_key = ANY ($1)", keys)
        objects += len(keys)
    await _prune(db)
    if uploads or objects:
        log.info("swept", extra={"fields": {"uploads": uploads, "objects": objects}})
    return Swept(uploads, objects)


async def _abandon_uploads(db: Database, longest_put: int) -> int:
    count: int = await db.fetchval(
        """
        WITH abandoned AS (
            UPDATE photos SET status = 'gone', gone_at = now() WHERE id IN (
                SELECT id FROM photos WHERE status = 'pending'
                AND upload_expires_at < now() - make_interval(secs => $1)
                LIMIT 10000 FOR UPDATE SKIP LOCKED
            ) RETURNING 1
        )
        SELECT count(*) FROM abandoned
        """,
        float(longest_put),
    )
    return count


async def _take_due(db: Database) -> dict[str, bool]:
    """Keys that may be deleted now, and whether parts of an upload may have been left behind.

    From here on nobody can adopt them; those that another sweep took and did not finish within 5
    minutes are taken again."""
    rows: list[Any] = await db.fetch(
        """
        UPDATE unreferenced_objects SET taken = true,
            delete_after = now() + interval '5 minutes'
        WHERE object_key IN (
            SELECT object_key FROM unreferenced_objects WHERE delete_after < now()
            ORDER BY delete_after LIMIT $1 FOR UPDATE SKIP LOCKED
        ) RETURNING object_key, in_parts
        """,
        BATCH,
    )
    return {row["object_key"]: row["in_parts"] for row in rows}


async def _prune(db: Database) -> None:
    await db.execute(
        "DELETE FROM photos WHERE status = 'gone' AND gone_at < now() - interval '7 days'"
    )
    await db.execute("DELETE FROM idempotency_keys WHERE created_at < now() - interval '25 hours'")
    await prune_attempts(db)
    await accounts.prune(db, datetime.now(UTC))
    await prune_dead(db)

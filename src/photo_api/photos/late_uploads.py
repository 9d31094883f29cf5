"""Bytes in staging that nobody waits for any more.

A PUT that takes longer than an upload's time ends when the sweep has deleted its key and forgotten
it. Only a listing finds such bytes; what is found is left to the sweep, and is never a photo.
"""

import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from photo_api.db.pool import Database
from photo_api.registry.leases import FENCE, HELD, Lease
from photo_api.settings.serving import UploadSettings
from photo_api.storage.base import ObjectStore

log = logging.getLogger(__name__)

STAGING = "staging/"
MARGIN = 300
"""Seconds by which the store's clock and the database's may differ."""
BATCH = 1000


def staged_for(uploads: UploadSettings) -> int:
    """Seconds after which bytes in staging are of no upload that can still be confirmed."""
    return uploads.url_ttl + uploads.longest_put + MARGIN


async def late_uploads(db: Any, store: ObjectStore, age: float) -> AsyncIterator[list[str]]:
    """Keys in staging older than `age` seconds, up to 1,000 at a time, that neither a pending
    upload nor the sweep knows. A key is known before its URL is handed out, so one that is not
    never will be. Raises `StoreUnavailable`."""
    batch: dict[str, datetime] = {}
    async for info in store.list(STAGING):
        batch[info.key] = info.last_modified
        if len(batch) == BATCH:
            yield await _unknown(db, batch, age)
            batch.clear()
    yield await _unknown(db, batch, age)


async def _unknown(db: Any, found: dict[str, datetime], age: float) -> list[str]:
    rows = await db.fetch(
        """
        SELECT key FROM unnest($1::text[], $2::timestamptz[]) AS found (key, modified)
        WHERE modified < now() - make_interval(secs => $3)
        AND NOT EXISTS (SELECT FROM photos WHERE staging_key = key AND status = 'pending')
        AND NOT EXISTS (SELECT FROM unreferenced_objects WHERE object_key = key)
        """,
        list(found), list(found.values()), float(age),
    )  # fmt: skip
    return [row["key"] for row in rows]


async def leave_to_sweep(db: Database, store: ObjectStore, age: float, lease: Lease) -> int:
    """Have the sweep delete all `late_uploads`; how many there were."""
    count = 0
    async for keys in late_uploads(db, store, age):
        rows = await db.fetch(
            f"""
            WITH {FENCE} INSERT INTO unreferenced_objects (object_key, delete_after)
            SELECT key, now() FROM unnest($3::text[]) AS key WHERE {HELD}
            ON CONFLICT DO NOTHING RETURNING 1
            """,
            *lease,
            keys,
        )
        count += len(rows)
    if count:
        log.info("uploads came too late", extra={"fields": {"objects": count}})
    return count

"""The tables that a reconciliation looks at, and the sweep that comes before it."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from photo_base.postgres import open_connection

Row = Mapping[str, Any]

TIME_BOX = 60.0
LOOK = 0.5

PHOTOS = """
SELECT p.id, p.status, p.title, p.album_id, p.object_key, p.thumbnail_key,
       p.preview_key, p.display_key, p.renditions,
       EXISTS (SELECT FROM album_photos m WHERE m.photo_id = p.id) AS in_album,
       EXISTS (SELECT FROM albums a WHERE a.id = p.album_id) AS has_album,
       EXISTS (SELECT FROM jobs j WHERE j.kind = 'renditions' AND j.subject_id = p.id) AS has_job
FROM photos p ORDER BY p.id
"""
ALBUMS = """
SELECT a.id, a.name, a.description, a.photo_count,
       (SELECT count(*) FROM album_photos m WHERE m.album_id = a.id) AS counted
FROM albums a ORDER BY a.id
"""
MEMBERS = """
SELECT album_id, array_agg(photo_id ORDER BY position) AS photos FROM album_photos GROUP BY album_id
"""
SHARES = "SELECT id, album_id FROM shares ORDER BY id"
KEYS = "SELECT key, status, resource_id FROM idempotency_keys"
RECEIPTS = "SELECT * FROM instance_receipts ORDER BY written_at"
ENDED = "SELECT boot_id, instance, state FROM instances WHERE state IN ('stopped', 'lost')"

JOBS_LEFT = "SELECT count(*) FROM jobs WHERE state <> 'dead'"
# What a sweep took that was killed is tried again only after minutes; deleting twice does no harm.
TAKE_AGAIN = "UPDATE unreferenced_objects SET delete_after = now() WHERE taken"
# Days are waited for in no case; files of the trash are noted for a time that never comes.
EMPTY_TRASHES = "UPDATE photos SET status = 'gone', gone_at = now() WHERE status = 'trashed'"
HASTEN = (
    "UPDATE photos SET upload_expires_at = now() - interval '10 years' WHERE status = 'pending'",
    "UPDATE unreferenced_objects SET delete_after = now() WHERE NOT taken",
)
SWEEP_LEFT = """
SELECT (SELECT count(*) FROM unreferenced_objects)
     + (SELECT count(*) FROM photos WHERE status = 'pending')
"""


@dataclass(frozen=True, slots=True)
class Tables:
    """Rows by the names that the statements above give their columns."""

    photos: tuple[Row, ...] = ()
    albums: tuple[Row, ...] = ()
    shares: tuple[Row, ...] = ()
    keys: tuple[Row, ...] = ()
    members: tuple[Row, ...] = ()
    receipts: tuple[Row, ...] = ()
    ended: tuple[Row, ...] = ()


async def read_tables(database_url: str) -> Tables:
    """As of one moment. Raises `OSError`, `asyncpg.PostgresError`."""
    connection = await open_connection(database_url, timeout=TIME_BOX)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            rows = [
                await connection.fetch(statement, timeout=TIME_BOX)
                for statement in (PHOTOS, ALBUMS, SHARES, KEYS, MEMBERS, RECEIPTS, ENDED)
            ]
    finally:
        await connection.close()
    return Tables(*(tuple(dict(row) for row in found) for found in rows))


async def sweep_now(database_url: str, seconds: float, *, hasten: bool = True) -> int:
    """When the load is over: wait until jobs are done, make all due that is in the trash, and
    what waits to be swept unless its own deadlines are waited for, and wait for the fleet's own
    sweep. How much is left after `seconds`: 0 when all is swept. Only on a stage that nobody else
    uses."""
    deadline = time.monotonic() + seconds
    connection = await open_connection(database_url, timeout=TIME_BOX)
    try:
        while await connection.fetchval(JOBS_LEFT) and time.monotonic() < deadline:
            await asyncio.sleep(LOOK)
        if hasten:
            await connection.execute(TAKE_AGAIN)
        while left := await connection.fetchval(SWEEP_LEFT):
            for statement in (EMPTY_TRASHES, *(HASTEN if hasten else ())):
                await connection.execute(statement)
            if time.monotonic() > deadline:
                return int(left)
            await asyncio.sleep(LOOK)
        return 0
    finally:
        await connection.close()

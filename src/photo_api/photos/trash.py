"""SQL of the trash: what is deleted stays for some days, with its bytes, albums and covers.

All that change several photos lock those first, in the order of their ids, then their owner's row
if its `used_bytes` are to change, then albums in the order of theirs, then what is in them or was
(docs/decisions/0048). Each function needs a transaction, of which later statements see what
happened while an earlier one waited.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from photo_api.db.clocks import both, later, own_time
from photo_api.http.pages import ended_by_bytes
from photo_api.http.repeated_deletes import remembered
from photo_api.jobs.queue import enqueuing
from photo_api.photos.presentation import COLUMNS
from photo_api.registry.leases import FENCE, HELD, Lease
from photo_api.tracing import traceparent

log = logging.getLogger(__name__)

BATCH = 1000
"""Photos that leave the trash in one transaction."""

MOST_COUNTED = 100_000
"""Photos of a trash that are counted, however many there are."""

LOCK = """SELECT p.* FROM unnest($2::bigint[]) AS wanted (id), LATERAL (
    SELECT id, status, renditions FROM photos
    WHERE id = wanted.id AND owner_id = $1 AND status <> 'pending' FOR NO KEY UPDATE) AS p"""
"""One by one, in the order of the array. Here and where the locked are changed they are found by
their ids alone: an index of all that have a status would do too, and might be read to its end."""

Changed = dict[int, bool]
"""Photos that are where they should be, and whether they have come there just now."""


async def lock(connection: Any, owner_id: int, photo_ids: Sequence[int]) -> dict[int, Any]:
    """Those of these ids, which ascend, that are or were photos, with their `status` and
    `renditions`. They stay as they are until the transaction ends."""
    return {row["id"]: row for row in await connection.fetch(LOCK, owner_id, photo_ids)}


def _changed(found: dict[int, Any], before: str, *after: str) -> tuple[list[int], Changed]:
    """Ids of those to be changed, which are in the state `before`; and all that are or will be in
    a state of `after`."""
    mine = [photo_id for photo_id, row in found.items() if row["status"] == before]
    there = dict.fromkeys((id_ for id_, row in found.items() if row["status"] in after), False)
    return mine, there | dict.fromkeys(mine, True)


LOCK_OWNER = "SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE"
"""Before albums, as uploads have it that count in one."""

LOCK_ALBUMS_OF = """
SELECT FROM albums WHERE id = ANY (ARRAY(
    -- Not with OR, which reads all albums.
    SELECT id FROM albums WHERE cover_photo_id = ANY ($1::bigint[])
    UNION SELECT album_id FROM album_photos WHERE photo_id = ANY ($1)
)) ORDER BY id FOR NO KEY UPDATE"""

LEFT = """
covers AS MATERIALIZED (
    SELECT id AS album_id, cover_photo_id AS photo_id FROM albums WHERE cover_photo_id = ANY ($2)
), members AS (
    DELETE FROM album_photos WHERE photo_id = ANY ($2) RETURNING album_id, photo_id, position
), uncovered AS (
    UPDATE albums a SET cover_photo_id = NULL FROM covers WHERE a.id = covers.album_id
)"""

TO_TRASH = f"""
WITH {LEFT}, kept AS (
    INSERT INTO trashed_memberships (photo_id, album_id, position, was_cover)
    SELECT photo_id, album_id, m.position, c IS NOT NULL
    FROM members m FULL JOIN covers c USING (album_id, photo_id)
), mine AS (
    UPDATE photos p SET status = 'trashed', trashed_at = {later("$4")}
    FROM unnest($2::bigint[]) AS mine (id) WHERE p.id = mine.id RETURNING p.id
), {remembered("photo", "$3")}
SELECT count(*) FROM mine"""

TO_NOTHING = f"""
WITH {LEFT}, mine AS (
    UPDATE photos p SET status = 'gone', gone_at = now()
    FROM unnest($2::bigint[]) AS mine (id) WHERE p.id = mine.id RETURNING p.id
), {remembered("photo", "$3")}
SELECT count(*) FROM mine"""


async def delete(
    connection: Any, owner_id: int, photo_ids: Sequence[int], days: int, request_id: str
) -> Changed:
    """Delete those of these ids, which ascend. They leave all albums at once, and go into the trash
    for `days`; without any a trigger leaves their bytes to the sweep."""
    found = await lock(connection, owner_id, photo_ids)
    mine, changed = _changed(found, "ready", "trashed", "gone")
    if mine:
        if not days:
            await connection.execute(LOCK_OWNER, owner_id)
        await connection.execute(LOCK_ALBUMS_OF, mine)
        leave, moment = (TO_TRASH, [own_time()]) if days else (TO_NOTHING, [])
        await connection.execute(leave, owner_id, mine, request_id, *moment)
    return changed


LOCK_ALBUMS_LEFT = """
SELECT FROM albums WHERE id = ANY (ARRAY(
    SELECT album_id FROM trashed_memberships WHERE photo_id = ANY ($1::bigint[])
    UNION SELECT unnest($2::bigint[])
)) ORDER BY id FOR NO KEY UPDATE"""

FROM_TRASH = """
WITH back AS (
    DELETE FROM trashed_memberships WHERE photo_id = ANY ($1::bigint[])
    RETURNING photo_id, album_id, position, was_cover
), members AS (
    INSERT INTO album_photos (album_id, photo_id, position)
    SELECT album_id, photo_id, position FROM back WHERE position IS NOT NULL
    ON CONFLICT DO NOTHING RETURNING album_id, photo_id
), last AS (
    SELECT DISTINCT ON (b.album_id) b.album_id, b.photo_id FROM back b
    JOIN unnest($1) AS mine (id) ON mine.id = b.photo_id JOIN photos p ON p.id = mine.id
    WHERE b.was_cover ORDER BY b.album_id, p.trashed_at DESC, p.id DESC
), covered AS (
    UPDATE albums a SET cover_photo_id = last.photo_id FROM last
    WHERE a.id = last.album_id AND a.cover_photo_id IS NULL
), mine AS (
    UPDATE photos p SET status = 'ready', trashed_at = NULL
    FROM unnest($1) AS mine (id) WHERE p.id = mine.id
)
SELECT b.album_id, b.photo_id, b.position FROM back b
LEFT JOIN members m ON m.album_id = b.album_id AND m.photo_id = b.photo_id
WHERE b.position IS NOT NULL AND m.photo_id IS NULL ORDER BY b.album_id, b.position, b.photo_id"""

NEXT_FREE = """
INSERT INTO album_photos (album_id, photo_id, position)
SELECT $1, $2, m.position + 1 FROM album_photos m WHERE m.album_id = $1 AND m.position >= $3
AND NOT EXISTS (SELECT FROM album_photos n WHERE n.album_id = $1 AND n.position = m.position + 1)
ORDER BY m.position LIMIT 1 ON CONFLICT DO NOTHING"""

MAKE_RENDITIONS = f"""
WITH waiting AS (
    -- It sees the photo again: nobody leases it before this transaction has ended.
    SELECT subject_id FROM jobs WHERE subject_id = ANY ($1::bigint[]) AND kind = 'renditions'
    AND state = 'queued' FOR KEY SHARE SKIP LOCKED
), owed AS (
    SELECT id FROM unnest($1) AS id WHERE id NOT IN (SELECT subject_id FROM waiting)
), {enqueuing("renditions", "owed", "$2")}
SELECT FROM job"""


async def restore(
    connection: Any, owner_id: int, photo_ids: Sequence[int], album_ids: Sequence[int | None] = ()
) -> Changed:
    """Take those of these ids, which ascend, out of the trash, into the albums that they were in
    and that are still there: at their position, or the next free one, and as the cover where there
    is none meanwhile. `album_ids` are locked too, and the owner before them, for an upload that the
    transaction ends next. Renditions are made of those whose job came while they were in the trash.
    """
    found = await lock(connection, owner_id, photo_ids)
    mine, changed = _changed(found, "trashed", "ready")
    if not mine:
        return changed
    if album_ids:
        await connection.execute(LOCK_OWNER, owner_id)
    await connection.execute(LOCK_ALBUMS_LEFT, mine, album_ids)
    for displaced in await connection.fetch(FROM_TRASH, mine):  # seldom: others were put there
        await connection.execute(NEXT_FREE, *displaced)
    unmade = [photo_id for photo_id in mine if found[photo_id]["renditions"] == "pending"]
    if unmade:
        await connection.execute(MAKE_RENDITIONS, unmade, traceparent())
    return changed


PURGE = """UPDATE photos p SET status = 'gone', gone_at = now()
FROM unnest($1::bigint[]) AS mine (id) WHERE p.id = mine.id"""

FORGET = """
WITH kept AS MATERIALIZED (
    SELECT FROM albums WHERE id = ANY (ARRAY(
        SELECT album_id FROM trashed_memberships WHERE photo_id = ANY ($1::bigint[])
    )) ORDER BY id FOR NO KEY UPDATE
)
DELETE FROM trashed_memberships WHERE photo_id = ANY ($1) AND (SELECT count(*) FROM kept) >= 0"""
"""Behind the change of the photos, by which their owners are locked. Who deletes an album, or
spreads what is in it, wants these rows in another order: its lock decides."""


async def purge(connection: Any, owner_id: int, photo_ids: Sequence[int]) -> Changed:
    """Delete those of these ids, which ascend, that are in the trash for good; a trigger leaves
    their bytes to the sweep."""
    found = await lock(connection, owner_id, photo_ids)
    mine, changed = _changed(found, "trashed", "gone")
    if mine:
        await connection.execute(PURGE, mine)
        await connection.execute(FORGET, mine)
    return changed


async def purge_due(connection: Any, days: int, lease: Lease) -> int:
    """How many of those that are in the trash for `days`, by both clocks, are purged: the next
    1,000 at most. One that somebody restores at this moment is left alone."""
    purged = await connection.fetch(
        f"""
        WITH {FENCE}, due AS (
            SELECT id FROM photos WHERE status = 'trashed'
            AND trashed_at < {both("$4")} - make_interval(days => $3) AND {HELD}
            ORDER BY trashed_at LIMIT {BATCH} FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE photos p SET status = 'gone', gone_at = now() FROM due
        WHERE p.id = due.id AND p.status = 'trashed' RETURNING p.id
        """,
        *lease, days, own_time(),
    )  # fmt: skip
    if purged:
        await connection.execute(FORGET, [row["id"] for row in purged])
    return len(purged)


async def purge_all_due(db: Any, days: int, lease: Lease) -> None:
    """In rounds; a process that loses the lease in between purges nothing more."""
    total, purged = 0, BATCH
    while purged:
        async with db.transaction() as connection:
            purged = await purge_due(connection, days, lease)
        total += purged
    if total:
        log.info("purged from the trash", extra={"fields": {"photos": total}})


async def now(db: Any, owner_id: int) -> datetime:
    """Before it is all that is in a trash, also what an instance whose clock is ahead put there."""
    moment: datetime = await db.fetchval(
        "SELECT greatest(now(), (SELECT max(trashed_at) FROM photos"
        " WHERE owner_id = $1 AND status = 'trashed'))",
        owner_id,
    )
    return moment


async def oldest(db: Any, owner_id: int, until: datetime) -> list[int]:
    """The next of a trash to be purged, of those that were there `until` then: ids, ascending."""
    rows = await db.fetch(
        "SELECT id FROM photos WHERE owner_id = $1 AND status = 'trashed' AND trashed_at <= $2"
        f" ORDER BY trashed_at, id LIMIT {BATCH}",
        owner_id, until,
    )  # fmt: skip
    return sorted(row["id"] for row in rows)


async def count(db: Any, owner_id: int, until: datetime) -> int:
    """How many there are of those, up to `MOST_COUNTED`."""
    number: int = await db.fetchval(
        "SELECT count(*) FROM (SELECT FROM photos WHERE owner_id = $1 AND status = 'trashed'"
        f" AND trashed_at <= $2 LIMIT {MOST_COUNTED}) AS found",
        owner_id, until,
    )  # fmt: skip
    return number


TRASH = ended_by_bytes(
    f"SELECT p.trashed_at, {COLUMNS} FROM photos p WHERE p.owner_id = $1 AND p.status = 'trashed'"
    " AND (p.trashed_at, p.id) < ($2, $3) ORDER BY p.trashed_at DESC, p.id DESC LIMIT $4",
    order="p.trashed_at DESC, p.id DESC",
)


async def page(db: Any, owner_id: int, before: tuple[datetime, int], limit: int) -> list[Any]:
    """What was deleted last first, from behind this time and id, as many as a page can hold."""
    rows: list[Any] = await db.fetch(TRASH, owner_id, *before, limit)
    return rows

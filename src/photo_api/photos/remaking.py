"""SQL that finds photos without renditions, and enqueues them."""

from typing import Any

from photo_api.db import totals
from photo_api.jobs.queue import enqueuing
from photo_api.photos.formats import HARDLY_SHOWN
from photo_api.registry.leases import FENCE, HELD, Lease

BATCH = 500
DISPLAYS = 200
"""Display renditions of photos from before there were any, that wait at once."""

WITHOUT = """p.status = 'ready' AND (p.renditions = 'failed' OR p.thumbnail_key IS NULL)
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.kind = 'renditions' AND j.subject_id = p.id
                    AND j.state <> 'dead')"""
"""A photo `p` whose renditions are not there, and nobody is about to make them."""

UNSHOWN = f"""p.content_type IN {HARDLY_SHOWN} AND p.display_key IS NULL
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.subject_id = p.id AND j.kind = 'display')"""
"""A photo `p` that needs a display rendition, and nobody is about to make it nor has failed to."""


async def remake(db: Any, after: int, cause: str | None, older_than: float) -> list[int]:
    """Enqueue the next photos with an id above `after` that have no renditions: those that are
    `older_than` seconds old, and whose `renditions_error` is `cause` or begins with it and a colon,
    if that is given. Their ids. Dead jobs of theirs are forgotten, those for display revived."""
    rows = await db.fetch(
        f"""
        WITH mine AS (
            SELECT p.id FROM photos p WHERE {WITHOUT} AND p.id > $1
            AND ($2::text IS NULL OR $2 IN (
                p.renditions_error, split_part(p.renditions_error, ':', 1)))
            AND p.created_at <= now() - make_interval(secs => $3)
            ORDER BY p.id LIMIT {BATCH} FOR UPDATE SKIP LOCKED
        ), dead AS (
            -- Jobs are locked before photos elsewhere: one that somebody has is not waited for.
            SELECT j.id, j.kind FROM jobs j JOIN mine ON j.subject_id = mine.id
            WHERE j.kind IN ('renditions', 'display') AND j.state = 'dead'
            FOR UPDATE OF j SKIP LOCKED
        ), forgotten AS (
            DELETE FROM jobs USING dead WHERE jobs.id = dead.id AND dead.kind = 'renditions'
        ), revived AS (
            UPDATE jobs SET state = 'queued', available_at = now(), handed_back = attempt
            FROM dead WHERE jobs.id = dead.id AND dead.kind = 'display'
        ), again AS (
            UPDATE photos p SET renditions = 'pending', renditions_error = NULL,
                metadata_reader = 0
            FROM mine WHERE p.id = mine.id AND p.status = 'ready' RETURNING p.id
        ), {enqueuing("renditions", "again")}
        SELECT id FROM again
        """,
        after, cause, older_than,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def photos_without(connection: Any, timeout: float) -> list[int]:
    """Ids of all photos without renditions."""
    rows = await connection.fetch(
        f"SELECT p.id FROM photos p WHERE {WITHOUT} ORDER BY p.id", timeout=timeout
    )
    return [row["id"] for row in rows]


async def enqueue_displays(db: Any, lease: Lease) -> int:
    """Have display renditions made of the newest photos that need one, so that at most `DISPLAYS`
    wait; how many are enqueued. New photos get theirs with their renditions: these are from the
    release before."""
    enqueued: int = await db.fetchval(
        f"""
        WITH {FENCE}, waiting AS (
            SELECT coalesce(sum(rows), 0) AS n FROM {totals.KNOWN} AS known
            WHERE name = 'jobs' AND kind = 'display'
        ), next AS (
            SELECT p.id FROM photos p WHERE p.status = 'ready' AND {UNSHOWN}
            AND p.renditions IN ('ready', 'partial') AND {HELD}
            ORDER BY p.id DESC LIMIT (SELECT greatest($3 - n, 0) FROM waiting)
        ), {enqueuing("display", "next")}
        SELECT count(*) FROM job
        """,
        *lease, DISPLAYS,
    )  # fmt: skip
    return enqueued

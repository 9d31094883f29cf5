"""SQL that finds photos without renditions, and enqueues them again."""

from typing import Any

from photo_api.jobs.queue import enqueuing

BATCH = 500

WITHOUT = """p.status = 'ready' AND (p.renditions = 'failed' OR p.thumbnail_key IS NULL)
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.kind = 'renditions' AND j.subject_id = p.id
                    AND j.state <> 'dead')"""
"""A photo `p` whose renditions are not there, and nobody is about to make them."""


async def remake(db: Any, after: int, cause: str | None, older_than: float) -> list[int]:
    """Enqueue the next photos with an id above `after` that have no renditions: those that are
    `older_than` seconds old, and whose `renditions_error` is `cause` or begins with it and a colon,
    if that is given. Their ids. Dead jobs of theirs are forgotten."""
    rows = await db.fetch(
        f"""
        WITH mine AS (
            SELECT p.id FROM photos p WHERE {WITHOUT} AND p.id > $1
            AND ($2::text IS NULL OR $2 IN (
                p.renditions_error, split_part(p.renditions_error, ':', 1)))
            AND p.created_at <= now() - make_interval(secs => $3)
            ORDER BY p.id LIMIT {BATCH} FOR UPDATE SKIP LOCKED
        ), forgotten AS (
            DELETE FROM jobs USING mine
            WHERE kind = 'renditions' AND subject_id = mine.id AND state = 'dead'
        ), again AS (
            UPDATE photos p SET renditions = 'pending', renditions_error = NULL
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

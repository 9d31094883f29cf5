"""SQL of the timeline: photos by the month in which they were taken, by the clock there.

Triggers leave each change of a month's number in `timeline_changes`, in the transaction that makes
it (see `sql/0034_dates.sql`), and maintenance adds them up. No row is one that several writers wait
for.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from photo_api.registry import leases
from photo_api.registry.leases import FENCE, HELD, Lease

MOST_CHANGES = 50_000
"""Changes that are added up at once."""

ADD_UP = f"""
WITH {FENCE}, taken AS (
    DELETE FROM timeline_changes WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM timeline_changes LIMIT {MOST_CHANGES} FOR UPDATE SKIP LOCKED
    )) AND {HELD} RETURNING owner_id, month, shown, archived
)
INSERT INTO timeline_months AS t (owner_id, month, shown, archived)
SELECT owner_id, month, sum(shown), sum(archived) FROM taken
GROUP BY owner_id, month ORDER BY owner_id, month
ON CONFLICT (owner_id, month) DO UPDATE SET shown = t.shown + excluded.shown,
    archived = t.archived + excluded.archived
"""
"""Each change once, whoever adds up beside."""


async def add_up(db: Any, lease: Lease) -> None:
    """Add the changes to their months, and forget those that are empty."""
    await db.execute(ADD_UP, *lease)
    await leases.execute(db, lease, "DELETE FROM timeline_months WHERE shown = 0 AND archived = 0")


async def months(db: Any, owner_id: int, *, archived: bool) -> list[Any]:
    """The latest first: each month in which the owner has photos that are shown, or archived ones,
    and how many."""
    column = "archived" if archived else "shown"
    rows: list[Any] = await db.fetch(
        f"""
        SELECT to_char(month, 'YYYY-MM') AS month, sum({column})::bigint AS photos FROM (
            SELECT month, {column} FROM timeline_months WHERE owner_id = $1
            UNION ALL SELECT month, {column} FROM timeline_changes WHERE owner_id = $1
        ) AS told GROUP BY told.month HAVING sum({column}) <> 0 ORDER BY told.month DESC
        """,
        owner_id,
    )
    return rows


async def month(
    db: Any,
    owner_id: int,
    first: datetime,
    before: tuple[datetime, int],
    limit: int,
    *,
    archived: bool,
) -> Any:
    """A page of the month that begins at `first`, behind the position `before` (date and id of a
    photo; the latest come first): its columns as JSON, of up to `limit` photos that are archived,
    or of the others, how many those are, and the last one's place. All of it is in an index."""
    which = "archived" if archived else "NOT archived"
    return await db.fetchrow(
        f"""
        SELECT count(*) AS photos, min(sort_at) AS last_at, (array_agg(id))[count(*)] AS last_id,
            '[' || coalesce(string_agg(id::text, ','), '') || ']' AS ids,
            '[' || coalesce(string_agg(coalesce((
                round(width * 100::float8 / nullif(height, 0)) / 100)::text, 'null'), ','), '')
                || ']' AS ratios,
            '[' || coalesce(string_agg(date_part('day', sort_at)::text, ','), '') || ']' AS days,
            '[' || coalesce(string_agg(id::text, ',') FILTER (WHERE favourite), '')
                || ']' AS favourites
        FROM (
            SELECT id, sort_at, width, height, favourite FROM photos
            WHERE owner_id = $1 AND status = 'ready' AND {which}
            AND sort_at >= $2 AND (sort_at, id) < ($3, $4)
            ORDER BY sort_at DESC, id DESC LIMIT $5
        ) AS page
        """,
        owner_id, first, *before, limit,
    )  # fmt: skip


async def tiles(db: Any, owner_id: int, ids: Sequence[int]) -> list[Any]:
    """What tiles show of those of these photos that are the owner's, in any order: columns in the
    order of a `Tile`, the thumbnail's key last."""
    rows: list[Any] = await db.fetch(
        # One by one: an index that begins with the owner might be read to its end.
        "SELECT p.* FROM unnest($2::bigint[]) AS wanted (id), LATERAL ("
        " SELECT id, title, original_filename, content_type, width, height, blurhash, sort_at,"
        " favourite, archived, renditions, thumbnail_key FROM photos"
        " WHERE id = wanted.id AND owner_id = $1 AND status = 'ready' OFFSET 0) AS p",
        owner_id, ids,
    )  # fmt: skip
    return rows

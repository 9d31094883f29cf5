"""SQL of the timeline: photos by the month in which they were taken, by the clock there.

Triggers leave each change of a month's number in `timeline_changes`, in the transaction that makes
it (see `sql/0034_dates.sql`), and maintenance adds them up. No row is one that several writers wait
for.
"""

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

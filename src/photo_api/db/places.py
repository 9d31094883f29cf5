"""Bounds for what a user has at once, which hold also when many are begun at the same moment.

To count at every beginning would take the longer the more there are, and miss those whose
transactions are under way. So a row keeps how many were ever begun and how many of them were seen
to have ended. Its lock lets one statement after the other begin one; when the difference has come
to the bound, they are counted anew.
"""

from typing import Any

TRIES = 3
"""Beginnings of one request; others may take the places that a count has found."""


def taking(kind: str, most: str, wanted: str) -> str:
    """A common table expression, `place`: it has a row if the query `wanted` has one, and the user
    $1 has not begun `most` (a parameter) without an end. Then one more is begun."""
    return f"""place AS (
        UPDATE places SET begun = begun + 1 WHERE user_id = $1 AND kind = '{kind}'
        AND begun - ended < {most} AND EXISTS ({wanted}) RETURNING 1
    )"""


async def count_anew(db: Any, user_id: int, kind: str, counted: str) -> Any:
    """The row of the query `counted`, whose `n` is how many the user has now. A transaction that
    began one since, unseen by the query, has changed `begun`; then nothing is noted."""
    return await db.fetchrow(
        f"""
        WITH seen AS MATERIALIZED (
            SELECT counted.*, (SELECT begun FROM places WHERE user_id = $1 AND kind = $2) AS begun
            FROM ({counted}) AS counted
        ), made AS (
            INSERT INTO places (user_id, kind, begun) SELECT $1, $2, n FROM seen
            WHERE begun IS NULL ON CONFLICT DO NOTHING
        ), noted AS (
            UPDATE places p SET ended = p.begun - seen.n FROM seen
            WHERE p.user_id = $1 AND p.kind = $2 AND p.begun = seen.begun
        )
        SELECT * FROM seen
        """,
        user_id, kind,
    )  # fmt: skip

"""SQL of a user's sessions, which are families of refresh tokens, as their owner sees them."""

from typing import Any
from uuid import UUID

MOST_SHOWN = 100


async def sessions(db: Any, user_id: int, longest: int) -> list[Any]:
    """The newest that can still be refreshed, as no session of over `longest` seconds can."""
    rows: list[Any] = await db.fetch(
        "SELECT f.id::text, f.created_at, coalesce(f.last_used_at, f.created_at) AS last_used_at,"
        " f.network, f.agent FROM refresh_families f"
        " WHERE f.user_id = $1 AND f.revoked_at IS NULL"
        " AND f.created_at > now() - make_interval(secs => $2) AND EXISTS ("
        "  SELECT FROM refresh_tokens t WHERE t.family_id = f.id AND t.expires_at > now())"
        f" ORDER BY f.created_at DESC LIMIT {MOST_SHOWN}",
        user_id, longest,
    )  # fmt: skip
    return rows


async def end_session(db: Any, user_id: int, session: UUID) -> bool:
    """Whether it is one of theirs; one that has ended stays as it is."""
    return await db.fetchval(
        "UPDATE refresh_families SET revoked_at = coalesce(revoked_at, now())"
        " WHERE id = $2 AND user_id = $1 RETURNING true",
        user_id, session,
    ) is not None  # fmt: skip


async def end_sessions(db: Any, user_id: int, kept: UUID | None) -> int:
    """End all of theirs but the one that is `kept`; how many there were."""
    count: int = await db.fetchval(
        "WITH ended AS (UPDATE refresh_families SET revoked_at = now()"
        "  WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $2 RETURNING 1)"
        " SELECT count(*) FROM ended",
        user_id, kept,
    )  # fmt: skip
    return count

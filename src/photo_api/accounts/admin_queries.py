"""SQL of accounts as an operator sees them."""

from typing import Any


async def users(db: Any, search: str | None, after: int, limit: int) -> list[Any]:
    """Accounts behind the id `after`, those whose e-mail has this text in it."""
    rows: list[Any] = await db.fetch(
        "SELECT id, email, username, is_active, closed_at IS NOT NULL AS closed, created_at,"
        " used_bytes, quota_bytes FROM users WHERE id > $1"
        " AND ($2::text IS NULL OR strpos(lower(email), lower($2)) > 0) ORDER BY id LIMIT $3",
        after, search, limit,
    )  # fmt: skip
    return rows


async def set_quota(db: Any, user_id: int, size: int | None) -> bool:
    """Whether there is such a user, who may hold `size` bytes from now on; None: as everyone."""
    change = "UPDATE users SET quota_bytes = $2 WHERE id = $1 RETURNING true"
    return await db.fetchval(change, user_id, size) is not None

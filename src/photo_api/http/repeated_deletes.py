"""A DELETE that a proxy repeats because its answer was lost has the answer that was lost.

nginx repeats a request at another instance under the same X-Request-ID. What was deleted is kept
with that id for some minutes; another request for the same object stays 404.
"""

from typing import Any, Literal

from photo_api.registry import leases

Kind = Literal["photo", "album", "share"]


def remembered(kind: Kind, request_id: str) -> str:
    """The common table expression that belongs into the deleting statement: `$1` is the owner,
    `mine` has the `id` of what is deleted; `request_id` is the parameter's name."""
    return f"""remembered AS (
        INSERT INTO deletions (user_id, kind, object_id, request_id)
        SELECT $1, '{kind}', id, {request_id} FROM mine ON CONFLICT DO NOTHING
    )"""


OWNER = "owner AS MATERIALIZED (SELECT id FROM users WHERE id = $1 FOR KEY SHARE)"
"""The common table expression that belongs before `mine` where this locks share links: what is
remembered refers to the owner, whom those who close an account lock first, and its links then."""


async def was_carried_out(
    db: Any, user_id: int, kind: Kind, object_id: int, request_id: str
) -> bool:
    """Whether this very request deleted the object before. Ask in a statement after the one that
    found nothing: that one may have waited for the first to commit."""
    return await db.fetchval(
        "SELECT true FROM deletions"
        " WHERE user_id = $1 AND kind = $2 AND object_id = $3 AND request_id = $4",
        user_id, kind, object_id, request_id,
    ) is not None  # fmt: skip


async def prune_deletions(db: Any, lease: leases.Lease) -> None:
    """Forget them after ten minutes: no proxy waits that long."""
    old = "SELECT ctid FROM deletions WHERE at < now() - interval '10 minutes' LIMIT $3"
    some = f"DELETE FROM deletions WHERE ctid = ANY (ARRAY ({old}))"
    await leases.execute(db, lease, some, leases.ROWS_AT_ONCE)

"""SQL of an account's end. It is closed in one statement, which also frees its e-mail; what
belonged to it is deleted in rounds, and the user's row with the last of it.

Whoever was let in before may go on for a moment: uploads end, confirmations copy, albums are made.
Their rows refer to the user's, so the round that takes that row away waits for their transactions
and deletes it only when nothing of theirs is there; after it the database refuses them.
"""

from typing import Any

from photo_api.jobs.queue import enqueuing
from photo_api.registry.leases import FENCE, HELD, Lease

PHOTOS_AT_ONCE = 500
ROWS_AT_ONCE = 2000

CLOSE = f"""
WITH closed AS (
    UPDATE users SET closed_at = now(), is_active = false, email = 'closed-' || id,
        email_fold = 'closed-' || id, username = '', password_hash = ''
    WHERE id = $1 AND closed_at IS NULL AND coalesce(password_hash = $2, true) RETURNING id
), ended AS (
    UPDATE refresh_families f SET revoked_at = now() FROM closed
    WHERE f.user_id = closed.id AND f.revoked_at IS NULL
), unlinked AS (
    UPDATE shares s SET is_active = false FROM albums a, closed
    WHERE a.owner_id = closed.id AND s.album_id = a.id AND s.is_active
), {enqueuing("closed_account", "closed", user="id")}
SELECT true FROM closed
"""


async def close(db: Any, user_id: int, known: str | None) -> bool:
    """Close the account, whose sessions and share links end with it, and have it deleted. False:
    somebody else has, or its password's hash is not the `known` one any more, if one is given."""
    return await db.fetchval(CLOSE, user_id, known) is not None


async def delete_photos(connection: Any, user_id: int) -> int:
    """The next photos, in whatever state, with what refers to them; their bytes are left to the
    sweep as those of any photo that is gone. How many they were. Jobs are locked first, then
    photos, then the user's row for its sum of bytes, then albums, as wherever several of them are;
    a job that is just ending finds nothing."""
    # In no order: to sort them, each round would read all that are left.
    ids = [
        row["id"]
        for row in await connection.fetch(
            "SELECT id FROM photos WHERE owner_id = $1 LIMIT $2",
            user_id, PHOTOS_AT_ONCE,
        )
    ]  # fmt: skip
    if not ids:
        return 0
    for statement in OF_PHOTOS:
        await connection.execute(statement, ids)
    return len(ids)


OF_PHOTOS = (
    "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE subject_id = ANY ($1)"
    " AND kind IN ('renditions', 'display', 'metadata') FOR UPDATE SKIP LOCKED)",
    "SELECT FROM photos WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE",
    "UPDATE photos SET status = 'gone', gone_at = now() WHERE id = ANY ($1) AND status <> 'gone'",
    "SELECT FROM albums WHERE id = ANY (ARRAY("
    " SELECT id FROM albums WHERE cover_photo_id = ANY ($1)"
    " UNION SELECT album_id FROM album_photos WHERE photo_id = ANY ($1)"
    " UNION SELECT album_id FROM trashed_memberships WHERE photo_id = ANY ($1)"
    ")) ORDER BY id FOR NO KEY UPDATE",
    "DELETE FROM album_photos WHERE photo_id = ANY ($1)",
    "DELETE FROM photos WHERE id = ANY ($1) AND status = 'gone'",
)

OF_USER = (
    "DELETE FROM jobs WHERE id IN (SELECT j.id FROM albums a JOIN jobs j ON j.subject_id = a.id"
    " AND j.kind = 'shared_album' WHERE a.owner_id = $1 LIMIT $2 FOR UPDATE OF j SKIP LOCKED)",
    "DELETE FROM shares WHERE id IN (SELECT s.id FROM albums a JOIN shares s ON s.album_id = a.id"
    " WHERE a.owner_id = $1 LIMIT $2)",
    "DELETE FROM albums WHERE id IN ("
    " SELECT id FROM albums WHERE owner_id = $1 ORDER BY id LIMIT $2)",
    "DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY("
    " SELECT ctid FROM idempotency_keys WHERE user_id = $1 LIMIT $2)) AND user_id = $1",
    "DELETE FROM deletions WHERE ctid = ANY (ARRAY("
    " SELECT ctid FROM deletions WHERE user_id = $1 LIMIT $2)) AND user_id = $1",
    "DELETE FROM refresh_tokens WHERE token_hash IN (SELECT t.token_hash FROM refresh_families f"
    " JOIN refresh_tokens t ON t.family_id = f.id WHERE f.user_id = $1 LIMIT $2)",
    "DELETE FROM refresh_families WHERE id IN (SELECT id FROM refresh_families f"
    " WHERE user_id = $1 AND NOT EXISTS (SELECT FROM refresh_tokens WHERE family_id = f.id)"
    " LIMIT $2)",
    "DELETE FROM places WHERE user_id = $1 AND $2 > 0",
)
"""Each takes some of what belongs to a user who has no photos, in an order in which none takes
along what has not been taken."""


async def delete_belongings(connection: Any, user_id: int) -> int:
    """The next rows of each kind; how many they were."""
    count = 0
    for statement in OF_USER:
        done: str = await connection.execute(statement, user_id, ROWS_AT_ONCE)
        count += int(done.rpartition(" ")[2])
    return count


async def delete_user(connection: Any, user_id: int) -> bool:
    """Whether the user's row is gone. Nobody adds to what is theirs from the first statement on,
    and the second sees what was added before."""
    locked = "SELECT true FROM users WHERE id = $1 AND closed_at IS NOT NULL FOR UPDATE"
    if await connection.fetchval(locked, user_id) is None:
        return True
    return await connection.fetchval(DELETE_USER, user_id) is not None


DELETE_USER = """
DELETE FROM users WHERE id = $1
AND NOT EXISTS (SELECT FROM photos WHERE owner_id = $1)
AND NOT EXISTS (SELECT FROM albums WHERE owner_id = $1)
AND NOT EXISTS (SELECT FROM places WHERE user_id = $1)
AND NOT EXISTS (SELECT FROM idempotency_keys WHERE user_id = $1)
AND NOT EXISTS (SELECT FROM refresh_families WHERE user_id = $1)
RETURNING true
"""

MOST_BEGUN = 1000


async def enqueue_deletions(db: Any, lease: Lease) -> None:
    """Have closed accounts deleted whose job is not there, or has been dead for an hour."""
    await db.execute(
        f"WITH {FENCE}, left_over AS ("
        f" SELECT id FROM users u WHERE closed_at IS NOT NULL AND {HELD} AND NOT EXISTS ("
        "  SELECT FROM jobs j WHERE j.subject_id = u.id AND j.kind = 'closed_account'"
        "  AND (j.state <> 'dead' OR j.available_at > now() - interval '1 hour'))"
        f" ORDER BY id LIMIT {MOST_BEGUN}"
        f"), {enqueuing('closed_account', 'left_over', user='id')} SELECT count(*) FROM job",
        *lease,
    )

"""SQL of accounts and refresh tokens."""

from typing import Any
from uuid import UUID

import asyncpg

from photo_api.accounts.identities import fold, nearness
from photo_api.registry.leases import FENCE, HELD, Lease

TOKENS_AT_ONCE = 10_000


async def insert_user(db: Any, email: str, username: str, password_hash: str) -> Any | None:
    """The new user's row, or None when the e-mail is taken, in whatever spelling."""
    return await db.fetchrow(
        "INSERT INTO users (email, email_fold, username, password_hash) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT DO NOTHING RETURNING id, email, username, is_active, created_at",
        email, fold(email), username, password_hash,
    )  # fmt: skip


async def user_by_email(db: Any, email: str) -> Any | None:
    """The account with this e-mail in any spelling; of accounts that collide, the one whose
    spelling is nearest."""
    folded = fold(email)
    rows = await db.fetch(
        "SELECT id, email, password_hash, is_active FROM users WHERE email_fold = $1"
        " UNION ALL SELECT id, email, password_hash, is_active FROM users"
        " WHERE email_fold IS NULL AND lower(email) = lower($2)",
        folded, email,
    )  # fmt: skip
    # PostgreSQL folds more than we do: nobody is found by a spelling that is counted apart.
    found = [row for row in rows if fold(row["email"]) == folded]
    return max(found, key=lambda row: nearness(row["email"], email), default=None)


async def fill_folds(db: Any, lease: Lease, after: int, most: int) -> tuple[list[int], int | None]:
    """Fill in what the release before has left out, for the next `most` users behind the id
    `after`: ids of those whose e-mail collides with another's, which stay as they are, and the last
    id, None when there are no more."""
    rows = await db.fetch(
        "SELECT id, email FROM users WHERE email_fold IS NULL AND id > $1 ORDER BY id LIMIT $2",
        after, most,
    )  # fmt: skip
    collide = await db.fetch(
        f"WITH {FENCE}, folds AS ("
        "  SELECT * FROM unnest($3::bigint[], $4::text[]) AS f (id, email_fold)"
        "), filled AS (UPDATE users u SET email_fold = f.email_fold FROM folds f"
        f" WHERE u.id = f.id AND {HELD}"
        " AND NOT EXISTS (SELECT FROM users o WHERE o.email_fold = f.email_fold AND o.id <> f.id)"
        " AND NOT EXISTS (SELECT FROM folds o WHERE o.email_fold = f.email_fold AND o.id < f.id)"
        " RETURNING u.id)"
        f" SELECT id FROM folds WHERE {HELD} AND id NOT IN (SELECT id FROM filled) ORDER BY id",
        *lease, [row["id"] for row in rows], [fold(row["email"]) for row in rows],
    )  # fmt: skip
    return [row["id"] for row in collide], rows[-1]["id"] if len(rows) == most else None


async def user_by_id(db: Any, user_id: int, quota: int) -> Any | None:
    """The account, with the bytes of its originals and how many they may be (None: no bound), where
    nothing else is said `quota` (0: no bound)."""
    return await db.fetchrow(
        "SELECT id, email, username, is_active, created_at, used_bytes,"
        " nullif(coalesce(quota_bytes, $2), 0) AS quota_bytes FROM users WHERE id = $1",
        user_id, quota,
    )  # fmt: skip


async def credentials(db: Any, user_id: int) -> Any | None:
    """None also for an account that is closed."""
    return await db.fetchrow(
        "SELECT id, email, password_hash FROM users WHERE id = $1 AND closed_at IS NULL", user_id
    )


async def session(db: Any, user_id: int, family: UUID | None) -> Any | None:
    """Whether the user is active and the family of refresh tokens, which is the session, alive; a
    token without one lives. None without such a user, or when they have closed their account."""
    return await db.fetchrow(
        "SELECT u.is_active, $2::uuid IS NULL OR EXISTS (SELECT FROM refresh_families f"
        "  WHERE f.id = $2 AND f.user_id = u.id AND f.revoked_at IS NULL) AS is_alive"
        " FROM users u WHERE u.id = $1 AND u.closed_at IS NULL",
        user_id, family,
    )  # fmt: skip


async def set_active(db: Any, email: str, active: bool) -> bool:
    """Whether there is such a user. Sessions and share links end with a deactivation and do not
    come back: those that were made while it took effect end with the activation."""
    user = await user_by_email(db, email.strip())
    return user is not None and await db.fetchval(
        "WITH changed AS ("
        "  UPDATE users SET is_active = $2 WHERE id = $1 AND is_active <> $2 RETURNING id),"
        " ended AS ("
        "  UPDATE refresh_families f SET revoked_at = now() FROM changed"
        "  WHERE f.user_id = changed.id AND f.revoked_at IS NULL), revoked AS ("
        "  UPDATE shares s SET is_active = false FROM albums a, changed"
        "  WHERE a.owner_id = changed.id AND s.album_id = a.id AND s.is_active)"
        " SELECT true",
        user["id"], active,
    ) is not None  # fmt: skip


COSTLIEST_BCRYPT = r"""SELECT max(substr(password_hash, 5, 2)) FROM users
WHERE password_hash ~ '^\$2[aby]\$(0[4-9]|1[0-4])\$'"""
"""In the words of its index."""


async def costliest_bcrypt(db: Any) -> int | None:
    """The highest cost of the bcrypt hashes that are left; None when there are none."""
    cost = await db.fetchval(COSTLIEST_BCRYPT)
    return int(cost) if cost is not None else None


async def replace_hash(db: Any, user_id: int, known: str, renewed: str) -> bool:
    """Keep another hash, of the same password or of a new one, unless the one that is `known` has
    been replaced meanwhile: whether it was."""
    change = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2"
    return await db.fetchval(f"{change} RETURNING true", user_id, known, renewed) is not None


async def start_family(
    db: Any,
    user_id: int,
    known: str,
    token_hash: bytes,
    ttl: int,
    network: str | None,
    agent: str | None,
) -> UUID | None:
    """Begin a family of refresh tokens, which is a session, with its first one; the family's id.
    None when the password's hash is not the `known` one any more. Who replaces that waits for this
    statement or this one for them, so that they see all sessions that it has let in."""
    family: UUID | None = await db.fetchval(
        "WITH proven AS (SELECT id FROM users WHERE id = $1 AND password_hash = $2 FOR SHARE),"
        " family AS (INSERT INTO refresh_families (user_id, last_used_at, network, agent)"
        "  SELECT id, now(), $5, $6 FROM proven RETURNING id)"
        " INSERT INTO refresh_tokens (token_hash, family_id, expires_at)"
        " SELECT $3, id, now() + make_interval(secs => $4) FROM family RETURNING family_id",
        user_id, known, token_hash, ttl, network, agent,
    )  # fmt: skip
    return family


async def lock_token(connection: asyncpg.Connection, token_hash: bytes, longest: int) -> Any | None:
    """The token with its family (locked, so that rotations of one family are in a row), its user,
    whether it or its family of `longest` seconds has expired, whether it was rotated, whether that
    is over a minute ago, whether its successor was used, and whether that is."""
    return await connection.fetchrow(
        "WITH token AS ("
        "  SELECT t.*, f.user_id, f.revoked_at IS NOT NULL AS revoked, u.is_active,"
        "  f.created_at + make_interval(secs => $2) AS ends_at"
        "  FROM refresh_tokens t JOIN refresh_families f ON f.id = t.family_id"
        "  JOIN users u ON u.id = f.user_id"
        "  WHERE t.token_hash = $1 FOR UPDATE OF f, t)"
        " SELECT t.family_id, t.user_id, t.revoked, t.is_active, t.successor_hash,"
        " least(t.expires_at, t.ends_at) <= now() AS expired, t.rotated_at IS NOT NULL AS rotated,"
        " coalesce(t.rotated_at <= now() - interval '1 minute', false) AS late,"
        " s.rotated_at IS NOT NULL AS successor_used,"
        " coalesce(s.rotated_at <= now() - interval '1 minute', false) AS outdated"
        " FROM token t LEFT JOIN refresh_tokens s ON s.token_hash = t.successor_hash",
        token_hash, longest,
    )  # fmt: skip


async def rotate(
    connection: asyncpg.Connection,
    token_hash: bytes,
    successor_hash: bytes,
    ttl: int,
    network: str | None,
    agent: str | None,
) -> None:
    await connection.execute(
        "WITH used AS (UPDATE refresh_tokens SET rotated_at = now(), successor_hash = $2"
        "              WHERE token_hash = $1 RETURNING family_id),"
        " seen AS (UPDATE refresh_families f SET last_used_at = now(), network = $4, agent = $5"
        "          FROM used WHERE f.id = used.family_id)"
        " INSERT INTO refresh_tokens (token_hash, family_id, expires_at)"
        " SELECT $2, family_id, now() + make_interval(secs => $3) FROM used",
        token_hash, successor_hash, ttl, network, agent,
    )  # fmt: skip


async def revoke_family(db: Any, family_id: Any) -> None:
    query = "UPDATE refresh_families SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL"
    await db.execute(query, family_id)


async def revoke_family_of(db: Any, token_hash: bytes) -> bool:
    """Whether there was such a token whose family was still alive."""
    return await db.fetchval(
        "UPDATE refresh_families SET revoked_at = now() WHERE revoked_at IS NULL AND id ="
        " (SELECT family_id FROM refresh_tokens WHERE token_hash = $1) RETURNING true",
        token_hash,
    ) is not None  # fmt: skip


async def prune(db: Any, lease: Lease) -> None:
    """Forget tokens that have expired, and families with the last of theirs. Two days later, since
    until then an access token of theirs may be valid, which wants to find its session."""
    await db.execute(
        f"WITH {FENCE}, old AS (DELETE FROM refresh_tokens WHERE token_hash IN ("
        "  SELECT token_hash FROM refresh_tokens WHERE expires_at < now() - interval '2 days'"
        f"  ORDER BY expires_at LIMIT $3) AND {HELD} RETURNING family_id)"
        # By this snapshot the old ones are still there.
        " DELETE FROM refresh_families f USING (SELECT DISTINCT family_id FROM old) gone"
        " WHERE f.id = gone.family_id AND NOT EXISTS (SELECT FROM refresh_tokens t"
        "  WHERE t.family_id = f.id AND t.expires_at >= now() - interval '2 days')",
        *lease, TOKENS_AT_ONCE,
    )  # fmt: skip

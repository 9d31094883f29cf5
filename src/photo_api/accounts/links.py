"""Links that an operator hands over, each for one use: to set a password anew, and to open an
account. The token stands behind the address's `#`, so that no server and no log sees it in a path;
the table has its digest alone."""

import secrets
from typing import Any, NamedTuple

from photo_api.accounts.identities import fold
from photo_api.accounts.tokens import digest
from photo_api.registry import leases

RESET_PAGE, INVITATION_PAGE = "/reset", "/register"


class Link(NamedTuple):
    """One that is handed over. Whoever has it may use it."""

    token: str
    page: str

    @classmethod
    def to(cls, page: str) -> "Link":
        return cls(secrets.token_urlsafe(32), page)

    @property
    def token_hash(self) -> bytes:
        return digest(self.token)

    def under(self, public_url: str) -> str:
        """Its address; without a public URL, its path."""
        return f"{public_url}{self.page}#token={self.token}"


async def allow_reset(db: Any, user_id: int, token_hash: bytes, seconds: float) -> Any:
    """When it expires. It takes the place of one that the user has."""
    return await db.fetchval(
        "WITH before AS (DELETE FROM account_links WHERE user_id = $1)"
        " INSERT INTO account_links (token_hash, kind, user_id, expires_at)"
        " VALUES ($2, 'reset', $1, now() + make_interval(secs => $3)) RETURNING expires_at",
        user_id, token_hash, float(seconds),
    )  # fmt: skip


async def invite(db: Any, email: str | None, token_hash: bytes, seconds: float) -> Any:
    """When it expires. It is for this e-mail, or for any."""
    return await db.fetchval(
        "INSERT INTO account_links (token_hash, kind, email_fold, expires_at)"
        " VALUES ($1, 'invitation', $2, now() + make_interval(secs => $3)) RETURNING expires_at",
        token_hash, email and fold(email), float(seconds),
    )  # fmt: skip


RESET = "WHERE token_hash = $1 AND kind = 'reset' AND expires_at > now()"
INVITATION = """WHERE token_hash = $1 AND kind = 'invitation' AND expires_at > now()
    AND coalesce(email_fold = $2, true)"""


async def reset_of(db: Any, token_hash: bytes) -> Any | None:
    """The account whose password the link sets, and whether it is active."""
    return await db.fetchrow(
        f"SELECT id, is_active FROM users WHERE id = (SELECT user_id FROM account_links {RESET})",
        token_hash,
    )


async def use_reset(connection: Any, token_hash: bytes, password_hash: str) -> bool:
    """Whether the link worked, once; needs a transaction, of which later statements see all
    sessions that the password before has let in."""
    used = f"WITH used AS (DELETE FROM account_links {RESET} RETURNING user_id)"
    return await connection.fetchval(
        f"{used} UPDATE users u SET password_hash = $2 FROM used"
        " WHERE u.id = used.user_id AND u.is_active RETURNING true",
        token_hash, password_hash,
    ) is not None  # fmt: skip


async def is_invitation(db: Any, token_hash: bytes, email: str) -> bool:
    """Whether it would let somebody with this e-mail in."""
    found = f"SELECT true FROM account_links {INVITATION}"
    return await db.fetchval(found, token_hash, fold(email)) is not None


async def use_invitation(connection: Any, token_hash: bytes, email: str) -> bool:
    """The same, once; in the transaction that opens the account."""
    used = f"DELETE FROM account_links {INVITATION} RETURNING true"
    return await connection.fetchval(used, token_hash, fold(email)) is not None


async def forget_resets(db: Any, user_id: int) -> None:
    """Links of the password before."""
    await db.execute("DELETE FROM account_links WHERE user_id = $1", user_id)


async def prune_links(db: Any, lease: leases.Lease) -> None:
    """Forget those that have expired."""
    old = "SELECT token_hash FROM account_links WHERE expires_at < now() LIMIT $3"
    some = f"DELETE FROM account_links WHERE token_hash = ANY (ARRAY ({old}))"
    await leases.execute(db, lease, some, leases.ROWS_AT_ONCE)

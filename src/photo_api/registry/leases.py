"""Leases: what one instance at a time may do for the whole fleet. All times are the database's.

A lease that is not renewed goes to another holder with a higher token. Every statement made under
it begins with `FENCE` and asks for `HELD`, so a holder that was away for too long (stopped, paused
with its machine, cut off) changes nothing when it comes back.
"""

from typing import Any, NamedTuple

FENCE = """fence AS MATERIALIZED (
    SELECT 1 FROM leases WHERE name = $1 AND token = $2 AND expires_at > now() FOR SHARE
)"""
"""A common table expression; the statement's first two parameters are the lease. Until the
statement ends no other can take the lease over: it lands before its successor's, or not at all."""

HELD = "EXISTS (SELECT FROM fence)"


class Lease(NamedTuple):
    """A lease as one holder got it; `token` is the fencing token."""

    name: str
    token: int


ROWS_AT_ONCE = 20_000
"""So many that are due are deleted in one round at most: after a long pause, more would outlast a
statement's time in every round anew, and none would ever go."""


AHEAD = 300.0
"""Seconds beyond a lease's own length at which its end cannot be an honest one: it was written
while the database's clock was ahead. Lengths differ by less, and no statement waits for so long."""


async def execute(db: Any, lease: Lease, statement: str, *args: object) -> None:
    """A statement that ends in a WHERE clause, without effect once the lease is lost. Parameters
    begin at $3."""
    await db.execute(f"WITH {FENCE} {statement} AND {HELD}", *lease, *args)


async def acquire(db: Any, name: str, holder: str, seconds: float) -> Lease | None:
    """The lease for `seconds`, or None while another has it. `holder` is for people to read. One
    that was given while the database's clock was ahead does not outlive that."""
    token: int | None = await db.fetchval(
        """
        INSERT INTO leases AS l (name, holder, token, expires_at)
        VALUES ($1, $2, 1, now() + make_interval(secs => $3))
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = l.token + 1,
            expires_at = excluded.expires_at
        WHERE l.expires_at <= now() OR l.expires_at > now() + make_interval(secs => $3 + $4)
        RETURNING token
        """,
        name, holder, float(seconds), AHEAD,
    )  # fmt: skip
    return None if token is None else Lease(name, token)


async def renew(db: Any, lease: Lease, seconds: float) -> bool:
    """Whether the lease is still ours: also one that had run out, if no other took it."""
    return await db.fetchval(
        "UPDATE leases SET expires_at = now() + make_interval(secs => $3)"
        " WHERE name = $1 AND token = $2 RETURNING true",
        *lease, float(seconds),
    ) is not None  # fmt: skip


async def release(db: Any, lease: Lease) -> None:
    """Free at once for another; without effect when another has it."""
    await db.execute("UPDATE leases SET expires_at = now() WHERE name = $1 AND token = $2", *lease)

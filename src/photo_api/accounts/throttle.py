"""Login throttling that holds across workers and instances, because it is counted in PostgreSQL.

An attempt is entered as pending before the password is hashed, in one statement, and settled
afterwards: a failure counts, a success does not. So a burst of parallel guesses cannot slip
through between look and count, and no number of right logins throttles anyone.
"""

import asyncio
import hmac
import random
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from photo_api.accounts.identities import fold
from photo_api.db.pool import Database
from photo_api.errors import ApiError, Code
from photo_api.registry import leases

PAIR_LIMIT, ADDRESS_LIMIT, ACCOUNT_LIMIT = 5, 50, 100
SHORT_WINDOW, ACCOUNT_WINDOW = 15 * 60, 60 * 60
DELAY_STEP, LONGEST_DELAY = 0.1, 2.0
LONGEST_WAIT = 3.0
LONGEST_ATTEMPT = 30.0
"""Seconds after which an attempt does not count whose worker has not settled it."""

POLL = 0.05

# What counts of a row: the failures of a window that is not over, and the attempts under way.
TAKEN = """(CASE WHEN a.window_ends > now() THEN a.failures ELSE 0 END
    + (SELECT count(*) FROM unnest(a.pending_at) p WHERE p > now() - make_interval(secs => $8)))"""

# A window's row is taken over once its time is up. An attempt is known by when it began. One
# that is refused or has to wait writes nothing: that is looked up, and once more with the rows
# locked, since many see the same place become free. No row: wait.
ENTER = f"""
WITH wanted (kind, key, seconds, lim) AS (
    VALUES ('account', $1::bytea, $4::float8, NULL::int),
           ('address', $2::bytea, $5::float8, $6::int),
           ('pair', $3::bytea, $5::float8, $7::int)
), taken AS (
    SELECT a.window_ends, a.window_ends > now() AND a.failures >= w.lim AS for_certain
    FROM login_attempts a JOIN wanted w USING (kind, key) WHERE {TAKEN} >= w.lim
), locked AS MATERIALIZED (
    SELECT {TAKEN} >= w.lim AS full FROM login_attempts a JOIN wanted w USING (kind, key)
    WHERE NOT EXISTS (SELECT FROM taken) ORDER BY kind FOR UPDATE OF a
), entered AS (
    INSERT INTO login_attempts AS a (kind, key, window_ends, pending_at)
    SELECT kind, key, now() + make_interval(secs => seconds), ARRAY[now()] FROM wanted
    WHERE NOT EXISTS (SELECT FROM taken) AND NOT EXISTS (SELECT FROM locked l WHERE l.full)
    ORDER BY kind
    ON CONFLICT (kind, key) DO UPDATE SET
        window_ends = CASE WHEN a.window_ends <= now() THEN excluded.window_ends
                           ELSE a.window_ends END,
        failures = CASE WHEN a.window_ends <= now() THEN 0 ELSE a.failures END,
        pending_at = ARRAY(SELECT p FROM unnest(a.pending_at) p
                           WHERE p > now() - make_interval(secs => $8)) || excluded.pending_at
    RETURNING kind, failures, cardinality(pending_at) AS pending
)
SELECT e.kind, e.failures, now() AS at, e.failures + e.pending > w.lim AS full,
       NULL::int AS seconds_left
FROM entered e JOIN wanted w USING (kind)
UNION ALL
SELECT NULL, 0, now(), true, ceil(extract(epoch FROM window_ends - clock_timestamp()))::int
FROM taken WHERE for_certain
"""

# In the order of their keys, as ENTER locks them, so that two attempts cannot deadlock.
SETTLE = """
WITH mine AS (
    SELECT kind, key FROM login_attempts
    WHERE (kind, key) IN (('account', $1::bytea), ('address', $2::bytea), ('pair', $3::bytea))
    ORDER BY kind FOR UPDATE
)
UPDATE login_attempts a
SET pending_at = array_remove(a.pending_at, $5::timestamptz), failures = a.failures + $4
FROM mine WHERE a.kind = mine.kind AND a.key = mine.key
"""

REGISTER = """
INSERT INTO login_attempts AS a (kind, key, window_ends, failures)
VALUES ('registration', $1, now() + make_interval(secs => $2), 1)
ON CONFLICT (kind, key) DO UPDATE SET
    window_ends = CASE WHEN a.window_ends <= now() THEN excluded.window_ends ELSE a.window_ends END,
    failures = CASE WHEN a.window_ends <= now() THEN 1 ELSE least(a.failures + 1, 1000000) END
RETURNING failures AS number,
    ceil(extract(epoch FROM window_ends - clock_timestamp()))::int AS seconds_left
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login that has been let in at `at`, to be settled by `LoginThrottle.settle`."""

    account: bytes
    address: bytes
    pair: bytes
    at: datetime | None = None


class LoginThrottle:
    """Counts failures by account, by client address and by the pair of both."""

    def __init__(self, db: Database, key: bytes, registrations: int) -> None:
        self._db = db
        self._key = key
        self._registrations = registrations

    async def enter(self, email: str, address: str, *, known: bool) -> Attempt:
        """Let an attempt in, or raise `ApiError` TOO_MANY_REQUESTS, OVERLOADED. An account under
        attack from everywhere is slowed down by up to 2 s and never locked. While no account is
        `known` by the e-mail, attempts count alike but apart: they mean nothing to one that is
        opened later."""
        account = fold(email)
        # No account's e-mail holds a line break.
        attempt = self._attempt(account if known else f"nobody\n{account}", address)
        deadline = asyncio.get_running_loop().time() + LONGEST_WAIT
        while True:
            found = await self._enter(attempt)
            if over := [row["seconds_left"] for row in found if row["seconds_left"] is not None]:
                text = f"Too many failed logins; try again in {max(over)} seconds"
                raise ApiError(Code.TOO_MANY_REQUESTS, text, retry_after=max(over))
            if found:
                attempt = replace(attempt, at=found[0]["at"])
                if not any(row["full"] for row in found):
                    break
                # Several at once have made the same row, which none could lock before.
                await self.settle(attempt, failed=False)
            if asyncio.get_running_loop().time() > deadline:
                text = "Too many logins at once; try again"
                raise ApiError(Code.OVERLOADED, text, retry_after=1)
            # Only attempts whose outcome is not known yet are in the way.
            await asyncio.sleep(POLL * random.uniform(0.5, 1.5))
        failures = max(row["failures"] for row in found if row["kind"] == "account")
        excess = failures - ACCOUNT_LIMIT
        if excess >= 0:
            await asyncio.sleep(min((excess + 1) * DELAY_STEP, LONGEST_DELAY))
        return attempt

    async def settle(self, attempt: Attempt, *, failed: bool) -> None:
        """Close an attempt that `enter` let in."""
        mine = attempt.account, attempt.address, attempt.pair
        await self._db.execute(SETTLE, *mine, int(failed), attempt.at)

    async def register(self, address: str) -> None:
        """Count a registration. Raises `ApiError` TOO_MANY_REQUESTS."""
        key = self._mac("registration", address)
        [row] = await self._db.fetch(REGISTER, key, float(ACCOUNT_WINDOW))
        if row["number"] > self._registrations:
            text = f"Too many registrations; try again in {row['seconds_left']} seconds"
            raise ApiError(Code.TOO_MANY_REQUESTS, text, retry_after=row["seconds_left"])

    async def _enter(self, attempt: Attempt) -> list[Any]:
        return await self._db.fetch(
            ENTER,
            attempt.account, attempt.address, attempt.pair, float(ACCOUNT_WINDOW),
            float(SHORT_WINDOW), ADDRESS_LIMIT, PAIR_LIMIT, LONGEST_ATTEMPT,
        )  # fmt: skip

    def _attempt(self, email: str, address: str) -> Attempt:
        return Attempt(
            account=self._mac("account", email),
            address=self._mac("address", address),
            pair=self._mac("pair", f"{email}\n{address}"),
        )

    def _mac(self, kind: str, text: str) -> bytes:
        return hmac.digest(self._key, f"{kind}:{text}".encode("utf-8", "replace"), "sha256")


async def prune_attempts(db: Any, lease: leases.Lease) -> None:
    """Forget windows that are over, and those that end later than the longest one from now: the
    database's clock was ahead when they began."""
    over = "window_ends < now() - interval '1 hour'"
    ahead = "window_ends > now() + interval '2 hours'"
    rows = " UNION ALL ".join(
        f"(SELECT ctid FROM login_attempts WHERE {when} LIMIT $3)" for when in (over, ahead)
    )
    some = f"DELETE FROM login_attempts WHERE ctid = ANY (ARRAY ({rows} LIMIT $3))"
    await leases.execute(db, lease, some, leases.ROWS_AT_ONCE)

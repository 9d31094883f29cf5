"""Idempotency keys: a creating request that is repeated with its key takes effect once.

A key belongs to a user and a route for 24 hours. The database keeps a fingerprint of the request,
the status and the id of what was created, never a body: the answer is made anew from the row.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel

from photo_api.db.pool import Database, DatabaseUnavailable
from photo_api.errors import ApiError, Code
from photo_api.registry import leases
from photo_api.telemetry.failures import bug
from photo_base.postgres import FAILURES

log = logging.getLogger(__name__)

OF_KEY = "WHERE user_id = $1 AND route = $2 AND key = $3"
HELD = f"{OF_KEY} AND owner = $4 AND status IS NULL"

LEASE = 30.0
"""Seconds after which a long request that shows no life may be taken over."""


@dataclass(frozen=True, slots=True)
class Key:
    """One request as its client named it. `fingerprint` is None while its body is unknown."""

    user_id: int
    route: str
    key: str
    fingerprint: bytes | None

    @property
    def row(self) -> tuple[int, str, str]:
        """The parameters of `OF_KEY`."""
        return self.user_id, self.route, self.key


@dataclass(frozen=True, slots=True)
class Replay:
    """The request was done before: what it was and what it created."""

    fingerprint: bytes
    status: int
    resource_id: int


def idempotency(
    user_id: int, route: str, key: str | None, request: BaseModel | list[Any]
) -> Key | None:
    """The key of a request whose content is known, or None when the client sent none."""
    if key is None:
        return None
    content = request.model_dump(mode="json") if isinstance(request, BaseModel) else request
    return Key(user_id, route, key, fingerprint(content))


def fingerprint(request: object) -> bytes:
    """The digest by which two requests are told apart."""
    # Not orjson: an id in a body may have any number of digits, and is refused only later.
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).digest()


def check_fingerprint(replay: Replay, mine: bytes) -> None:
    """Raises `ApiError` IDEMPOTENCY_KEY_REUSED when the key came with another request before."""
    if replay.fingerprint != mine:
        raise ApiError(
            Code.IDEMPOTENCY_KEY_REUSED,
            "This Idempotency-Key was used for another request; use a new key for a new request",
        )


async def create_once(
    db: Database, key: Key | None, status: int, create: Callable[[Any], Awaitable[int]]
) -> tuple[int, bool]:
    """(id of what was created, whether this is a replay). `create` runs in the transaction that
    records the key: a second request with the key waits for its end and then sees its result."""
    if key is None:
        return await create(db), False
    async with db.transaction() as connection:
        if await _claim(connection, key, uuid4(), None):
            created = await create(connection)
            await _complete(connection, key, status, created)
            return created, False
        replay = await _look_up(connection, key)
    check_fingerprint(replay, key.fingerprint or b"")
    return replay.resource_id, True


async def _complete(connection: Any, key: Key, status: int, resource_id: int) -> None:
    await connection.execute(
        f"UPDATE idempotency_keys SET status = $4, resource_id = $5 {OF_KEY}",
        *key.row, status, resource_id,
    )  # fmt: skip


async def _claim(db: Any, key: Key, owner: UUID, lease: float | None) -> bool:
    """Whether the key is ours: it is new, over 24 hours old, or its owner is dead."""
    return await db.fetchval(
        "INSERT INTO idempotency_keys AS k (user_id, route, key, fingerprint, owner, lease_until)"
        " VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))"
        " ON CONFLICT (user_id, route, key) DO UPDATE SET owner = excluded.owner,"
        " fingerprint = excluded.fingerprint, lease_until = excluded.lease_until, status = NULL,"
        " resource_id = NULL, created_at = now()"
        " WHERE k.created_at < now() - interval '24 hours'"
        " OR (k.status IS NULL"
        # Or the database's clock was ahead: no lease lasts for hours.
        "  AND k.lease_until NOT BETWEEN now() AND now() + interval '2 hours')"
        " RETURNING true",
        *key.row, key.fingerprint, owner, lease,
    ) is not None  # fmt: skip


async def _look_up(db: Any, key: Key) -> Replay:
    row = await db.fetchrow(
        "SELECT status, fingerprint, resource_id,"
        " ceil(extract(epoch FROM lease_until - clock_timestamp()))::int AS seconds_left"
        f" FROM idempotency_keys {OF_KEY}",
        *key.row,
    )
    if row is None or row["status"] is None:
        raise ApiError(
            Code.REQUEST_IN_PROGRESS,
            "A request with this Idempotency-Key is still running; repeat it later",
            retry_after=max(1, (row and row["seconds_left"]) or 1),
        )
    return Replay(row["fingerprint"], row["status"], row["resource_id"])


class LongClaim:
    """A key held by a request that takes long; `complete` belongs into its final transaction."""

    def __init__(self, key: Key, owner: UUID) -> None:
        self._key = key
        self._owner = owner
        self.completing = False

    async def complete(
        self, connection: Any, request: bytes, status: int, resource_id: int
    ) -> None:
        """Record the outcome. Raises `ApiError` REQUEST_IN_PROGRESS, which rolls the transaction
        back, when another request has taken the key over."""
        done = await connection.fetchval(
            "UPDATE idempotency_keys SET fingerprint = $5, status = $6, resource_id = $7"
            f" {HELD} RETURNING true",
            *self._key.row, self._owner, request, status, resource_id,
        )  # fmt: skip
        self.completing = True  # from here on the commit may be carried out, answered or not
        if done is None:
            raise ApiError(
                Code.REQUEST_IN_PROGRESS,
                "Another request with this Idempotency-Key took over; repeat it later",
                retry_after=1,
            )

    async def renew(self, db: Database) -> None:
        until = "UPDATE idempotency_keys SET lease_until = now() + make_interval(secs => $5)"
        await db.execute(f"{until} {HELD}", *self._key.row, self._owner, LEASE)

    async def release(self, db: Database) -> None:
        """Let a repeat begin anew; without effect once completed."""
        await db.execute(f"DELETE FROM idempotency_keys {HELD}", *self._key.row, self._owner)


@asynccontextmanager
async def claim_long(db: Database, key: Key | None) -> AsyncIterator[LongClaim | Replay | None]:
    """Hold a key while a long request runs: kept alive meanwhile, let go if it did not come to
    completing. If it did and failed, only the table knows what became of it: then a repeat waits
    for that transaction, or for the end of the lease. Raises `ApiError` REQUEST_IN_PROGRESS while
    another request holds it."""
    if key is None:
        yield None
        return
    owner = uuid4()
    if not await _claim(db, key, owner, LEASE):
        yield await _look_up(db, key)
        return
    claim = LongClaim(key, owner)
    alive = asyncio.create_task(_keep_alive(claim, db))
    try:
        yield claim
    finally:
        alive.cancel()
        with suppress(asyncio.CancelledError):
            await alive
        if not claim.completing:
            with suppress(DatabaseUnavailable, *FAILURES):  # its lease runs out
                await claim.release(db)


async def prune_keys(db: Any, lease: leases.Lease) -> None:
    """Forget keys an hour after they stopped counting."""
    old = "created_at < now() - interval '25 hours'"
    some = f"SELECT ctid FROM idempotency_keys WHERE {old} LIMIT $3"
    gone = f"DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY ({some}))"
    await leases.execute(db, lease, gone, leases.ROWS_AT_ONCE)


async def _keep_alive(claim: LongClaim, db: Database) -> None:
    while True:
        await asyncio.sleep(LEASE / 3)
        try:
            await claim.renew(db)
        except Exception as error:  # the next round tries again, and completing checks the owner
            kind = type(error).__name__
            log.warning("cannot keep an idempotency key: %s", kind, exc_info=bug(error))

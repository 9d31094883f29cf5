"""SQL of the path by which the fleet delivers: its CDN, or the fallback. All times are the
database's."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from photo_api.cloud.identity import Identity
from photo_api.delivery.cdn_state import CdnState
from photo_api.registry import leases
from photo_api.registry.leases import FENCE, HELD, Lease

LONGEST_ROUND = 15.0
"""Seconds from reading a row to writing it, beyond which the result counts for nothing: the process
or its machine stood still meanwhile, or a clock has jumped."""

EVENTS = {"fallback": "cdn_failed", "cdn": "cdn_back"}
"""What a switch to a path is called in the registry."""


@dataclass(frozen=True, slots=True)
class Row:
    """A CDN's row as it was at `at`, of which `results` were counted. The probe's object was made
    `probe_age` seconds before."""

    at: datetime
    state: CdnState
    results: int = 0
    probe_key: str | None = None
    probe_age: float = 0.0


@dataclass(frozen=True, slots=True)
class Counted:
    """What a result has made of a row: the `state` and what goes with it."""

    row: Row
    state: CdnState
    error: str | None
    probe_key: str | None
    probe_is_new: bool

    @property
    def switched(self) -> bool:
        return self.state.path != self.row.state.path


async def read(db: Any, cdn: str) -> Row:
    """The row of the CDN at this address; before the first result, the one that it begins from."""
    found = await db.fetchrow(
        """
        SELECT now() AS at, extract(epoch FROM now())::float8 AS epoch, path,
            extract(epoch FROM since)::float8 AS since, in_a_row, stay,
            extract(epoch FROM counted_at)::float8 AS counted_at, results, probe_key,
            extract(epoch FROM now() - probe_made_at)::float8 AS probe_age
        FROM (VALUES ($1)) AS wanted (cdn) LEFT JOIN cdn_paths USING (cdn)
        """,
        cdn,
    )
    if found["path"] is None:
        return Row(found["at"], CdnState("cdn", found["epoch"]))
    names = ("path", "since", "in_a_row", "stay", "counted_at")
    state = CdnState(*(found[name] for name in names))
    age = found["probe_age"] or 0.0
    return Row(found["at"], state, found["results"], found["probe_key"], age)


async def note_object(db: Any, lease: Lease, key: str, keep: float) -> bool:
    """Have the sweep delete this object of the probe after `keep` seconds; before its bytes are
    stored. False once the lease is lost."""
    noted = await db.fetchval(
        f"""
        WITH {FENCE} INSERT INTO unreferenced_objects (object_key, delete_after)
        SELECT $3, now() + make_interval(secs => $4) WHERE {HELD} RETURNING true
        """,
        *lease, key, keep,
    )  # fmt: skip
    return noted is not None


async def forget_object(db: Any, lease: Lease, key: str) -> None:
    """Have another object made: the store has this one no more."""
    gone = "UPDATE cdn_paths SET probe_key = NULL WHERE probe_key = $3"
    await leases.execute(db, lease, gone, key)


async def count(db: Any, lease: Lease, cdn: str, counted: Counted, me: Identity) -> bool:
    """Write a result, and the event if it switches the fleet. False, and nothing, once the lease is
    lost, another result was counted meanwhile, or this one comes too late."""
    row, state = counted.row, counted.state
    event = EVENTS[state.path] if counted.switched else None
    written = await db.fetchval(
        f"""
        WITH {FENCE}, changed AS (
            INSERT INTO cdn_paths AS p (cdn, path, since, in_a_row, stay, counted_at, results,
                error, probe_key, probe_made_at)
            SELECT $3, $4, to_timestamp($5), $6, $7, now(), $8::bigint + 1, $9, $10,
                CASE WHEN $11 THEN now() END
            WHERE {HELD} AND now() - $12 BETWEEN interval '0' AND make_interval(secs => $13)
            ON CONFLICT (cdn) DO UPDATE SET path = excluded.path, since = excluded.since,
                in_a_row = excluded.in_a_row, stay = excluded.stay,
                counted_at = excluded.counted_at, results = excluded.results,
                error = excluded.error, probe_key = excluded.probe_key,
                probe_made_at = coalesce(excluded.probe_made_at, p.probe_made_at)
            WHERE p.results = $8
            RETURNING true
        ), event AS (
            INSERT INTO instance_events (boot_id, instance, event, cause)
            SELECT $14::uuid, $15, $16, $9 FROM changed WHERE $16::text IS NOT NULL
        )
        SELECT true FROM changed
        """,
        *lease, cdn, state.path, state.since, state.in_a_row, state.stay, row.results,
        counted.error, counted.probe_key, counted.probe_is_new, row.at, LONGEST_ROUND,
        me.boot_id, me.instance, event,
    )  # fmt: skip
    return written is not None


async def path(db: Any, cdn: str) -> Any | None:
    """`path`, `since`, `counted_at` and `error` of the CDN at this address; None before the first
    result."""
    return await db.fetchrow(
        "SELECT path, since, counted_at, error FROM cdn_paths WHERE cdn = $1", cdn
    )


async def prune(db: Any, lease: Lease) -> None:
    """Forget CDNs that nobody has looked at for a week."""
    old = "DELETE FROM cdn_paths WHERE counted_at < now() - interval '7 days'"
    await leases.execute(db, lease, old)

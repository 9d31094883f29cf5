"""Receipts: one record for each end of an instance, in the registry and in the log.

The instance writes its own together with the end of its row. For one that was declared lost, or
that stopped without a word more, the database leaves one by a trigger
(`db/sql/0023_receipts.sql`), in which everything that nobody knows is NULL.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from photo_api import contract
from photo_api.registry import leases
from photo_api.registry.leases import Lease

CHANNEL = contract.REGISTRY_CHANNEL

DRAINED, KILLED, BROKEN_OFF, FAILED = "drained", "killed", "broken_off", "failed"
REMOVED, ELAPSED = "removed", "elapsed"

MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an instance knows of its end; None is what it does not know. Times are in seconds.

    `ending` is `DRAINED` (all its processes ended by themselves), `KILLED` (some at the limit),
    `BROKEN_OFF` (a second signal) or `FAILED` (a process or the supervisor did). Requests count
    from the start. With `untold` processes, which were killed at any time without their last word,
    `requests_accepted` and `requests_finished` are what is known at least. `drain_s` is from the
    wish to end to this record; `registry_s` of it went by until the registry knew, `lame_duck_s`
    until connections were refused, for the reason `lame_duck_end` (`REMOVED`: every balancer had
    let go; `ELAPSED`), `in_flight_s` from there to the end of the last request, `flush_s` from
    there to the end of the last process. Jobs that were `kept` are free when their lease runs out.
    `log_lines_lost` does not count what the supervisor itself loses after this record."""

    ending: str
    cause: str
    requests_accepted: int
    requests_finished: int
    requests_cut: int | None
    untold: int
    balancers: int | None
    acknowledged: int | None
    lame_duck_end: str | None
    drain_s: float | None
    registry_s: float | None
    lame_duck_s: float | None
    in_flight_s: float | None
    flush_s: float | None
    jobs_handed_back: int | None
    jobs_kept: int | None
    log_lines_lost: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """A boot that has ended: whether it ever was ready, seconds since its start, its receipt."""

    was_ready: bool
    lived_s: float
    receipt: Receipt


async def end(db: Any, boot_id: str, instance: str, version: str, ended: Ended) -> None:
    """Write that this boot has stopped, and its receipt, in one statement; the same again has no
    further effect. A receipt that others have left because it was silent is overwritten."""
    told = {"boot_id": boot_id, "instance": instance, "version": version}
    receipt = asdict(ended.receipt) | told | {"was_ready": ended.was_ready}
    known = ", ".join(f"excluded.{name}" for name in OVERWRITTEN)
    await db.execute(
        f"""
        WITH mine AS (
            UPDATE instances SET state = 'stopped', cause = $3, changed_at = now()
            WHERE boot_id = $1::uuid AND state <> 'stopped' RETURNING boot_id
        ), event AS (
            INSERT INTO instance_events (boot_id, instance, event, cause)
            SELECT $1::uuid, $2, 'stopped', $3 WHERE EXISTS (SELECT FROM mine)
            OR NOT EXISTS (SELECT FROM instances WHERE boot_id = $1::uuid)
        ), receipt AS (
            INSERT INTO instance_receipts AS before
            SELECT * FROM jsonb_populate_record(NULL::instance_receipts, $4::jsonb
                || jsonb_build_object('written_at', now(), 'ended_at', now(),
                    'started_at', now() - make_interval(secs => $5),
                    'asked_at', now() - make_interval(secs => $6)))
            ON CONFLICT (boot_id) DO UPDATE SET ({", ".join(OVERWRITTEN)}) = ROW({known})
            WHERE before.ending IN ('lost', 'untold')
        )
        SELECT pg_notify('{CHANNEL}', boot_id::text) FROM mine
        """,
        boot_id, instance, ended.receipt.cause, json.dumps(receipt),
        float(ended.lived_s), ended.receipt.drain_s,
    )  # fmt: skip


OVERWRITTEN = (
    "written_at", "ending", "cause", "was_ready", "started_at", "asked_at", "ended_at",
    "requests_accepted", "requests_finished", "requests_cut", "untold", "balancers",
    "acknowledged", "lame_duck_end", "registry_s", "lame_duck_s", "in_flight_s", "flush_s",
    "jobs_handed_back", "jobs_kept", "log_lines_lost",
)  # fmt: skip


async def prune(db: Any, lease: Lease) -> None:
    """Receipts live 100 days, and only the `MOST_KEPT` newest of them."""
    old = "DELETE FROM instance_receipts WHERE written_at < now() - interval '100 days'"
    await leases.execute(db, lease, old)
    newest = "SELECT written_at FROM instance_receipts ORDER BY written_at DESC OFFSET $3 LIMIT 1"
    many = f"DELETE FROM instance_receipts WHERE written_at <= ({newest})"
    await leases.execute(db, lease, many, MOST_KEPT)

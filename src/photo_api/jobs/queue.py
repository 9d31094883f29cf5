"""The job queue in PostgreSQL: leases with a fencing token.

`attempt` grows with every lease and stands in every UPDATE, so a worker that lost a lease can
neither finish nor fail the job of its successor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from photo_api.db import totals
from photo_api.jobs.passed import Passed
from photo_api.registry import leases
from photo_api.registry.leases import FENCE, HELD, Lease

CHANNEL = "photo_api_jobs"
RETRY_BASE, LONGEST_RETRY = 2.0, 300.0

Kind = Literal["renditions", "display", "metadata", "closed_account"]


def enqueuing(kind: Kind, subjects: str, traced: str = "NULL", user: str = "") -> str:
    """The common table expression `job`: a job for each `id` of another one, `subjects`, of which
    workers are told with the commit. `traced` is the statement's parameter that holds the current
    `traceparent()`, if it does; `user` is whose turn it takes, unless a trigger knows by the
    subject."""
    column, value = (", user_id", f", {user}") if user else ("", "")
    return f"""job AS (
        INSERT INTO jobs (kind, subject_id, traceparent{column})
        SELECT '{kind}', id, {traced}::text{value} FROM {subjects}
        RETURNING pg_notify('{CHANNEL}', '')
    )"""


@dataclass(frozen=True, slots=True)
class Job:
    """One leased job. `attempt` is the fencing token, `failures` how often it failed before,
    `traceparent` that of who enqueued it, `progress` how far one that is done in parts has come."""

    id: int
    kind: str
    subject_id: int
    attempt: int
    failures: int
    traceparent: str | None = None
    progress: int = 0


def _job(row: Any) -> Job:
    failures = row["attempt"] - 1 - row["handed_back"]
    known = ("id", "kind", "subject_id", "attempt", "traceparent", "progress")
    return Job(**{name: row[name] for name in known}, failures=failures)


OURS = "id = $1 AND attempt = $2 AND state = 'leased'"
"""Whether a job's lease is still the caller's."""

CHOSEN = "j.kind = ANY ($3)"

# Free, or its holder has been silent for its whole lease.
AVAILABLE = f"j.state <> 'dead' AND j.available_at <= now() AND {CHOSEN}"

# A user's first: by the order and the bounds of one index, so that no plan reads anybody else's.
FIRST = f"""SELECT j.id FROM jobs j
    WHERE (j.user_id, j.available_at) >= ({{user}}, timestamptz '-infinity')
    AND (j.user_id, j.available_at) <= ({{user}}, now())
    AND j.state <> 'dead' AND {CHOSEN}
    ORDER BY j.user_id, j.available_at LIMIT 1"""

NEAR = 1000
"""Turns that are looked at one by one. A user without one, until maintenance gives it, may come
before others; beyond so many of them the planner may look from the jobs' side."""

AT_ONCE = 10
"""Jobs that one statement leases at most."""

# The indexes are walked in the order of turns and left at the first users who have a job. Those
# that are at work are few. Several jobs are of as many users with none at work, as they would be
# one after the other. Without a turn, or when others have just locked all of its jobs: the oldest.
# Nobody waits for the commit of another lease to note a turn: that one notes it. Of LIMIT $4 a plan
# for everybody expects a tenth of what there is, and so looks for each job by an index.
LEASE = f"""
WITH busy AS MATERIALIZED (
    SELECT user_id, count(*) AS n FROM jobs
    WHERE state = 'leased' AND available_at > now() GROUP BY user_id
), near AS MATERIALIZED (
    SELECT user_id, last_lease FROM (
        SELECT t.user_id, t.last_lease FROM (
            SELECT * FROM job_turns
            WHERE last_lease >= coalesce($5::text::timestamptz, '-infinity')
            ORDER BY last_lease LIMIT {NEAR}) t
        WHERE NOT EXISTS (SELECT FROM busy b WHERE b.user_id = t.user_id)
        AND ({FIRST.format(user="t.user_id")}) IS NOT NULL
        ORDER BY t.last_lease LIMIT {AT_ONCE}
    ) next LIMIT $4
), far AS MATERIALIZED (
    SELECT t.user_id FROM job_turns t
    WHERE NOT EXISTS (SELECT FROM near)
    AND NOT EXISTS (SELECT FROM busy b WHERE b.user_id = t.user_id)
    AND EXISTS (SELECT FROM jobs j WHERE j.user_id = t.user_id AND {AVAILABLE})
    ORDER BY t.last_lease LIMIT 1
), again AS MATERIALIZED (
    SELECT t.user_id FROM busy b JOIN job_turns t USING (user_id)
    WHERE NOT EXISTS (SELECT FROM near) AND NOT EXISTS (SELECT FROM far)
    AND ({FIRST.format(user="t.user_id")}) IS NOT NULL
    ORDER BY b.n, t.last_lease LIMIT 1
), turn AS MATERIALIZED (
    SELECT user_id FROM near UNION ALL TABLE far UNION ALL TABLE again
), in_turn AS MATERIALIZED (
    SELECT first.id FROM turn, LATERAL (
        {FIRST.format(user="turn.user_id")}
        FOR UPDATE SKIP LOCKED
    ) first
), oldest AS MATERIALIZED (
    SELECT j.id FROM jobs j WHERE NOT EXISTS (SELECT FROM in_turn) AND {AVAILABLE}
    ORDER BY j.available_at LIMIT 1 FOR UPDATE SKIP LOCKED
), leased AS (
    UPDATE jobs SET state = 'leased', attempt = attempt + 1, worker = $1,
        available_at = now() + make_interval(secs => $2)
    FROM (TABLE in_turn UNION ALL TABLE oldest LIMIT $4) free (free_id) WHERE id = free_id
    RETURNING id, kind, subject_id, attempt, handed_back, user_id, traceparent, progress
), noted AS (
    SELECT t.user_id FROM job_turns t JOIN leased USING (user_id)
    FOR NO KEY UPDATE OF t SKIP LOCKED
), turned AS (
    UPDATE job_turns t SET last_lease = clock_timestamp() FROM noted
    WHERE t.user_id = noted.user_id
)
SELECT *, (SELECT min(last_lease)::text FROM near) AS first_turn FROM leased
"""

# In these words the planner finds the index of thumbnails alone.
LEASE_THUMBNAIL = LEASE.replace(CHOSEN, f"j.kind = 'renditions' AND {CHOSEN}")


async def lease(
    db: Any,
    worker: str,
    seconds: float,
    kinds: Sequence[str],
    *,
    most: int = 1,
    thumbnails_first: bool = False,
    passed: Passed | None = None,
) -> list[Job]:
    """The next jobs of these kinds, `most` at most, and none only when there is none: of the user
    with the fewest at work, of those the one whose last began longest ago, and of that one's the
    oldest. With `thumbnails_first` anybody's `renditions` come before all else. Kinds that only a
    newer release knows are left to it. Turns that are `passed` are looked at again when no other
    has a job."""
    passed = passed or Passed()
    for statement in (LEASE_THUMBNAIL, LEASE) if thumbnails_first else (LEASE,):
        begun = passed.turn(statement)
        if rows := await db.fetch(statement, worker, seconds, kinds, most, begun):
            passed.note(statement, begun, rows[0]["first_turn"])
            return [_job(row) for row in rows]
    return []


async def users_wait(db: Any) -> bool:
    """Whether a job of a user's could be run now."""
    found: bool = await db.fetchval(
        "SELECT EXISTS (SELECT FROM jobs"
        " WHERE state = 'queued' AND available_at <= now() AND user_id <> 0)"
    )
    return found


async def _change(db: Any, job: Job, change: str, *args: object) -> bool:
    """Whether the lease is still ours, and the change made."""
    statement = f"{change} WHERE {OURS} RETURNING true"
    return await db.fetchval(statement, job.id, job.attempt, *args) is not None


async def renew(db: Any, job: Job, seconds: float) -> bool:
    """Whether the lease is still ours."""
    until = "UPDATE jobs SET available_at = now() + make_interval(secs => $3)"
    return await _change(db, job, until, seconds)


async def hold(connection: Any, job: Job) -> bool:
    """Whether the lease is still ours, as it then is until the transaction's end."""
    held = f"SELECT true FROM jobs WHERE {OURS} FOR UPDATE"
    return await connection.fetchval(held, job.id, job.attempt) is not None


async def finish(connection: Any, job: Job) -> bool:
    """Take the job out, in the transaction that writes its result. False: the lease was lost and
    the result must be dropped."""
    return await _change(connection, job, "DELETE FROM jobs")


async def retry_later(db: Any, job: Job, error: str) -> bool:
    """Queue it again after an exponentially growing pause."""
    pause = min(RETRY_BASE * 2**job.failures, LONGEST_RETRY)
    queued = (
        "UPDATE jobs SET state = 'queued', worker = NULL, error = $3,"
        " available_at = now() + make_interval(secs => $4 * (0.75 + random() / 2))"
    )
    return await _change(db, job, queued, error, pause)


async def prove_writable(db: Any) -> None:
    """Have the database write and commit something; raises what it raises when it cannot."""
    await db.execute(
        "INSERT INTO leases (name, holder, token, expires_at) VALUES ('write probe', '', 0, now())"
        " ON CONFLICT (name) DO UPDATE SET expires_at = now()"
    )


async def bury(connection: Any, job: Job, error: str) -> bool:
    """Dead letter: kept to be looked at, never run again."""
    dead = "UPDATE jobs SET state = 'dead', worker = NULL, error = $3"
    return await _change(connection, job, dead, error)


async def hand_back(db: Any, job: Job, progress: int = 0) -> None:
    """Free at once for another worker; not a failure. `progress` is kept for it if it is more than
    before."""
    await db.execute(
        "WITH free AS (UPDATE jobs SET state = 'queued', worker = NULL, available_at = now(),"
        "  progress = greatest(progress, $3), handed_back = handed_back + 1"
        f"  WHERE {OURS} RETURNING 1)"
        f" SELECT pg_notify('{CHANNEL}', '') FROM free",
        job.id, job.attempt, progress,
    )  # fmt: skip


async def hand_back_lost(db: Any, worker: str, known: Sequence[int]) -> None:
    """What was leased for this worker by a statement that it had no answer from: all but what it
    knows of. Nobody has run these, and none has failed."""
    await db.execute(
        "WITH free AS (UPDATE jobs SET state = 'queued', worker = NULL, available_at = now(),"
        "  handed_back = handed_back + 1"
        "  WHERE state = 'leased' AND worker = $1 AND id <> ALL ($2::bigint[]) RETURNING 1)"
        f" SELECT pg_notify('{CHANNEL}', '') FROM free",
        worker, known,
    )  # fmt: skip


async def postpone(db: Any, job: Job, seconds: float, reason: str) -> None:
    """Queue it again for then; not a failure, as what it needs is down. When that could not be
    written before the lease was over, and somebody else has it: only that it was no failure."""
    await db.execute(
        "WITH mine AS (UPDATE jobs SET state = 'queued', worker = NULL, error = $4,"
        "  available_at = now() + make_interval(secs => $3), handed_back = handed_back + 1"
        f"  WHERE {OURS})"
        " UPDATE jobs SET handed_back = least(handed_back + 1, attempt - 1)"
        " WHERE id = $1 AND attempt > $2",
        job.id, job.attempt, seconds, reason,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """Jobs in this state, of this kind, whose error contains `cause`, made `older_than` seconds
    ago, or with these ids; None for any."""

    state: str | None = None
    kind: str | None = None
    cause: str | None = None
    older_than: float = 0.0
    ids: list[int] | None = None


MATCHES = """($1::text IS NULL OR state = $1) AND ($2::text IS NULL OR kind = $2)
    AND ($3::text IS NULL OR strpos(error, $3) > 0)
    AND created_at <= now() - make_interval(secs => $4)
    AND ($5::bigint[] IS NULL OR id = ANY ($5))"""


async def jobs(db: Any, chosen: Filter, limit: int) -> list[Any]:
    """The oldest such jobs."""
    rows: list[Any] = await db.fetch(
        f"SELECT * FROM jobs WHERE {MATCHES} ORDER BY id LIMIT $6",
        chosen.state, chosen.kind, chosen.cause, chosen.older_than, chosen.ids, limit,
    )  # fmt: skip
    return rows


async def revive(db: Any, chosen: Filter, after: int) -> list[int]:
    """Queue the next 500 such dead jobs with an id above `after` again, as if they had never
    failed; their ids."""
    rows = await db.fetch(
        f"""
        WITH dead AS (
            SELECT id FROM jobs WHERE {MATCHES} AND state = 'dead' AND id > $6
            ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED
        ), revived AS (
            UPDATE jobs SET state = 'queued', available_at = now(), handed_back = attempt
            FROM dead WHERE jobs.id = dead.id RETURNING jobs.id, kind, subject_id
        ), failed AS (
            SELECT id FROM photos WHERE id IN (
                SELECT subject_id FROM revived WHERE kind = 'renditions')
            AND status = 'ready' AND renditions = 'failed' ORDER BY id FOR NO KEY UPDATE
        ), waiting AS (
            UPDATE photos p SET renditions = 'pending', renditions_error = NULL,
                metadata_reader = 0 FROM failed WHERE p.id = failed.id AND p.status = 'ready'
        )
        SELECT id, pg_notify('{CHANNEL}', '') FROM revived
        """,
        chosen.state, chosen.kind, chosen.cause, chosen.older_than, chosen.ids, after,
    )  # fmt: skip
    return [row["id"] for row in rows]


async def depth(db: Any) -> Any:
    """Numbers of waiting, running and dead jobs, and the age in seconds of the oldest waiting."""
    return await db.fetchrow(
        f"SELECT {totals.QUEUED} AS queued,"
        " (SELECT count(*) FROM jobs WHERE state = 'leased') AS leased,"
        f" (SELECT coalesce(sum(rows), 0)::bigint FROM {totals.KNOWN} AS known"
        "  WHERE name = 'dead_jobs') AS dead,"
        " coalesce((SELECT extract(epoch FROM now() - available_at) FROM jobs"
        "  WHERE state = 'queued' AND available_at <= now()"
        "  ORDER BY available_at LIMIT 1), 0)::float8 AS oldest"
    )


async def prune_dead(db: Any, lease: Lease) -> None:
    """Forget what has been dead for 30 days."""
    old = "state = 'dead' AND available_at < now() - interval '30 days'"
    some = f"DELETE FROM jobs WHERE ctid = ANY (ARRAY (SELECT ctid FROM jobs WHERE {old} LIMIT $3))"
    await leases.execute(db, lease, some, leases.ROWS_AT_ONCE)


NEVER_SO_LATE = "interval '2 hours'"
"""From now: longer than any pause, and than the longest lease that can be set (an hour)."""


async def pull_back(db: Any, lease: Lease) -> None:
    """Due now is what is due later than any pause or lease lasts: it was queued or leased while the
    database's clock was ahead. Found by the end of an index that is empty otherwise."""
    ahead = f"state <> 'dead' AND available_at > now() + {NEVER_SO_LATE}"
    some = f"SELECT id FROM jobs WHERE {ahead} LIMIT $3 FOR UPDATE SKIP LOCKED"
    back = f"UPDATE jobs SET available_at = now() WHERE id = ANY (ARRAY ({some}))"
    await leases.execute(db, lease, back, leases.ROWS_AT_ONCE)


TURNS_AT_ONCE = 1000
NOBODY_YET = -1
"""Before the first user, whose jobs are of nobody (0)."""

# By the order of an index, one user after the other: no plan reads their jobs.
WITHOUT_TURN = f"""
WITH RECURSIVE {FENCE}, users (user_id, n) AS (
    SELECT (SELECT user_id FROM jobs WHERE state <> 'dead' AND user_id > $3
            ORDER BY user_id LIMIT 1), 1
    UNION ALL
    SELECT (SELECT j.user_id FROM jobs j WHERE j.state <> 'dead' AND j.user_id > u.user_id
            ORDER BY j.user_id LIMIT 1), u.n + 1
    FROM users u WHERE u.user_id IS NOT NULL AND u.n < $4
), made AS (
    INSERT INTO job_turns (user_id) SELECT user_id FROM users u
    WHERE user_id IS NOT NULL AND {HELD}
    AND NOT EXISTS (SELECT FROM job_turns t WHERE t.user_id = u.user_id)
    ON CONFLICT DO NOTHING
)
SELECT max(user_id) FROM users WHERE n = $4
"""

IDLE_TURNS = f"""
WITH {FENCE}, next AS (
    SELECT user_id FROM job_turns WHERE user_id > $3 ORDER BY user_id LIMIT $4
), gone AS (
    DELETE FROM job_turns t USING next WHERE t.user_id = next.user_id AND {HELD}
    AND (SELECT j.id FROM jobs j
        WHERE (j.user_id, j.available_at) >= (next.user_id, timestamptz '-infinity')
        AND (j.user_id, j.available_at) <= (next.user_id, timestamptz 'infinity')
        AND j.state <> 'dead' ORDER BY j.user_id, j.available_at LIMIT 1) IS NULL
)
SELECT max(user_id) FROM next HAVING count(*) = $4
"""


class Turns:
    """Forgets turns of users without jobs, and gives one to those whose job was queued at such a
    moment, since others would come first for ever. Some at a time, and after the last ones from
    the first on again."""

    def __init__(self) -> None:
        self._idle = self._without = NOBODY_YET

    async def look_after(self, db: Any, lease: Lease) -> None:
        last = await db.fetchval(IDLE_TURNS, *lease, self._idle, TURNS_AT_ONCE)
        self._idle = NOBODY_YET if last is None else last
        last = await db.fetchval(WITHOUT_TURN, *lease, self._without, TURNS_AT_ONCE)
        self._without = NOBODY_YET if last is None else last

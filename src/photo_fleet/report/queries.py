"""SQL of a report: what instances did, from the registry's events and receipts. Read only, with
the role of `photo-fleet role`, and bounded by the time that is asked about, never by now."""

from datetime import UTC, datetime
from typing import Any

from photo_api.contract import ALIVE, LOST_AFTER
from photo_fleet.report.boots import Boot

MOST_BOOTS = 5000
MOST_FAILS = 2000
KEPT_DAYS = 100
"""Days that the registry keeps events and receipts."""

LIVE = str(ALIVE)  # a list of SQL reads as one of Python

BOOTS = f"""
WITH told AS (
    SELECT boot_id, left(max(instance), 2000) AS instance, max(at) AS last_at,
        min(at) FILTER (WHERE event = 'started') AS started,
        min(at) FILTER (WHERE event = 'ready') AS ready,
        min(at) FILTER (WHERE event = 'draining' AND at < $2) AS draining,
        max(at) FILTER (WHERE event IN ('stopped', 'lost', 'recovered')) AS last_word_at,
        (array_agg(event ORDER BY id DESC) FILTER (
            WHERE event IN ('stopped', 'lost', 'recovered')))[1] AS last_word,
        left(max(cause) FILTER (WHERE event = 'draining'), 2000) AS cause
    FROM instance_events GROUP BY boot_id HAVING min(at) < $2
), rows AS (
    SELECT boot_id, left(instance, 2000) AS instance, left(version, 2000) AS version, workers,
        started_at, state, changed_at, heartbeat_at
    FROM instances WHERE started_at < $2
)
SELECT boot_id::text, coalesce(told.instance, rows.instance) AS instance,
    coalesce(rows.version, left(receipt.version, 2000)) AS version,
    coalesce(told.started, rows.started_at, receipt.started_at) AS started,
    CASE WHEN coalesce(rows.state IN ('ready', 'draining'), receipt.was_ready, false)
        THEN coalesce(told.ready, rows.started_at, receipt.started_at)
        ELSE told.ready END AS ready,
    told.draining, told.cause, rows.workers,
    receipt.ending, receipt.requests_cut, receipt.log_lines_lost,
    CASE WHEN told.last_word IN ('stopped', 'lost') THEN told.last_word_at
        WHEN rows.state IN {LIVE} THEN CASE
            WHEN rows.heartbeat_at < now() - make_interval(secs => {3 * LOST_AFTER})
            THEN rows.heartbeat_at END
        WHEN rows.boot_id IS NOT NULL THEN rows.changed_at
        ELSE coalesce(receipt.ended_at, told.last_at) END AS ended
FROM told FULL JOIN rows USING (boot_id) LEFT JOIN instance_receipts AS receipt USING (boot_id)
WHERE told.last_at >= $1 OR rows.state IN {LIVE}
ORDER BY started LIMIT {MOST_BOOTS + 1}
"""
"""What is known of each boot that lived between $1 and $2. One whose row was pruned without a word
of its end ended with what was last heard of it."""

EVENTS = """
SELECT left(event, 2000) AS event, count(*) FILTER (WHERE at < $2) AS before,
    count(*) FILTER (WHERE at >= $2) AS during
FROM instance_events WHERE at >= $1 AND at < $3 GROUP BY 1 ORDER BY 1 LIMIT 100
"""

FAILS = f"""
SELECT date_trunc('hour', at, 'UTC') AS hour, left(split_part(coalesce(cause, ''), ':', 1), 40)
    AS check, left(instance, 2000) AS instance, count(*) AS times
FROM instance_events WHERE event = 'check_fails' AND at >= $1 AND at < $2
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3 LIMIT {MOST_FAILS + 1}
"""

FIRST = """
SELECT now() AS now,
    least((SELECT min(at) FROM instance_events), (SELECT min(started_at) FROM instances)) AS first
"""


def moment(seconds: float) -> datetime:
    """For a parameter of SQL."""
    return datetime.fromtimestamp(seconds, UTC)


def boot_of(row: Any, end: float) -> Boot:
    """One row of `BOOTS`, as it was known at `end`."""
    ended = _before(row["ended"], end)
    return Boot(
        row["boot_id"],
        row["instance"],
        row["version"] or "",
        _seconds(row["started"]),
        _before(row["ready"], end),
        _before(row["draining"], end),
        ended,
        (row["ending"] or "") if ended is not None else "",
        row["cause"] or "",
        row["requests_cut"],
        row["log_lines_lost"],
        row["workers"] != 0,
    )


def _before(at: datetime | None, end: float) -> float | None:
    seconds = _seconds(at)
    return seconds if seconds is not None and seconds < end else None


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()

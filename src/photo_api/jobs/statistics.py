"""Numbers about the whole service, counted by one instance and read by all."""

from datetime import UTC, datetime
from typing import Any

from photo_api.db import totals
from photo_api.metrics import declared
from photo_api.metrics.counts import Gauges
from photo_api.metrics.exposition import SUM
from photo_api.metrics.metric import Metric
from photo_api.registry.leases import FENCE, HELD, Lease

KEPT = f"""
INSERT INTO statistics (name, value, at) SELECT name, value, now() FROM counted WHERE {HELD}
ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = excluded.at
"""

OWED = """thumbnail_key IS NULL AND (renditions <> 'failed' OR renditions_error = 'bytes_missing'
    OR renditions_error LIKE 'attempts_exhausted:%')"""
"""Of a photo that is ready: it has no thumbnail, and its file is not at fault. The index
`photos_without_thumbnail` has the first of them."""

MOST_EXPIRED = 10_000
"""Links that leave the number of working ones at once."""

MOST_PENDING = 100_000
"""Uploads under way that are counted, however many there are: the oldest."""

MOST_OWED = 100_000
"""Photos without thumbnail of which it is looked whether a job is there, however many wait."""

EXPIRED = f"""
WITH {FENCE} UPDATE shares SET expiry_counted = true WHERE id = ANY (ARRAY(
    SELECT id FROM shares WHERE is_active AND NOT expiry_counted AND expires_at <= now()
    ORDER BY expires_at LIMIT {MOST_EXPIRED} FOR NO KEY UPDATE SKIP LOCKED
)) AND {HELD}"""

MOST_CHANGES = 100_000
"""Changes that are added up at once."""

ADD_UP = f"""
WITH {FENCE}, taken AS (
    DELETE FROM total_changes WHERE id IN (
        SELECT id FROM total_changes ORDER BY id LIMIT {MOST_CHANGES} FOR UPDATE SKIP LOCKED
    ) AND {HELD} RETURNING name, kind, rows, bytes
)
INSERT INTO totals AS t (name, kind, rows, bytes)
SELECT name, kind, sum(rows), sum(bytes) FROM taken GROUP BY name, kind ORDER BY name, kind
ON CONFLICT (name, kind) DO UPDATE SET rows = t.rows + excluded.rows,
    bytes = t.bytes + excluded.bytes
"""
"""Each change once, whoever adds up beside."""

COUNT = f"""
WITH {FENCE}, known AS {totals.KNOWN}, counted (name, value) AS (
    SELECT told.name, coalesce(sum(known.rows), 0)::bigint
    FROM (VALUES ('users', 'users'), ('albums', 'albums'), ('shares', 'shares'),
          ('photos_ready', 'photos'), ('photos_trashed', 'trash'), ('jobs_dead', 'dead_jobs')
        ) AS told (name, rows_of)
    LEFT JOIN known ON known.name = told.rows_of GROUP BY told.name
    UNION ALL SELECT told.name, coalesce(sum(known.bytes), 0)::bigint
    FROM (VALUES ('bytes_ready', 'photos'), ('bytes_trashed', 'trash')) AS told (name, bytes_of)
    LEFT JOIN known ON known.name = told.bytes_of GROUP BY told.name
    UNION ALL SELECT 'jobs_queued', {totals.QUEUED}
    UNION ALL SELECT numbers.* FROM (
        SELECT count(*) AS objects, coalesce(sum(bytes), 0)::bigint AS bytes,
            coalesce(extract(epoch FROM now() - least(min(delete_after), now())), 0)::bigint AS age,
            -- A sweep needs seconds for those that it takes.
            count(*) FILTER (WHERE taken AND delete_after < now() + interval '4 minutes') AS kept
        FROM unreferenced_objects
        -- The sweep puts those off that it takes, until they are gone.
        WHERE delete_after < now() + interval '5 minutes' AND (delete_after < now() OR taken)
    ) orphans, LATERAL (VALUES
        ('orphan_objects', objects), ('orphan_bytes', bytes), ('oldest_orphan', age),
        ('kept_orphans', kept)
    ) numbers
    UNION ALL SELECT 'photos_without_thumbnail', count(*)
        FROM (SELECT id FROM photos WHERE status = 'ready' AND {OWED}
            ORDER BY id LIMIT {MOST_OWED}) owed
        WHERE NOT EXISTS (SELECT FROM jobs WHERE kind = 'renditions' AND subject_id = owed.id)
) {KEPT}"""
"""What only grows with the service, from its totals: once a minute."""

WAITING = f"""
WITH {FENCE}, known AS {totals.KNOWN}, kinds (kind) AS (
    SELECT unnest($3::text[])
), states (state) AS (
    VALUES ('starting'), ('ready'), ('draining'), ('lost')
), queues AS (
    SELECT k.kind, greatest(coalesce(live.rows, 0) - coalesce(leased.n, 0), 0) AS queued,
        coalesce(leased.n, 0) AS leased, coalesce(dead.rows, 0) AS dead,
        coalesce(extract(epoch FROM now() - first.available_at), 0)::bigint AS age
    FROM kinds k LEFT JOIN known live ON live.name = 'jobs' AND live.kind = k.kind
    LEFT JOIN known dead ON dead.name = 'dead_jobs' AND dead.kind = k.kind
    LEFT JOIN {totals.LEASED} leased ON leased.kind = k.kind
    LEFT JOIN LATERAL (
        SELECT j.available_at FROM jobs j
        WHERE (j.kind, j.available_at) >= (k.kind, timestamptz '-infinity')
        AND (j.kind, j.available_at) <= (k.kind, now()) AND j.state = 'queued'
        ORDER BY j.kind, j.available_at LIMIT 1
    ) first ON true
), counted (name, value) AS (
    SELECT numbers.* FROM queues, LATERAL (VALUES
        ('jobs:' || kind || ':queued', queued), ('jobs:' || kind || ':leased', leased),
        ('jobs:' || kind || ':dead', dead), ('oldest_job:' || kind, age)
    ) numbers
    UNION ALL SELECT numbers.* FROM (
        SELECT count(*) AS pending,
            coalesce(extract(epoch FROM now() - min(created_at)), 0)::bigint AS age
        FROM (SELECT created_at FROM photos WHERE status = 'pending'
            ORDER BY upload_expires_at LIMIT {MOST_PENDING}) pending
    ) uploads, LATERAL (VALUES ('pending_uploads', pending), ('oldest_upload', age)) numbers
    UNION ALL SELECT 'instances:' || s.state, count(i)
        FROM states s LEFT JOIN instances i USING (state) GROUP BY s.state
) {KEPT}"""
"""What is under way, of which there is less: every few seconds."""

DRAINED = f"""
WITH {FENCE}, ended AS (
    UPDATE instance_events SET counted = true
    WHERE event = 'stopped' AND NOT counted AND at > now() - interval '1 day' AND {HELD}
    RETURNING boot_id, at, cause LIKE '% cut at the limit' OR EXISTS (
        SELECT FROM instance_receipts r WHERE r.boot_id = instance_events.boot_id
        AND coalesce(r.requests_cut > 0, r.ending IN ('killed', 'broken_off', 'failed'))
    ) AS was_cut
), drains AS (
    SELECT CASE WHEN e.was_cut THEN 'cut' ELSE 'whole' END AS result,
        greatest(extract(epoch FROM e.at - min(d.at)), 0)::float8 AS seconds
    FROM ended e JOIN instance_events d USING (boot_id)
    WHERE d.event = 'draining' AND d.at > now() - interval '2 days'
    GROUP BY e.boot_id, e.at, e.was_cut
), told (result, le) AS (
    SELECT * FROM unnest($4::text[]) result, unnest($3::float8[] || 'infinity'::float8) le
), counted (name, value) AS (
    SELECT format('drains:%s:%s', t.result, t.le), count(d) FROM told t
        LEFT JOIN drains d ON d.result = t.result AND t.le
            = (SELECT min(le) FROM told WHERE le >= d.seconds)
        GROUP BY t.result, t.le
    UNION ALL SELECT format('drains:%s:sum', result), coalesce(sum(1000 * seconds), 0)::bigint
        FROM unnest($4::text[]) result LEFT JOIN drains USING (result) GROUP BY result
) {KEPT.replace("= excluded.value", "= statistics.value + excluded.value")}"""
"""Drains that have ended since the last time, on top of those before: each once, and none is
forgotten with its events."""

KINDS = sorted(declared.KINDS)
DRAIN_EDGES = declared.FLEET_DRAIN.edges
DRAIN_RESULTS = sorted(declared.DRAIN_RESULTS)


async def count(db: Any, lease: Lease) -> None:
    """Write what there is; without effect once the lease is lost."""
    await db.execute(EXPIRED, *lease)
    await db.execute(COUNT, *lease)


async def count_waiting(db: Any, lease: Lease) -> None:
    """Count what is under way anew, and the drains that have ended; without effect once the lease
    is lost."""
    await db.execute(ADD_UP, *lease)
    await db.execute(WAITING, *lease, KINDS)
    await db.execute(DRAINED, *lease, DRAIN_EDGES, DRAIN_RESULTS)


async def statistics(db: Any) -> dict[str, Any]:
    """Users, albums, photos_ready and the others as of `at`, by name; empty before they have been
    counted for the first time."""
    rows = await db.fetch("SELECT name, value, at FROM statistics ORDER BY name")
    known = [row for row in rows if _is_current(row["name"])]
    numbers = {row["name"]: row["value"] for row in known}
    return numbers | {"at": min(row["at"] for row in known)} if known else {}


async def fleet_gauges(db: Any) -> Gauges:
    """The same as metrics, which all instances tell alike: a histogram as `histograms` of
    `metrics.exposition` takes it."""
    numbers = await statistics(db)
    at = numbers.pop("at", datetime.now(UTC))
    gauges: Gauges = {}
    for name, value in numbers.items():
        first, *labels = name.split(":")
        if metric := _BY_NAME.get(first):
            number = value / 1000 if labels[-1:] == [SUM] else value  # rows hold whole numbers
            gauges[metric.name, tuple(labels)] = number
    if gauges:
        gauges[declared.FLEET_COUNTED.name, ()] = at.timestamp()
    return gauges


_BY_NAME: dict[str, Metric] = {
    "users": declared.FLEET_USERS,
    "albums": declared.FLEET_ALBUMS,
    "shares": declared.FLEET_SHARES,
    "photos_ready": declared.FLEET_PHOTOS,
    "bytes_ready": declared.FLEET_PHOTO_BYTES,
    "photos_trashed": declared.FLEET_TRASHED,
    "bytes_trashed": declared.FLEET_TRASHED_BYTES,
    "photos_without_thumbnail": declared.FLEET_WITHOUT_THUMBNAIL,
    "orphan_objects": declared.FLEET_ORPHANS,
    "orphan_bytes": declared.FLEET_ORPHAN_BYTES,
    "oldest_orphan": declared.FLEET_OLDEST_ORPHAN,
    "kept_orphans": declared.FLEET_KEPT_ORPHANS,
    "jobs": declared.FLEET_JOBS,
    "oldest_job": declared.FLEET_OLDEST_JOB,
    "pending_uploads": declared.FLEET_PENDING_UPLOADS,
    "oldest_upload": declared.FLEET_OLDEST_UPLOAD,
    "instances": declared.FLEET_INSTANCES,
    "drains": declared.FLEET_DRAIN,
}
_OTHERS = {"jobs_queued", "jobs_dead"}


def _is_current(name: str) -> bool:
    """Whether this release writes such a row. Those of another, which has further kinds, states or
    edges, would age the numbers for ever."""
    first, *labels = name.split(":")
    metric = _BY_NAME.get(first)
    if metric is None:
        return name in _OTHERS
    own, more = tuple(labels[: len(metric.labels)]), labels[len(metric.labels) :]
    if len(own) != len(metric.labels) or metric.bounded(own) != own:
        return False
    if metric.kind != "histogram":
        return not more
    return more == [SUM] or more in [[f"{edge:g}"] for edge in metric.edges] + [["Infinity"]]

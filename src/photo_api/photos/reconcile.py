"""Compares the table of photos with the object store, both ways, and mends what can be mended.

Nothing is ever deleted: orphans (objects that no row knows) are moved to quarantine for 30 days or
adopted into new rows, missing renditions are made again, missing originals are reported, and
uploads that came too late are left to the sweep.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from photo_api.db.clocks import later, own_time
from photo_api.db.pool import Database
from photo_api.jobs.queue import enqueuing
from photo_api.photos.adoption import adopt as adopt_original
from photo_api.photos.adoption import far_ids, reserve_ids
from photo_api.photos.late_uploads import late_uploads
from photo_api.photos.remaking import photos_without
from photo_api.storage.base import ObjectMissing, ObjectStore

PREFIXES = ("photos/", "renditions/")
YOUNG = "1 hour"
QUARANTINE = "quarantine/"
QUARANTINE_DAYS = 30
TOLERATED_SHARE = 0.01
BATCH = 1000
PATIENCE = 3600.0
"""Seconds for statements over everything; a request's few would not do for millions of photos."""
LOCK = 0x7265636F6E  # "recon": one advisory lock for all runs that mend, and for imports
ANOTHER = (
    "Another `photo-api reconcile` with --repair or --adopt, or `photo-api import`,"
    " runs; wait for its end"
)
UNFINISHED = """(l.key ~ '^photos/[0-9]+/[0-9]{1,16}/' AND NOT EXISTS (
    SELECT FROM photos WHERE status <> 'pending' AND id =
    CASE WHEN l.key ~ '^photos/[0-9]+/[0-9]{1,16}/' THEN split_part(l.key, '/', 3)::bigint END))"""
"""Whether an original's key is that of an upload under way, and not of a deleted photo."""


@dataclass(slots=True)
class Report:
    """What was found, and what was done about it. Lists hold object keys."""

    objects: int = 0
    photos: int = 0
    missing_originals: list[str] = field(default_factory=list)
    missing_renditions: list[str] = field(default_factory=list)
    without_renditions: list[int] = field(default_factory=list)
    """Photos for which nobody is about to make any; `photo-api renditions remake` has it tried
    again. Some cannot be: that is no disagreement."""
    orphans: list[str] = field(default_factory=list)
    far_ids: list[str] = field(default_factory=list)
    """Of the orphans, those that are never adopted: we cannot have named them."""
    vanished: list[str] = field(default_factory=list)
    """Orphans that the store still lists, and has no more."""
    quarantined: list[str] = field(default_factory=list)
    adopted: list[int] = field(default_factory=list)
    requeued: list[int] = field(default_factory=list)
    late_uploads: list[str] = field(default_factory=list)
    """Bytes in staging of uploads that nobody can confirm any more."""
    left_to_sweep: list[str] = field(default_factory=list)
    refused: str | None = None

    @property
    def clean(self) -> bool:
        """Whether table and store are known to agree, or to do so now."""
        looked_after = len(self.quarantined) + len(self.adopted) + len(self.vanished)
        left = len(self.orphans) - looked_after
        left += len(self.late_uploads) - len(self.left_to_sweep)
        unmade = self.missing_renditions and not self.requeued
        return not (self.refused or self.missing_originals or unmade or left)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"clean": self.clean}


async def reconcile(
    db: Database,
    store: ObjectStore,
    *,
    staged_for: float,
    repair: bool,
    adopt: bool,
    force: bool,
    restored: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Find all differences; with `adopt` recreate rows of orphaned originals, with `repair` move
    (other) orphans to quarantine and enqueue missing renditions. Orphans above 1 % of the objects
    look like a wrong database or bucket, and are left alone unless `force`. `staged_for`: the
    seconds after which bytes in staging are of no use.

    `restored` says that the database is from a backup and serves nobody: then nothing is too young,
    and an upload that the backup has as unfinished may have become a photo since."""
    async with db.acquire() as connection, _alone(connection, repair or adopt) as alone:
        if not alone:
            return Report(refused=ANOTHER)
        await _list(connection, store, progress)
        progress("comparing")
        report = await _compare(connection, store, restored)
        async for late in late_uploads(connection, store, staged_for):
            report.late_uploads += late
        if (repair or adopt) and not force:
            report.refused = _refusal(report)
        if report.refused:
            return report
        left = await _adopted(connection, store, report, progress) if adopt else report.orphans
        if repair:
            for number, key in enumerate(left, 1):
                await _quarantine(connection, store, key, report)
                progress(f"{number} of {len(left)} objects without a row looked after")
            await _requeue(connection, report)
            await _leave_to_sweep(connection, report)
    return report


@asynccontextmanager
async def _alone(connection: Any, changing: bool) -> AsyncIterator[bool]:
    """Whether no other run changes anything: it would move away, by its list, what this one has
    made a photo of. At the end the lock is given back, and the list of objects forgotten."""
    lock = "SELECT pg_try_advisory_lock($1)"
    if changing and not await connection.fetchval(lock, LOCK):
        yield False
        return
    try:
        yield True
    finally:
        await connection.execute("DROP TABLE IF EXISTS listed")
        if changing:
            await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def _list(connection: Any, store: ObjectStore, progress: Callable[[str], None]) -> None:
    """Fill the temporary table `listed` with every object outside staging."""
    await connection.execute("CREATE TEMP TABLE listed (key text, modified timestamptz)")
    batch: list[tuple[str, Any]] = []
    listed = 0
    for prefix in PREFIXES:
        async for info in store.list(prefix):
            batch.append((info.key, info.last_modified))
            if len(batch) == BATCH:
                await connection.copy_records_to_table("listed", records=batch)
                batch.clear()
                listed += BATCH
                progress(f"{listed} objects listed")
    await connection.copy_records_to_table("listed", records=batch)
    await connection.execute("CREATE INDEX ON listed (key); ANALYZE listed", timeout=PATIENCE)


async def _compare(connection: Any, store: ObjectStore, restored: bool) -> Report:
    report = Report(
        objects=await connection.fetchval("SELECT count(*) FROM listed"),
        photos=await connection.fetchval("SELECT count(*) FROM photos WHERE status = 'ready'"),
    )
    rows = await connection.fetch(
        f"""
        SELECT key FROM listed l WHERE ($1 OR modified < now() - interval '{YOUNG}')
        AND NOT EXISTS (
            SELECT FROM photos WHERE object_key = l.key AND status IN ('ready', 'trashed'))
        AND NOT EXISTS (SELECT FROM unreferenced_objects WHERE object_key = l.key
                        AND NOT ($1 AND {UNFINISHED}))
        AND NOT EXISTS (
            SELECT FROM photos WHERE status IN ('ready', 'trashed')
            AND l.key IN (thumbnail_key, preview_key, display_key)
            AND id = CASE WHEN l.key ~ '^renditions/[0-9]+/[0-9]{{1,16}}/'
                          THEN split_part(l.key, '/', 3)::bigint END)
        ORDER BY key
        """,
        restored,
        timeout=PATIENCE,
    )
    report.orphans = [row["key"] for row in rows]
    report.far_ids = await far_ids(connection, report.orphans)
    rows = await connection.fetch(
        f"""
        SELECT k.key, k.original FROM photos p, LATERAL
            (VALUES (p.object_key, true), (p.thumbnail_key, false), (p.preview_key, false),
             (p.display_key, false))
            AS k (key, original)
        WHERE (p.status = 'ready' OR p.status = 'trashed' AND k.original) AND k.key IS NOT NULL
        AND ($1 OR p.updated_at < now() - interval '{YOUNG}')
        AND NOT EXISTS (SELECT FROM listed WHERE key = k.key) ORDER BY k.key
        """,
        restored,
        timeout=PATIENCE,
    )
    report.without_renditions = await photos_without(connection, PATIENCE)
    for row in rows:
        if not await _exists(store, row["key"]):
            found = report.missing_originals if row["original"] else report.missing_renditions
            found.append(row["key"])
    return report


async def _exists(store: ObjectStore, key: str) -> bool:
    """The listing was taken before the rows were read; the store has the last word."""
    try:
        await store.head(key)
    except ObjectMissing:
        return False
    return True


def _refusal(report: Report) -> str | None:
    if len(report.orphans) <= report.objects * TOLERATED_SHARE:
        return None
    share = 100 * len(report.orphans) / report.objects
    return (
        f"{len(report.orphans)} of {report.objects} objects ({share:.1f} %) have no row; that looks"
        " like a wrong database or bucket. If it is not, repeat with --force."
    )


async def _adopted(
    connection: Any, store: ObjectStore, report: Report, progress: Callable[[str], None]
) -> list[str]:
    """Make photos of what can be one; the orphans that stay orphans."""
    left = list(report.far_ids)
    tried = sorted(set(report.orphans) - set(left))
    await reserve_ids(connection, tried)
    for number, key in enumerate(tried, 1):
        photo_id = await adopt_original(connection, store, key)
        if photo_id is None:
            left.append(key)
        else:
            report.adopted.append(photo_id)
        progress(f"{number} of {len(tried)} objects without a row tried")
    return left


async def _quarantine(connection: Any, store: ObjectStore, key: str, report: Report) -> None:
    target = QUARANTINE + key
    noted = await connection.fetchval(
        "INSERT INTO unreferenced_objects (object_key, delete_after)"
        f" SELECT $1, {later('$4')} + make_interval(days => $2)"
        " WHERE NOT EXISTS (SELECT FROM photos"
        "  WHERE object_key = $3 AND status IN ('ready', 'trashed'))"
        " ON CONFLICT (object_key)"
        " DO UPDATE SET delete_after = excluded.delete_after, taken = false RETURNING true",
        target, QUARANTINE_DAYS, key, own_time(),
    )  # fmt: skip
    if not noted:  # it is a photo since it was listed
        return
    try:
        await store.copy(key, target)
    except ObjectMissing:  # somebody else repairs as well, or the store's list is behind
        report.vanished.append(key)
        return
    await store.delete([key])
    report.quarantined.append(key)


async def _leave_to_sweep(connection: Any, report: Report) -> None:
    await connection.execute(
        "INSERT INTO unreferenced_objects (object_key, delete_after)"
        " SELECT key, now() FROM unnest($1::text[]) AS key ON CONFLICT DO NOTHING",
        report.late_uploads,
    )
    report.left_to_sweep = report.late_uploads


async def _requeue(connection: Any, report: Report) -> None:
    rows = await connection.fetch(
        f"""
        WITH mine AS (
            SELECT id, thumbnail_key, preview_key FROM photos
            WHERE status = 'ready' AND (thumbnail_key = ANY ($1) OR preview_key = ANY ($1))
            AND object_key <> ALL ($2) ORDER BY id FOR UPDATE
        ), left_over AS (
            INSERT INTO unreferenced_objects (object_key, delete_after)
            SELECT key, now() FROM mine, unnest(ARRAY[thumbnail_key, preview_key]) AS key
            WHERE key IS NOT NULL ON CONFLICT DO NOTHING
        ), again AS (
            UPDATE photos p SET renditions = 'pending', thumbnail_key = NULL, preview_key = NULL,
                metadata_reader = 0
            FROM mine WHERE p.id = mine.id RETURNING p.id
        ), {enqueuing("renditions", "again")}
        SELECT id FROM again
        """,
        report.missing_renditions, report.missing_originals,
    )  # fmt: skip
    displays = await connection.fetch(
        f"""
        WITH mine AS (
            SELECT id FROM photos WHERE status = 'ready' AND display_key = ANY ($1)
            AND object_key <> ALL ($2) ORDER BY id FOR NO KEY UPDATE
        ), again AS (
            UPDATE photos p SET display_key = NULL, display_type = NULL
            FROM mine WHERE p.id = mine.id AND p.status = 'ready' RETURNING p.id
        ), {enqueuing("display", "again")}
        SELECT id FROM again
        """,
        report.missing_renditions, report.missing_originals,
    )  # fmt: skip
    report.requeued = sorted({row["id"] for row in (*rows, *displays)})

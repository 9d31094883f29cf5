"""Whether the clients' ledger, the logs, the tables and the store tell the same story. Pure: all
evidence is gathered before."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from photo_api.contract import CDN_PROBE_PREFIX
from photo_fleet.drill.evidence.downloads import Download
from photo_fleet.drill.evidence.edits import edits_lost
from photo_fleet.drill.evidence.links import View, links_lost, views_differ
from photo_fleet.drill.evidence.logs import Execution
from photo_fleet.drill.evidence.tables import Row, Tables
from photo_fleet.drill.ledger import Creation, Edit, What
from photo_fleet.drill.records import Discrepancies, Request, Upload

NOT_REPEATABLE = ("POST", "PATCH")
OBJECTS = ("object_key", "thumbnail_key", "preview_key", "display_key")


@dataclass(frozen=True, slots=True)
class Evidence:
    """`objects` are the store's keys when the sweep is through, `downloads` are by photo,
    `views` by share."""

    requests: tuple[Request, ...] = ()
    uploads: tuple[Upload, ...] = ()
    creations: tuple[Creation, ...] = ()
    edits: tuple[Edit, ...] = ()
    tables: Tables = field(default_factory=Tables)
    executions: tuple[Execution, ...] = ()
    objects: frozenset[str] = frozenset()
    downloads: Mapping[int, Download] = field(default_factory=dict)
    views: Mapping[int, View] = field(default_factory=dict)


def reconcile(evidence: Evidence) -> Discrepancies:
    """Everything on which they disagree."""
    return Discrepancies(
        duplicates=(*_made_twice(evidence), *_executed_twice(evidence)),
        ghosts=(*_rows_without_object(evidence), *_objects_without_row(evidence)),
        acknowledged_lost=(
            *_uploads_lost(evidence),
            *_creations_lost(evidence),
            *_edits_lost(evidence),
        ),
        half_done=(
            *_half_deleted(evidence),
            *_half_uploaded(evidence.tables),
            *_half_shown(evidence),
            *_half_edited(evidence.tables),
            *_half_recorded(evidence),
        ),
    )


def lost_by_downloads(
    uploads: Iterable[Upload], downloads: Mapping[int, Download]
) -> Iterator[str]:
    """What downloads alone can tell: acknowledged uploads, not deleted since, whose bytes did not
    come back."""
    for upload in uploads:
        if not (upload.deleted or upload.delete_asked):
            name = f"photo {upload.photo_id} of {upload.client}"
            yield from _wrong_bytes(name, upload, downloads.get(upload.photo_id))


def _made_twice(evidence: Evidence) -> Iterator[str]:
    """More rows with a mark than there were intentions to make one. Rows of photos stay for days
    when they are gone, so that also a second row that was swept is seen."""
    intended = Counter((item.what, item.mark) for item in evidence.creations)
    for (what, mark), rows in _rows_by_mark(evidence.tables).items():
        wanted = intended.get((what, mark))
        if wanted is not None and len(rows) > wanted:
            ids = ", ".join(str(row["id"]) for row in rows)
            yield f"{wanted} {what} wanted, {len(rows)} made (mark {mark}): {ids}"


def _rows_by_mark(tables: Tables) -> dict[tuple[What, str], list[Row]]:
    found: dict[tuple[What, str], list[Row]] = defaultdict(list)
    marks: tuple[tuple[What, str, tuple[Row, ...]], ...] = (
        ("album", "name", tables.albums),
        ("photo", "title", tables.photos),
        ("share", "album_id", tables.shares),
    )
    for what, mark, rows in marks:
        for row in rows:
            found[what, str(row[mark])].append(row)
    return found


def _executed_twice(evidence: Evidence) -> Iterator[str]:
    """One request that its client sent once and that succeeded more than once, by the instances'
    logs or by nginx's. Refusals have no effect and do not count."""
    ours = {item.id for item in evidence.requests if item.target == "api"}
    successes: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for item in evidence.executions:
        if item.request_id in ours and item.method in NOT_REPEATABLE and item.status < 400:
            successes[item.source, item.request_id, item.method].append(item.instance)
    for (source, request_id, method), instances in successes.items():
        if len(instances) > 1:
            where = ", ".join(instances)
            yield f"{method} {request_id} was executed {len(instances)} times ({source}: {where})"


def _rows_without_object(evidence: Evidence) -> Iterator[str]:
    for row in _ready(evidence.tables):
        for column in OBJECTS:
            if row[column] is not None and row[column] not in evidence.objects:
                yield f"photo {row['id']} is ready and its {column} is not in the store"


def _objects_without_row(evidence: Evidence) -> Iterator[str]:
    known = {row[column] for row in _ready(evidence.tables) for column in OBJECTS}
    looked_at = {key for key in evidence.objects if key.startswith(CDN_PROBE_PREFIX)}
    for key in sorted(evidence.objects - known - looked_at):
        yield f"object {key} belongs to no photo"


def _uploads_lost(evidence: Evidence) -> Iterator[str]:
    rows = {row["id"]: row for row in evidence.tables.photos}
    for upload in evidence.uploads:
        row, name = rows.get(upload.photo_id), f"photo {upload.photo_id} of {upload.client}"
        if row is None:
            yield f"{name} was acknowledged and has no row"
        elif upload.deleted or (upload.delete_asked and row["status"] == "gone"):
            continue
        elif row["status"] != "ready":
            yield f"{name} was acknowledged and is {row['status']}"
        else:
            yield from _wrong_bytes(name, upload, evidence.downloads.get(upload.photo_id))


def _wrong_bytes(name: str, upload: Upload, download: Download | None) -> Iterator[str]:
    if download is None:
        yield f"{name} was acknowledged and nobody fetched it"
    elif download.sha256 is None:
        yield f"{name} was acknowledged and cannot be fetched: {download.problem}"
    elif download.sha256 != upload.sha256:
        yield f"{name} was acknowledged and has other bytes"


def _creations_lost(evidence: Evidence) -> Iterator[str]:
    """Nobody deletes albums and shares; photos leave their rows behind, and nobody changes titles.
    Names of albums are looked at with their edits."""
    tables = evidence.tables
    ids = _all_ids(tables)
    marks = {
        "photo": {row["id"]: row["title"] for row in tables.photos},
        "share": {row["id"]: str(row["album_id"]) for row in tables.shares},
    }
    for item in evidence.creations:
        if item.id is None:
            continue
        name = f"{item.what} {item.id} of {item.client}"
        if item.id not in ids[item.what]:
            yield f"{name} was acknowledged and has no row"
        elif (found := marks.get(item.what, {}).get(item.id, item.mark)) != item.mark:
            yield f"{name} was acknowledged with mark {item.mark}, and has {found}"


def _edits_lost(evidence: Evidence) -> Iterator[str]:
    tables = evidence.tables
    yield from edits_lost(evidence.edits, evidence.creations, evidence.requests, tables)
    there = _all_ids(tables)["share"]
    yield from links_lost((one for one in evidence.creations if one.id in there), evidence.views)
    yield from views_differ(tables, evidence.views)


def _half_deleted(evidence: Evidence) -> Iterator[str]:
    rows = {row["id"]: row for row in evidence.tables.photos}
    for upload in evidence.uploads:
        row = rows.get(upload.photo_id)
        if upload.deleted and row is not None and row["status"] != "gone":
            yield f"photo {upload.photo_id} was deleted and is {row['status']}"
    for row in evidence.tables.photos:
        if row["status"] != "ready" and row["in_album"]:
            yield f"photo {row['id']} is {row['status']} and in an album"


def _half_uploaded(tables: Tables) -> Iterator[str]:
    """Nobody takes a photo out of the album that it was uploaded to."""
    for row in _ready(tables):
        if row["has_album"] and not row["in_album"]:
            yield f"photo {row['id']} is ready and not in its album"
        if row["renditions"] == "pending" and not row["has_job"]:
            yield f"photo {row['id']} waits for renditions that no job makes"
        if row["renditions"] == "failed":
            yield f"photo {row['id']} has no renditions: making them failed for good"
        if row["renditions"] == "partial":
            yield f"photo {row['id']} is shown in part, though all of it was uploaded"


def _half_shown(evidence: Evidence) -> Iterator[str]:
    """When all jobs are done everybody is shown thumbnails."""
    for row in _ready(evidence.tables):
        download, state = evidence.downloads.get(row["id"]), row["renditions"]
        shown = download is None or download.sha256 is None or download.is_small
        if not shown and state != "failed":
            yield f"photo {row['id']}: no thumbnail came, and its renditions are {state}"


def _half_edited(tables: Tables) -> Iterator[str]:
    for row in tables.albums:
        # An edit writes the same words into both.
        if row["description"] is not None and row["description"] != row["name"]:
            yield f"album {row['id']} has the name of one edit and the description of another"
        if row["photo_count"] != row["counted"]:
            yield f"album {row['id']} has {row['counted']} photos and counts {row['photo_count']}"


def _half_recorded(evidence: Evidence) -> Iterator[str]:
    """A key and what was made under it are written together or not at all."""
    tables = evidence.tables
    ids = _all_ids(tables)
    done = {row["key"]: row for row in tables.keys if row["status"] is not None}
    rows = _rows_by_mark(tables)
    intentions: dict[tuple[What, str], list[str]] = defaultdict(list)
    for item in evidence.creations:
        intentions[item.what, item.mark].append(item.key)
        record = done.get(item.key)
        if record is not None and record["resource_id"] not in ids[item.what]:
            yield f"key {item.key} names {item.what} {record['resource_id']}, which is not there"
    for (what, mark), keys in intentions.items():
        made, recorded = len(rows.get((what, mark), ())), sum(key in done for key in keys)
        # An edited album has lost its mark; more than was intended is a duplicate already.
        if recorded < made <= len(keys):
            yield f"{made} {what} with mark {mark} made, {recorded} keys say so"


def _all_ids(tables: Tables) -> dict[What, set[int]]:
    return {
        "album": {row["id"] for row in tables.albums},
        "photo": {row["id"] for row in tables.photos},
        "share": {row["id"] for row in tables.shares},
    }


def _ready(tables: Tables) -> list[Row]:
    return [row for row in tables.photos if row["status"] == "ready"]

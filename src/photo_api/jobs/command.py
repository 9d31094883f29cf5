"""`photo-api jobs`: what waits or has died, and having it done again."""

import json
from typing import Any

from photo_api.db.pool import Database, open_database
from photo_api.jobs import queue
from photo_api.settings.loading import Settings
from photo_base.command_line import progress

FIELDS = (
    "id", "kind", "subject_id", "state", "attempt", "handed_back", "created_at", "available_at",
    "worker", "error",
)  # fmt: skip


async def jobs_command(
    settings: Settings,
    action: str,
    chosen: queue.Filter,
    *,
    limit: int,
    as_json: bool,
) -> int:
    """List jobs, oldest first, show some, or retry dead ones; 1 when there is none such."""
    async with open_database(settings.database, "photo-api jobs", 1) as db:
        if action == "retry":
            retried = await _retry_all(db, chosen)
            print(json.dumps({"retried": retried}) if as_json else f"{retried} jobs queued again")
            return 0 if retried else 1
        rows = [dict(row) for row in await queue.jobs(db, chosen, limit)]
    if as_json:
        print(json.dumps([{name: row[name] for name in FIELDS} for row in rows], default=str))
    else:
        print("\n".join(_line(row, whole=action == "show") for row in rows) or "no such jobs")
    return 0 if rows or action == "list" else 1


async def _retry_all(db: Database, chosen: queue.Filter) -> int:
    """Batch by batch; a job that dies again meanwhile is not taken twice."""
    retried, after = 0, 0
    while batch := await queue.revive(db, chosen, after):
        retried, after = retried + len(batch), max(batch)
        progress(f"{retried} jobs queued again")
    return retried


def _line(row: dict[str, Any], *, whole: bool) -> str:
    if whole:
        return "\n".join(f"{name}: {row[name]}" for name in FIELDS) + "\n"
    failures = row["attempt"] - row["handed_back"]
    what = f"{row['kind']} of {row['subject_id']}"
    cause = f": {row['error'][:120]}" if row["error"] else ""
    return f"{row['id']} {row['state']} {what}, {failures} tries, {row['created_at']:%F %T}{cause}"

"""`photo-api reconcile`: the report for people or machines, and its exit code."""

import json
import sys

from photo_api.contract import LOST_AFTER
from photo_api.db.pool import open_database
from photo_api.photos.late_uploads import staged_for
from photo_api.photos.reconcile import QUARANTINE_DAYS, Report, reconcile
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.storage.opening import follow_store
from photo_base.command_line import progress

SHOWN = 20
RUNNING = (
    "SELECT count(*) FROM instances WHERE state IN ('starting', 'ready', 'draining')"
    f" AND heartbeat_at > now() - interval '{LOST_AFTER} seconds'"
)


async def reconcile_command(
    settings: Settings, *, repair: bool, adopt: bool, force: bool, restored: bool, as_json: bool
) -> int:
    """0: table and store agree (or do so now), 1: they differ or it was refused. Raises what an
    unreachable database or store raises."""
    async with (
        open_database(settings.database.past_pooler, "photo-api reconcile") as db,
        follow_store(LiveSettings(settings)) as (_, store),
    ):
        if restored and (running := await db.fetchval(RUNNING)):
            refusal = f"Stop the instances first: {running} of them run"
            print(refusal, file=sys.stderr)
            if as_json:
                print(json.dumps(Report(refused=refusal).as_dict()))
            return 1
        report = await reconcile(
            db,
            store,
            staged_for=staged_for(settings.uploads),
            repair=repair,
            adopt=adopt,
            force=force,
            restored=restored,
            progress=progress,
        )
    print(json.dumps(report.as_dict()) if as_json else _text(report))
    return 0 if report.clean else 1


def _text(report: Report) -> str:
    lines = [f"{report.photos} photos, {report.objects} objects"]
    lines += _section("photos whose original is missing", report.missing_originals)
    lines += _section("missing renditions", report.missing_renditions)
    without = list(map(str, report.without_renditions))
    lines += _section("photos without renditions (`photo-api renditions remake`)", without)
    lines += _section("objects without a row", report.orphans)
    lines += _section("of them with an id that cannot have been handed out", report.far_ids)
    lines += _section("uploads that came too late", report.late_uploads)
    if report.adopted:
        lines.append(f"adopted as photos: {', '.join(map(str, report.adopted))}")
    if report.quarantined:
        lines.append(
            f"moved {len(report.quarantined)} objects to quarantine/ for {QUARANTINE_DAYS} days"
        )
    if report.vanished:
        lines.append(f"{len(report.vanished)} objects are listed by the store and not there")
    if report.requeued:
        lines.append(f"renditions enqueued again: {', '.join(map(str, report.requeued))}")
    if report.left_to_sweep:
        lines.append(f"left {len(report.left_to_sweep)} uploads to the sweep")
    if report.refused:
        lines.append(f"nothing was changed: {report.refused}")
    elif report.clean:
        lines.append("table and store agree")
    elif report.orphans and not (report.quarantined or report.adopted or report.vanished):
        lines.append("--repair moves such objects to quarantine, --adopt makes photos of them")
    elif report.late_uploads and not report.left_to_sweep:
        lines.append("the sweep finds such uploads within an hour; --repair hands them to it")
    return "\n".join(lines)


def _section(title: str, keys: list[str]) -> list[str]:
    if not keys:
        return []
    shown = [f"  {key}" for key in keys[:SHOWN]]
    more = [f"  … and {len(keys) - SHOWN} more"] if len(keys) > SHOWN else []
    return [f"{len(keys)} {title}:", *shown, *more]

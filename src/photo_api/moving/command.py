"""`photo-api import`: what SQL cannot bring over from another service."""

import json
import sys
from dataclasses import asdict

from photo_api.db.pool import open_database
from photo_api.moving.links import seal_links
from photo_api.moving.objects import Moved, move_objects
from photo_api.photos.reconcile import ANOTHER, LOCK
from photo_api.settings.loading import Settings
from photo_api.settings.secrets import LiveSettings
from photo_api.shares.sealing import Sealer
from photo_api.storage.opening import buckets_of, follow_store, in_bucket
from photo_base.command_line import COULD_NOT, FAILED, progress

SHOWN = 20
SAME = (
    "That is this service's bucket. Give it one of its own: in the other service's,"
    " `photo-api reconcile --repair` would move away what it does not know"
)


async def import_command(settings: Settings, *, bucket: str, as_json: bool) -> int:
    """Seal the links, then make photos of the objects in `bucket`; 0 when none is left,
    else 1.
    Raises what an unreachable database or store raises."""
    if bucket in buckets_of(settings):
        print(SAME, file=sys.stderr)
        return COULD_NOT
    async with (
        open_database(settings.database.past_pooler, "photo-api import") as db,
        follow_store(LiveSettings(settings)) as (_, store),
        follow_store(LiveSettings(in_bucket(settings, bucket))) as (_, old),
        db.acquire() as connection,
    ):
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
            print(ANOTHER, file=sys.stderr)
            return FAILED
        links = await seal_links(db, Sealer(settings.auth.secret_keys))
        moved = await move_objects(db, store, old, bucket, progress)
    print(json.dumps({"links": links, **asdict(moved)}) if as_json else _text(links, moved))
    return 1 if moved.left else 0


def _text(links: int, moved: Moved) -> str:
    lines = [f"{links} share links sealed, {moved.photos} photos made, {moved.left} left"]
    for title, told in (
        ("without an object", moved.missing),
        ("whose object is no image", moved.no_images),
        (
            "changed meanwhile, kept back by the store, or of a name that S3 clients refuse",
            moved.to_try_again,
        ),
        ("of another type than was said", moved.other_types),
        ("of another size than was said", moved.other_sizes),
    ):
        if told:
            lines += [f"{len(told)} {title}:", *(f"  {one}" for one in sorted(told)[:SHOWN])]
        if len(told) > SHOWN:
            lines.append(f"  … and {len(told) - SHOWN} more (--json lists all)")
    return "\n".join(lines)

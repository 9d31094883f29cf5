"""`photo-api renditions`: having missing and failed ones made again."""

import json

from photo_api.db.pool import open_database
from photo_api.photos import remaking
from photo_api.settings.loading import Settings
from photo_base.command_line import progress


async def remake_command(
    settings: Settings, *, cause: str | None, older_than: float, as_json: bool
) -> int:
    """Enqueue all missing and failed renditions again (of photos at least `older_than` seconds
    old, with this cause); 0."""
    enqueued, after = 0, 0
    async with open_database(settings.database, "photo-api renditions", 1) as db:
        while batch := await remaking.remake(db, after, cause, older_than):
            enqueued, after = enqueued + len(batch), max(batch)
            progress(f"{enqueued} photos enqueued")
    print(json.dumps({"enqueued": enqueued}) if as_json else f"{enqueued} photos enqueued")
    return 0

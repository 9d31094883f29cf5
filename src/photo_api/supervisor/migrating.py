"""Migrates the schema to this release while the instance starts."""

import asyncio
import logging
import random

from photo_api.settings.secrets import LiveSettings
from photo_api.telemetry.events import Event

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0


async def migrate_at_start(live: LiveSettings) -> None:
    """Migrate as soon as the database is there; the instance is not ready until then. A migration
    that would break the release before is left to `photo-api migrate --allow-breaking`."""
    from photo_api.db.fitness import UnfitDatabase, remedy
    from photo_api.db.migrations import BreakingMigrations, migrate
    from photo_api.telemetry.failures import bug
    from photo_base.postgres import FAILURES, is_refusal

    pause = FIRST_PAUSE
    while True:
        try:
            await migrate(live.now.database)
        except (BreakingMigrations, UnfitDatabase) as refusal:
            refused = {"event": Event.CONFIGURATION_REFUSED}
            log.error("not migrated: %s", refusal, extra={"fields": refused})
            return
        except FAILURES as error:
            kind = type(error).__name__
            if is_refusal(error):
                live.refused("database")
            text = remedy(error) or error
            log.warning("cannot migrate yet: %s: %s", kind, text, exc_info=bug(error))
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(pause * 2, LONGEST_PAUSE)
        else:
            return

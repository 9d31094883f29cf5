"""The job that makes a photo's display rendition, which visitors of a share link see."""

import logging
import secrets
from typing import Any

from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.jobs.queue import Job
from photo_api.jobs.runner import LeaseLost
from photo_api.photos.formats import EXTENSIONS
from photo_api.photos.upload_queries import KEY_GRACE, note_object
from photo_api.renditions.decoder import Decoder, Displayable
from photo_api.renditions.originals import Hopeless, Originals, TakenBySweep
from photo_api.storage.base import ObjectStore

KIND = "display"

log = logging.getLogger(__name__)


class DisplayJob:
    """Handler of `display` jobs; their subject is a photo's id."""

    def __init__(self, db: Database, store: ObjectStore, originals: Originals) -> None:
        self._db = db
        self._store = store
        self._originals = originals

    async def run(self, job: Job) -> None:
        photo = await self._db.fetchrow(
            "SELECT owner_id, object_key FROM photos"
            " WHERE id = $1 AND status = 'ready' AND display_key IS NULL",
            job.subject_id,
        )
        if photo is None:
            await self._finish(job)
            return
        try:
            made = await self._originals.make(job, photo["object_key"], Decoder.display)
        except Hopeless as reason:
            # The dead job is the record: nobody tries again, and operators see it.
            async with self._db.transaction() as connection:
                if not await queue.bury(connection, job, str(reason)):
                    raise LeaseLost from reason
            fields = {"job": job.id, "photo": job.subject_id, "reason": str(reason)}
            log.warning("a photo cannot be shown at full size", extra={"fields": fields})
        else:
            await self._keep(job, photo["owner_id"], made)

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        """Nothing to record: visitors go on seeing the preview."""

    async def _finish(self, job: Job) -> None:
        async with self._db.transaction() as connection:
            if not await queue.finish(connection, job):
                raise LeaseLost

    async def _keep(self, job: Job, owner_id: int, made: Displayable) -> None:
        stem = f"renditions/{owner_id}/{job.subject_id}/{secrets.token_hex(8)}-{job.attempt}"
        key = f"{stem}-display{EXTENSIONS[made.content_type]}"
        await note_object(self._db, key, KEY_GRACE)
        await self._store.put_bytes(key, made.data, content_type=made.content_type)
        async with self._db.transaction() as connection:
            if not await queue.finish(connection, job):
                raise LeaseLost
            # Of a photo that is deleted by now, or has one, it stays with the sweep.
            await _adopt(connection, job.subject_id, key, made.content_type)


async def _adopt(connection: Any, photo_id: int, key: str, content_type: str) -> None:
    photos, adopted = await connection.fetchrow(
        """
        WITH mine AS (
            SELECT id FROM photos
            WHERE id = $1 AND status = 'ready' AND display_key IS NULL FOR UPDATE
        ), adopted AS (
            DELETE FROM unreferenced_objects
            WHERE object_key = $2 AND NOT taken AND EXISTS (SELECT FROM mine) RETURNING 1
        ), changed AS (
            UPDATE photos p SET display_key = $2, display_type = $3
            FROM mine WHERE p.id = mine.id
        )
        SELECT (SELECT count(*) FROM mine), (SELECT count(*) FROM adopted)
        """,
        photo_id, key, content_type,
    )  # fmt: skip
    if photos and not adopted:
        raise TakenBySweep

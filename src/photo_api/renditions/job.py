"""The job that makes a photo's renditions and reads its EXIF."""

import secrets
from typing import Any

from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.jobs.queue import Job
from photo_api.jobs.runner import LeaseLost
from photo_api.photos.upload_queries import KEY_GRACE, note_object
from photo_api.renditions.decoder import Decoder, Rendered
from photo_api.renditions.originals import Hopeless, Originals, TakenBySweep
from photo_api.storage.base import ObjectStore

KIND = "renditions"


class RenditionJob:
    """Handler of `renditions` jobs; their subject is a photo's id."""

    def __init__(self, db: Database, store: ObjectStore, originals: Originals) -> None:
        self._db = db
        self._store = store
        self._originals = originals

    async def run(self, job: Job) -> None:
        photo = await self._db.fetchrow(
            "SELECT owner_id, object_key FROM photos WHERE id = $1 AND status = 'ready'",
            job.subject_id,
        )
        if photo is None:
            await self._finish(job)
            return
        try:
            rendered = await self._originals.make(job, photo["object_key"], Decoder.render)
        except Hopeless as reason:
            await self._finish(job, failed=str(reason))
        else:
            await self._keep(job, photo["owner_id"], rendered)

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        await _mark_failed(connection, job.subject_id, f"attempts_exhausted:{cause}")

    async def _finish(self, job: Job, failed: str | None = None) -> None:
        async with self._db.transaction() as connection:
            if not await queue.finish(connection, job):
                raise LeaseLost
            if failed is not None:
                await _mark_failed(connection, job.subject_id, failed)

    async def _keep(self, job: Job, owner_id: int, rendered: Rendered) -> None:
        """Write the renditions under names of this attempt alone, then point the photo to them."""
        stem = f"renditions/{owner_id}/{job.subject_id}/{secrets.token_hex(8)}-{job.attempt}"
        thumbnail, preview = f"{stem}-thumbnail.webp", f"{stem}-preview.webp"
        for key, data in ((thumbnail, rendered.thumbnail), (preview, rendered.preview)):
            await note_object(self._db, key, KEY_GRACE)
            await self._store.put_bytes(key, data, content_type="image/webp")
        async with self._db.transaction() as connection:
            if not await queue.finish(connection, job):
                raise LeaseLost
            # A photo deleted meanwhile gets nothing, and its renditions stay with the sweep.
            await _adopt(connection, job.subject_id, rendered, thumbnail, preview)


async def _mark_failed(connection: Any, photo_id: int, reason: str) -> None:
    await connection.execute(
        "UPDATE photos SET renditions = 'failed', renditions_error = $2"
        " WHERE id = $1 AND status = 'ready'",
        photo_id, reason,
    )  # fmt: skip


async def _adopt(
    connection: Any, photo_id: int, rendered: Rendered, thumbnail: str, preview: str
) -> None:
    photos, adopted = await connection.fetchrow(
        """
        WITH mine AS (
            SELECT id FROM photos WHERE id = $1 AND status = 'ready' FOR UPDATE
        ), adopted AS (
            DELETE FROM unreferenced_objects
            WHERE object_key IN ($2, $3) AND NOT taken AND EXISTS (SELECT FROM mine) RETURNING 1
        ), changed AS (
            UPDATE photos p SET renditions = 'ready', renditions_error = NULL, thumbnail_key = $2,
                preview_key = $3, width = $4, height = $5, blurhash = $6, exif = $7, taken_at = $8,
                sha256 = $9
            FROM mine WHERE p.id = mine.id
        )
        SELECT (SELECT count(*) FROM mine), (SELECT count(*) FROM adopted)
        """,
        photo_id, thumbnail, preview, rendered.width, rendered.height, rendered.blurhash,
        rendered.exif, rendered.exif.get("taken_at"), rendered.sha256,
    )  # fmt: skip
    if photos and adopted != 2:
        raise TakenBySweep

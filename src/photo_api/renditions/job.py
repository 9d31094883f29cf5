"""The jobs that make a photo's renditions. Their subject is a photo's id.

Each decodes the original, writes its files under names of this attempt alone, and then points the
photo to them.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.jobs.queue import Job
from photo_api.jobs.runner import LeaseLost, finish, finishing
from photo_api.photos.formats import EXTENSIONS
from photo_api.photos.presentation import WEBP
from photo_api.photos.remaking import UNSHOWN
from photo_api.photos.upload_queries import KEY_GRACE, note_object
from photo_api.renditions.decoder import Decoder, Displayable, Rendered
from photo_api.renditions.decoder_pool import DecoderPool, PermanentFailure, TakenBySweep
from photo_api.renditions.rereading import READER, keep_facts
from photo_api.storage.base import ObjectMissing, ObjectStore
from photo_api.tracing import traceparent

log = logging.getLogger(__name__)

Made = TypeVar("Made")
File = tuple[str, bytes, str]
"""What its name ends with, its bytes and their content type."""


class _PhotoJob(Generic[Made]):
    wanted: str
    """The SQL condition by which a ready photo still has use for the files."""
    change: str
    """What is set in its row: $3 and on are the files' keys, then `facts`."""
    then = ""
    """What follows from it: common table expressions by the photo in `changed`."""
    decode: Callable[[Decoder, bytes], Awaitable[Made]]

    def __init__(self, db: Database, store: ObjectStore, decoders: DecoderPool) -> None:
        self._db = db
        self._store = store
        self._decoders = decoders

    async def run(self, job: Job) -> str | None:
        try:
            if (photo := await self._photo(job)) is not None:
                return await self._make(job, photo)
        except ObjectMissing:
            if await self._photo(job) is not None:  # it was not deleted meanwhile
                raise
        await finish(self._db, job)
        return "not_wanted"

    async def _photo(self, job: Job) -> Any:
        """Its owner and key, while it has use for the files."""
        return await self._db.fetchrow(
            "SELECT owner_id, object_key FROM photos"
            f" WHERE id = $1 AND status = 'ready' AND {self.wanted}",
            job.subject_id,
        )

    async def _make(self, job: Job, photo: Any) -> str | None:
        try:
            made = await self._decoders.make(job, photo["object_key"], self.decode)
        except PermanentFailure as reason:
            await self._refuse(job, photo["object_key"], str(reason))
            return "refused"
        await self._keep(job, photo["owner_id"], made)
        return None

    async def _refuse(self, job: Job, key: str, reason: str) -> None:
        """End the job of a photo that is at fault itself, whose original has this key."""
        raise NotImplementedError

    def _files(self, made: Made) -> Sequence[File]:
        raise NotImplementedError

    def _facts(self, made: Made) -> Sequence[object]:
        raise NotImplementedError

    async def _keep(self, job: Job, owner_id: int, made: Made) -> None:
        stem = f"renditions/{owner_id}/{job.subject_id}/{secrets.token_hex(8)}-{job.attempt}"
        keys = []
        for name, data, content_type in self._files(made):
            keys.append(f"{stem}-{name}")
            await note_object(self._db, keys[-1], KEY_GRACE, size=len(data))
            await self._store.put_bytes(keys[-1], data, content_type=content_type)
        async with finishing(self._db, job) as connection:
            # A photo that wants none any more gets none, and they stay with the sweep.
            photos, adopted = await connection.fetchrow(
                f"""
                WITH mine AS (
                    SELECT id FROM photos
                    WHERE id = $1 AND status = 'ready' AND {self.wanted} FOR NO KEY UPDATE
                ), adopted AS (
                    DELETE FROM unreferenced_objects
                    WHERE object_key = ANY ($2) AND NOT taken AND EXISTS (SELECT FROM mine)
                    RETURNING object_key, bytes
                ), changed AS (
                    UPDATE photos p SET {self.change} FROM mine WHERE p.id = mine.id RETURNING p.*
                ){self.then}
                SELECT (SELECT count(*) FROM mine), (SELECT count(*) FROM adopted)
                """,
                job.subject_id, keys, *keys, *self._facts(made),
            )  # fmt: skip
            if photos and adopted != len(keys):
                raise TakenBySweep


class RenditionJob(_PhotoJob[Rendered]):
    """Handler of `renditions` jobs: thumbnail, preview, and the original's EXIF and size. A photo
    that browsers do not show has its display rendition enqueued."""

    wanted = "renditions IN ('pending', 'failed')"
    change = f"""renditions = CASE WHEN $11::text IS NULL THEN 'ready' ELSE 'partial' END,
        renditions_error = $11, thumbnail_key = $3, preview_key = $4, width = $5, height = $6,
        thumbnail_bytes = (SELECT bytes FROM adopted WHERE object_key = $3),
        preview_bytes = (SELECT bytes FROM adopted WHERE object_key = $4),
        blurhash = $7, exif = $8, taken_at = $9, sha256 = $10,
        metadata_reader = {READER}"""
    then = f""", unshown AS (SELECT p.id FROM changed p WHERE {UNSHOWN}),
        {queue.enqueuing("display", "unshown", "$12")}"""
    decode = staticmethod(Decoder.render)

    def _files(self, made: Rendered) -> Sequence[File]:
        return ("thumbnail.webp", made.thumbnail, WEBP), ("preview.webp", made.preview, WEBP)

    def _facts(self, made: Rendered) -> Sequence[object]:
        taken_at = made.exif.get("taken_at")
        size = made.width, made.height
        facts = *size, made.blurhash, made.exif, taken_at, made.sha256, made.fault
        return *facts, traceparent()

    async def _refuse(self, job: Job, key: str, reason: str) -> None:
        """The photo keeps what its file tells without being decoded."""
        facts = None
        with suppress(PermanentFailure):
            facts = await self._decoders.make(job, key, Decoder.describe)
        async with finishing(self._db, job) as connection:
            await _mark_failed(connection, job.subject_id, reason)
            await keep_facts(connection, job.subject_id, facts)

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        missing = cause == ObjectMissing.__name__
        reason = "bytes_missing" if missing else f"attempts_exhausted:{cause}"
        await _mark_failed(connection, job.subject_id, reason)


async def _mark_failed(connection: Any, photo_id: int, reason: str) -> None:
    await connection.execute(
        "UPDATE photos SET renditions = 'failed', renditions_error = $2"
        " WHERE id = $1 AND status = 'ready'",
        photo_id, reason,
    )  # fmt: skip


class DisplayJob(_PhotoJob[Displayable]):
    """Handler of `display` jobs: the rendition that visitors of a share link see, and its owner too
    where browsers do not show the original."""

    wanted = "display_key IS NULL"
    change = """display_key = $3, display_type = $4,
        display_bytes = (SELECT bytes FROM adopted WHERE object_key = $3)"""
    decode = staticmethod(Decoder.display)

    def _files(self, made: Displayable) -> Sequence[File]:
        return ((f"display{EXTENSIONS[made.content_type]}", made.data, made.content_type),)

    def _facts(self, made: Displayable) -> Sequence[object]:
        return (made.content_type,)

    async def _refuse(self, job: Job, key: str, reason: str) -> None:
        """The dead job is the record: nobody tries again, and operators see it."""
        async with self._db.transaction() as connection:
            if not await queue.bury(connection, job, reason):
                raise LeaseLost
        fields = {"job": job.id, "photo": job.subject_id, "reason": reason}
        log.warning("a photo cannot be shown at full size", extra={"fields": fields})

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        """Nothing to record: people go on seeing the preview."""

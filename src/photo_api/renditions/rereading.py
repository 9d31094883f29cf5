"""Photos whose metadata an older release has read, and reads otherwise than this one: read anew.

The leader enqueues some at a time, the newest first. Each is a job of nobody's, and gives way to
those of users. No rendition is made.
"""

import logging
import random
from typing import Any

from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.jobs.queue import Job
from photo_api.jobs.runner import finishing
from photo_api.registry import leases
from photo_api.registry.leases import Lease
from photo_api.renditions.decoder import Decoder, Facts
from photo_api.renditions.decoder_pool import DecoderPool, PermanentFailure
from photo_api.storage.base import ObjectMissing

log = logging.getLogger(__name__)

READER = 1
"""This release's. Another one comes with a migration, whose index names those before it."""

AT_ONCE = 100
"""Jobs that wait for the whole fleet."""

GIVES_WAY = (20.0, 40.0)
"""Seconds until a job that met others' looks again."""

UNREAD = "renditions <> 'pending' AND metadata_reader = 0"
"""Of a photo that is ready, as the index `photos_to_read` has it."""

NOBODYS = "user_id = 0 AND kind = 'metadata' AND state <> 'dead'"


async def enqueue_unread(db: Any, lease: Lease) -> None:
    """Have the next photos read. One whose job is dead is left alone until that is forgotten."""
    await db.execute(
        f"""
        WITH {leases.FENCE}, next AS (
            SELECT p.id FROM photos p
            WHERE p.status = 'ready' AND {UNREAD} AND {leases.HELD} AND NOT EXISTS (
                SELECT FROM jobs j WHERE j.subject_id = p.id AND j.kind = 'metadata')
            ORDER BY p.id DESC
            LIMIT greatest($3 - (SELECT count(*) FROM jobs WHERE {NOBODYS}), 0)
        ), {queue.enqueuing("metadata", "next")}
        SELECT FROM job
        """,
        *lease, AT_ONCE,
    )  # fmt: skip


class MetadataJob:
    """Handler of `metadata` jobs; their subject is a photo's id."""

    def __init__(self, db: Database, decoders: DecoderPool) -> None:
        self._db = db
        self._decoders = decoders

    async def run(self, job: Job) -> None:
        if await queue.users_wait(self._db):
            pause = random.uniform(*GIVES_WAY)
            await queue.postpone(self._db, job, pause, "users' jobs come first")
            return
        key, facts = await self._key(job), None
        if key is not None:
            try:
                facts = await self._decoders.make(job, key, Decoder.describe)
            except PermanentFailure as reason:
                fields = {"photo": job.subject_id, "reason": str(reason)}
                log.warning("a photo's metadata stay as they were read", extra={"fields": fields})
            except ObjectMissing:
                key = await self._key(job)
                if key is not None:  # it was not deleted meanwhile
                    raise
        async with finishing(self._db, job) as connection:
            if key is not None:
                await keep_facts(connection, job.subject_id, facts)

    async def _key(self, job: Job) -> str | None:
        """The original's, while the photo is to be read."""
        key: str | None = await self._db.fetchval(
            f"SELECT object_key FROM photos WHERE id = $1 AND status = 'ready' AND {UNREAD}",
            job.subject_id,
        )
        return key

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        """The dead job is the record. The photo stays as it was read before."""


async def keep_facts(connection: Any, photo_id: int, facts: Facts | None) -> None:
    """What a file tells undecoded, and its size where none is known. Where it tells nothing, only
    that it was asked."""
    if facts is None:
        await connection.execute(
            f"UPDATE photos SET metadata_reader = {READER} WHERE id = $1 AND status = 'ready'",
            photo_id,
        )
        return
    await connection.execute(
        f"UPDATE photos SET metadata_reader = {READER}, exif = $2, taken_at = $3, sha256 = $4,"
        " width = coalesce(width, $5), height = coalesce(height, $6)"
        " WHERE id = $1 AND status = 'ready'",
        photo_id, facts.exif, facts.exif.get("taken_at"), facts.sha256, facts.width, facts.height,
    )  # fmt: skip

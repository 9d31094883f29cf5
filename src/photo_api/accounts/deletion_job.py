"""The job that deletes a closed account, some of it at a time.

In between others' jobs have their turn. Each round is one transaction, in which the job's lease is
held: a worker that dies leaves nothing half done, and one that was taken for dead changes nothing.
"""

import logging
from typing import Any

from photo_api.accounts import closing
from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.jobs.queue import Job
from photo_api.jobs.runner import LeaseLost
from photo_api.telemetry.events import Event

log = logging.getLogger(__name__)


class DeletionJob:
    """Handler of `closed_account` jobs; their subject is a user's id, their progress the number of
    photos that were deleted."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def run(self, job: Job) -> None:
        async with self._db.transaction() as connection:
            await _hold(connection, job)
            photos = await closing.delete_photos(connection, job.subject_id)
            left = photos or await closing.delete_belongings(connection, job.subject_id)
            if left:
                await queue.hand_back(connection, job, job.progress + photos)
        if left:
            return
        async with self._db.transaction() as connection:
            await _hold(connection, job)
            done = await closing.delete_user(connection, job.subject_id)
            if done:
                await queue.finish(connection, job)
            else:
                await queue.hand_back(connection, job, job.progress)
        if done:
            fields = {"user_id": job.subject_id, "photos": job.progress}
            event = {"event": Event.ACCOUNT_DELETED, **fields}
            log.info("an account is deleted", extra={"fields": event})

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        """Nothing to record: maintenance begins anew in an hour, where this one has ended."""


async def _hold(connection: Any, job: Job) -> None:
    """The lease, until the transaction's end. Raises `LeaseLost`."""
    if not await queue.hold(connection, job):
        raise LeaseLost

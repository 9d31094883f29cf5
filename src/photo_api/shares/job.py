"""The job that has an album's photos made ready for visitors, some at a time.

In between its owner's other jobs have their turn, and it looks at the album from where it was.
"""

from typing import Any

from photo_api.db.pool import Database
from photo_api.jobs import queue
from photo_api.jobs.queue import Job
from photo_api.jobs.runner import finish
from photo_api.shares.queries import enqueue_displays

AT_ONCE = 20


class SharedAlbumJob:
    """Handler of `shared_album` jobs; their subject is an album's id."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def run(self, job: Job) -> None:
        seen = await enqueue_displays(self._db, job.subject_id, job.progress, AT_ONCE)
        if seen is not None:
            await queue.hand_back(self._db, job, seen)
        else:
            await finish(self._db, job)

    async def give_up(self, connection: Any, job: Job, cause: str) -> None:
        """Nothing to record; the next photo or link of the album begins another."""

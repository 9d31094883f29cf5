"""How many confirmations of one user are at work, or wait, in this process."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from photo_api.errors import ApiError, Code
from photo_api.photos.keyed_semaphore import KeyedSemaphore

COPIES_OF_USER = 4
"""At a time; others wait for the store."""

MOST_OF_USER = 64
"""Beyond these none waits: each that does is a request in flight, of which an instance has only so
many for everybody."""


class Confirmations:
    """Turns: one at a time of one upload, `COPIES_OF_USER` of one user."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()
        self._of_upload = KeyedSemaphore(1)
        self._of_user = KeyedSemaphore(COPIES_OF_USER)

    @asynccontextmanager
    async def turn(self, owner_id: int, photo_id: int) -> AsyncIterator[None]:
        """For as long as this is entered. Raises `ApiError` TOO_MANY_REQUESTS."""
        if self._begun[owner_id] >= MOST_OF_USER:
            text = f"At most {MOST_OF_USER} uploads are confirmed at a time; try again"
            raise ApiError(Code.TOO_MANY_REQUESTS, text, retry_after=1)
        self._begun[owner_id] += 1
        try:
            async with self._of_upload.of((owner_id, photo_id)), self._of_user.of(owner_id):
                yield
        finally:
            self._begun[owner_id] -= 1
            if not self._begun[owner_id]:
                del self._begun[owner_id]

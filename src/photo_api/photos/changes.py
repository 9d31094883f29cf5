"""How many changes of many photos of one user are at work, or wait, in this process."""

from contextlib import AbstractAsyncContextManager

from photo_api.errors import ApiError, Code
from photo_api.photos.keyed_semaphore import KeyedSemaphore

MOST_OF_USER = 16
"""With the one that is at work; beyond these none waits."""


class Changes:
    """Turns: one at a time of one user. They lock the same rows as likely as not, and whoever waits
    for a row does so with a connection, of which a worker has few for everybody."""

    def __init__(self) -> None:
        self._of_user = KeyedSemaphore(1)

    def turn(self, owner_id: int) -> AbstractAsyncContextManager[None]:
        """For as long as this is entered. Raises `ApiError` TOO_MANY_REQUESTS."""
        if self._of_user.wanted(owner_id) >= MOST_OF_USER:
            text = f"At most {MOST_OF_USER} requests that change many photos wait; try again"
            raise ApiError(Code.TOO_MANY_REQUESTS, text, retry_after=1)
        return self.turn_at_last(owner_id)

    def turn_at_last(self, owner_id: int) -> AbstractAsyncContextManager[None]:
        """The same, for routes whose clients know of no refusal."""
        return self._of_user.of(owner_id)

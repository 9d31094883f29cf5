"""Argon2id off the event loop: bounded in how much runs and how much may wait, for all and for each
client."""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from photo_api.accounts.identities import nfkc
from photo_api.errors import ApiError, Code

# OWASP's first choice for Argon2id: 19 MiB, two passes, one lane.
MEMORY_KIB = 19 * 1024
PASSES = 2
NICENESS = 10

T = TypeVar("T")


class Passwords:
    """Hashes and verifies; a full queue is a 503 at once instead of a request that waits."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._threads = ThreadPoolExecutor(
            concurrency, thread_name_prefix="argon2", initializer=_yield_to_others
        )
        self._room = concurrency + queue
        self._half = max(1, self._room // 2)
        self._for_new = self._half
        self._of_clients: Counter[str] = Counter()
        # In a thread: it takes as long as any hash, and nobody needs it to begin with.
        hashing: Callable[[str], str] = self._hasher.hash
        self._nobody = self._threads.submit(hashing, os.urandom(16).hex())

    async def hash(self, password: str, client: str) -> str:
        """The encoded hash that the database keeps. Raises `ApiError` OVERLOADED: new passwords
        take half of the room at most, so that users who have one can log in, and so does each
        client."""
        if self._for_new == 0:
            raise ApiError(Code.OVERLOADED, "Too many registrations at once", retry_after=1)
        self._for_new -= 1
        try:
            return await self._run(client, self._hasher.hash, nfkc(password))
        finally:
            self._for_new += 1

    async def verify(self, encoded: str | None, password: str, client: str) -> bool:
        """Whether `password` belongs to `encoded`; None, for an unknown user, costs the same.
        Raises `ApiError` OVERLOADED: a client's take half of the room at most."""
        compared = encoded or await self._hash_of_nobody()
        known = await self._run(client, self._matches, compared, password)
        return known and encoded is not None

    async def _hash_of_nobody(self) -> str:
        return await asyncio.wrap_future(self._nobody)

    def _matches(self, encoded: str, password: str) -> bool:
        """In NFKC form, which is the same from every keyboard; hashes of the release before are of
        what was sent, and stay while that release may still be asked for them."""
        return any(self._is_of(encoded, form) for form in dict.fromkeys((nfkc(password), password)))

    def _is_of(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, client: str, work: Callable[..., T], *args: str) -> T:
        if self._room == 0 or self._of_clients[client] >= self._half:
            raise ApiError(Code.OVERLOADED, "Too many logins at once; try again", retry_after=1)
        self._room -= 1
        self._of_clients[client] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        finally:
            self._room += 1
            self._of_clients[client] -= 1
            self._of_clients += Counter()  # without those that have none

    def close(self) -> None:
        """Let go of the threads; what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _yield_to_others() -> None:
    # On Linux niceness belongs to the thread: the event loop of this very process goes first.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)

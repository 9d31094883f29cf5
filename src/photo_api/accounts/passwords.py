"""Argon2id, and bcrypt for those who come from another service, off the event loop: bounded in how
much runs and how much may wait, for all and for each client."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import HashingError, InvalidHashError, VerificationError
from argon2.low_level import error_to_str

from photo_api.accounts import bcrypt_hashes
from photo_api.accounts.identities import nfkc
from photo_api.errors import ApiError, Code

# OWASP's first choice for Argon2id: 19 MiB, two passes, one lane.
MEMORY_KIB = 19 * 1024
PASSES = 2

NO_MEMORY = error_to_str(-22)
"""Argon2's ARGON2_MEMORY_ALLOCATION_ERROR, which says nothing of the password."""

WITHOUT_MEMORY = (MemoryError, HashingError)

NICENESS = 15
"""With more of it lists wait less beside logins at full tilt (the benchmark's row `login-beside`),
and the logins are as many."""

T = TypeVar("T")


class Passwords:
    """Hashes and verifies; a full queue is a 503 at once instead of a request that waits, and so is
    a hash that finds no memory."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._threads = ThreadPoolExecutor(
            concurrency, thread_name_prefix="argon2", initializer=_yield_to_others
        )
        self._room = concurrency + queue
        self._half = max(1, self._room // 2)
        self._for_new = self._half
        self._of_clients: Counter[str] = Counter()
        self._nobody = self._begin_nobody()

    async def hash(self, password: str, client: str) -> str:
        """The encoded hash that the database keeps. Raises `ApiError` OVERLOADED: new passwords
        take half of the room at most, so that users who have one can log in, and so does each
        client."""
        if self._for_new == 0:
            raise ApiError(Code.OVERLOADED, "Too many new passwords at once", retry_after=1)
        self._for_new -= 1
        try:
            return await self._run(client, self._hasher.hash, nfkc(password))
        finally:
            self._for_new += 1

    async def verify(self, encoded: str | None, password: str, client: str) -> bool:
        """Whether `password` belongs to `encoded`; None, for an unknown user, costs the same, and
        so does a hash that cannot be verified. Raises `ApiError` OVERLOADED: a client's take half
        of the room at most."""
        compared = encoded
        if encoded is None or not _is_verifiable(encoded):
            compared = await self._hash_of_nobody()
        known = await self._run(client, self._matches, compared, password)
        return known and compared is encoded

    async def make_up(
        self, encoded: str | None, password: str, client: str, costliest: int | None
    ) -> None:
        """Do after a failure what it has cost less than another would have: while there are bcrypt
        hashes, the `costliest` of this cost, each costs one of Argon2id and that of bcrypt. Raises
        `ApiError` OVERLOADED."""
        if costliest is not None:
            nobody = await self._hash_of_nobody()
            await self._run(client, self._make_up, encoded, password, costliest, nobody)

    async def renewed(self, encoded: str, password: str, client: str) -> str | None:
        """A hash of ours in place of a bcrypt hash that has just been verified. None for other
        hashes; when too much is to be done; and for a password that bcrypt did not see whole, whose
        end may be mistyped: nobody would know it again."""
        seen_whole = all(map(bcrypt_hashes.is_seen_whole, _forms(password)))
        if bcrypt_hashes.cost_of(encoded) is None or not seen_whole:
            return None
        try:
            return await self._run(client, self._hasher.hash, nfkc(password))
        except ApiError:
            return None

    def _begin_nobody(self) -> Future[str]:
        # In a thread: it takes as long as any hash, and nobody needs it to begin with.
        hashing: Callable[[str], str] = self._hasher.hash
        return self._threads.submit(hashing, os.urandom(16).hex())

    async def _hash_of_nobody(self) -> str:
        if self._nobody.done() and self._nobody.exception():
            self._nobody = self._begin_nobody()
        try:
            return await asyncio.wrap_future(self._nobody)
        except WITHOUT_MEMORY as error:
            raise _no_memory() from error

    def _matches(self, encoded: str, password: str) -> bool:
        return any(self._is_of(encoded, form) for form in _forms(password))

    def _is_of(self, encoded: str, password: str) -> bool:
        if bcrypt_hashes.cost_of(encoded) is not None:
            return bcrypt_hashes.is_of(encoded, password)
        try:
            return self._hasher.verify(encoded, password)
        except (VerificationError, InvalidHashError) as error:
            if str(error) == NO_MEMORY:
                raise MemoryError("for a password's hash") from error
            return False

    def _make_up(self, encoded: str | None, password: str, costliest: int, nobody: str) -> None:
        cost = bcrypt_hashes.cost_of(encoded)
        for form in _forms(password):
            if cost is None:
                bcrypt_hashes.spend(costliest)
                continue
            self._is_of(nobody, form)
            for missing in range(cost, costliest):  # 2^n + 2^n + 2^(n+1) + … is 2^costliest
                bcrypt_hashes.spend(missing)

    async def _run(self, client: str, work: Callable[..., T], *args: object) -> T:
        if self._room == 0 or self._of_clients[client] >= self._half:
            raise ApiError(Code.OVERLOADED, "Too many logins at once; try again", retry_after=1)
        self._room -= 1
        self._of_clients[client] += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        except WITHOUT_MEMORY as error:
            raise _no_memory() from error
        finally:
            self._room += 1
            self._of_clients[client] -= 1
            self._of_clients += Counter()  # without those that have none

    def close(self) -> None:
        """Let go of the threads; what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _no_memory() -> ApiError:
    text = "There is no memory to look at a password; try again"
    return ApiError(Code.OVERLOADED, text, retry_after=1)


def _forms(password: str) -> list[str]:
    """NFKC, which is the same from every keyboard, and what was sent: hashes of the release before,
    which may still be asked for them, and of other services are of that."""
    return list(dict.fromkeys((nfkc(password), password)))


def _is_verifiable(encoded: str) -> bool:
    return encoded.startswith("$argon2id$") or bcrypt_hashes.cost_of(encoded) is not None


def _yield_to_others() -> None:
    # On Linux niceness belongs to the thread: the event loop of this very process goes first. It is
    # added to the process's own: to lower that is refused, and would end the thread.
    with suppress(OSError):
        os.nice(NICENESS)

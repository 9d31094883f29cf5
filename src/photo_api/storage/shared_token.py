"""One token for all processes of an instance.

It is in memory that their supervisor makes and they inherit, and on no disk. Who asks Keystone has
a lock meanwhile, which ends with its process.
"""

import asyncio
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from photo_api.storage.tokens import Token

YOUNG = 0.7
"""The share of a token's life in which others may begin with it; it is renewed later than that."""
LOCK_WAIT = 2.0
"""Seconds after which one that holds the lock counts as stopped, and is not waited for."""
_LOOK_AGAIN = 0.02
_LONGEST = 64 * 1024


class SharedToken:
    """`ask` gets a new token; it is asked only where the others have none that is young and another
    than this process had last. `descriptor` is of the memory."""

    def __init__(self, ask: Callable[[], Awaitable[Token]], descriptor: int) -> None:
        self._ask = ask
        self._descriptor = descriptor
        self._last = ""

    async def fetch(self) -> Token:
        """Raises what `ask` does."""
        async with self._alone() as alone:
            token = self._young() if alone else None
            if token is None:
                token = await self._ask()
                if alone:
                    self._write(token)
        self._last = token.value
        return token

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[bool]:
        until = time.monotonic() + LOCK_WAIT
        while not (alone := self._lock()) and time.monotonic() < until:
            await asyncio.sleep(_LOOK_AGAIN)
        try:
            yield alone
        finally:
            if alone:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def _lock(self) -> bool:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _young(self) -> Token | None:
        try:
            found = json.loads(os.pread(self._descriptor, _LONGEST, 0))
            value, life, began = str(found["value"]), float(found["life"]), float(found["began"])
        except (ValueError, LookupError, TypeError):  # nobody has asked yet, or died while it wrote
            return None
        age = time.monotonic() - began  # a clock that all processes of the machine have in common
        if value == self._last or not 0 <= age < YOUNG * life:
            return None
        return Token(value, life - age)

    def _write(self, token: Token) -> None:
        told = {"value": token.value, "life": token.life, "began": time.monotonic()}
        text = json.dumps(told).encode()
        os.ftruncate(self._descriptor, 0)
        if len(text) <= _LONGEST:
            os.pwrite(self._descriptor, text, 0)

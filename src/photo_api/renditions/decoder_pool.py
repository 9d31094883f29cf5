"""Originals, given to a decoder: what it makes of them, or why another attempt is useless."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from photo_api.jobs.queue import Job
from photo_api.jobs.runner import Postponed
from photo_api.renditions.decoder import Decoder, DecoderDied, NoProcess, Refused
from photo_api.storage.base import ObjectStore

DEATHS = 2
"""How many decoders one photo may end before it is to blame. One that was killed says nothing of
it: the machine may have too little memory, which another has, or this one later."""

Made = TypeVar("Made")


class PermanentFailure(Exception):
    """The photo is at fault and another attempt is useless; its text is a word for the reason,
    and a sentence behind a colon where an operator can do something about it."""


class DecoderPool:
    """Decodes as many at once as it has decoders."""

    def __init__(self, store: ObjectStore, decoders: Sequence[Decoder]) -> None:
        self._store = store
        # The one used last comes first, so that no more children are started than are needed.
        self._idle: asyncio.LifoQueue[Decoder] = asyncio.LifoQueue()
        for decoder in decoders:
            self._idle.put_nowait(decoder)

    async def make(
        self, job: Job, key: str, work: Callable[[Decoder, bytes], Awaitable[Made]]
    ) -> Made:
        """What a decoder makes of the object. Raises `PermanentFailure`, `Postponed`, what the
        store does, also `ObjectMissing`, which a store that is short of machines says of what it
        has, and `DecoderDied` for a job that may try another."""
        try:
            return await self._decode(await self._store.get(key), work)
        except Refused as refused:
            told = refused.reason == "too_many_pixels"
            raise PermanentFailure(
                f"{refused.reason}: {refused}" if told else refused.reason
            ) from refused
        except NoProcess as error:
            raise Postponed(f"no decoder can be started: {error}") from error
        except DecoderDied as died:
            if died.reason == "killed" or job.failures + 1 < DEATHS:
                raise
            raise PermanentFailure(f"decoder_{died.reason}") from died

    async def _decode(self, data: bytes, work: Callable[[Decoder, bytes], Awaitable[Made]]) -> Made:
        decoder = await self._idle.get()
        try:
            return await work(decoder, data)
        finally:
            self._idle.put_nowait(decoder)


class TakenBySweep(Exception):
    """What was made took longer than its grace time, and the sweep took it for abandoned."""

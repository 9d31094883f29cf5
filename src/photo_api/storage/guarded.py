"""An object store asked with care: few retries, bounded waits, and a breaker for outages."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TypeVar

from photo_api.resilience import Breaker, BreakerOpen, RetryBudget
from photo_api.storage.base import (
    ObjectChanged,
    ObjectInfo,
    ObjectMissing,
    ObjectStore,
    ObjectStream,
    StoreDown,
    StoreRefused,
    StoreUnavailable,
)
from photo_api.storage.buffers import PART_SIZE, PARTS_HELD, Chunk, Share

log = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_READ = 2.25
"""Seconds that one try may take of what has a short answer."""
RETRY_WITHIN = 3.0
"""Seconds after its begin in which a call may be tried once more."""
RETRY_PAUSE = (0.05, 0.15)
PATIENCE = 1.25
"""Seconds without progress after which a write asks whether the store is there at all."""
PING_TIMEOUT = 2.0
PING_PAUSE = (0.75, 1.25)
SLOWEST_STORE = 4 * 1024 * 1024
"""Bytes a second that a store takes of all that this process writes at once, if it lives."""
PARTS_UNKNOWN = PARTS_HELD + 1
"""Parts of a stream that were taken before one is known to be in the store."""
WRITE_PROBE = "staging/write-probe"
"""An object that says whether the store takes writes; it is deleted again at once."""


class GuardedStore:
    """Another store, with a policy for its failures.

    Short calls are tried a second time, within a budget; streams are not, once begun. A write may
    take long where the store answers a ping meanwhile. After several failures in a row, or a hang,
    every call raises `StoreDown` at once until a ping, or the rare call that is let through, has
    succeeded: pings alone would not do where listing the bucket is not permitted. A store may fail
    in its writes alone, which have a breaker of their own beside that of all: what is read does not
    close it. When the store refuses our key, `refused` is called.
    """

    def __init__(
        self, store: ObjectStore, breaker: Breaker, writes: Breaker, budget: RetryBudget
    ) -> None:
        self._store = store
        self._breaker = breaker
        self._writes = writes
        self._causes: dict[str, str] = {}
        """The last failure that each breaker has counted."""
        self._budget = budget
        self._alive_at = float("-inf")
        """When it last did anything that we know of (monotonic)."""
        self._probe: asyncio.Task[bool] | None = None
        self._recovery: asyncio.Task[None] | None = None
        self.refused: Callable[[], None] = lambda: None

    async def aclose(self) -> None:
        """Stop looking whether the store is back. The store itself stays open."""
        if self._recovery is not None:
            self._recovery.cancel()
            with suppress(asyncio.CancelledError):
                await self._recovery

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[Chunk],
        *,
        content_type: str,
        share: Share | None = None,
    ) -> None:
        """Store a stream, for as long as it moves or the store answers a ping."""
        self._admit(self._writes)
        flow = _Flow(chunks, self._lives)
        with self._counted(self._writes):
            put = self._store.put(key, flow, content_type=content_type, share=share)
            await self._watched(put, flow.moved, share)

    async def put_bytes(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store bytes, twice if need be."""
        await self._written(lambda: self._store.put_bytes(key, data, content_type=content_type))

    async def get(self, key: str) -> bytes:
        """The whole object, for as long as bytes come."""
        return await self._asked(lambda: self._store.get(key), self._breaker)

    async def peek(self, key: str, length: int) -> tuple[ObjectInfo, bytes]:
        """The description and first bytes."""
        return await self._read(lambda: self._store.peek(key, length))

    async def open(self, key: str, start: int = 0, end: int | None = None) -> ObjectStream:
        """Stream start..end; what fails after the first byte is not repeated."""
        stream = await self._read(lambda: self._store.open(key, start, end))
        return replace(stream, chunks=self._body(stream.chunks))

    async def _body(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        with self._counted(self._breaker):
            async for chunk in chunks:
                yield chunk

    async def head(self, key: str) -> ObjectInfo:
        """The object's description."""
        return await self._read(lambda: self._store.head(key))

    async def copy(
        self, source: str, target: str, *, content_type: str | None = None, etag: str | None = None
    ) -> None:
        """Copy inside the store, twice if need be."""
        await self._written(
            lambda: self._store.copy(source, target, content_type=content_type, etag=etag)
        )

    async def copy_from(self, bucket: str, source: str, target: str, *, content_type: str) -> None:
        """The same from another bucket."""
        await self._written(
            lambda: self._store.copy_from(bucket, source, target, content_type=content_type)
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, twice if need be."""
        await self._written(lambda: self._store.delete(keys))

    async def discard_parts(self, key: str) -> None:
        """Once; the caller tries again later."""
        self._admit(self._writes)
        with self._counted(self._writes):
            await self._store.discard_parts(key)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """All objects under `prefix`."""
        self._admit(self._breaker)
        with self._counted(self._breaker):
            async for info in self._store.list(prefix):
                yield info

    async def ping(self) -> None:
        """Ask past an open breaker, and close it, but not that of writes, when there is an
        answer."""
        try:
            await _within(PING_TIMEOUT, self._store.ping())
        except StoreRefused:
            self.refused()
            raise
        if self._breaker.is_open:
            self._succeeded(self._breaker)

    async def _read(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._asked(lambda: _within(LONGEST_READ, call()), self._breaker)

    async def _written(self, call: Callable[[], Awaitable[T]]) -> T:
        return await self._asked(lambda: self._watched(call(), lambda: False), self._writes)

    async def _asked(self, call: Callable[[], Awaitable[T]], breaker: Breaker) -> T:
        """A call, and another if it failed soon, the budget allows it and this was no outage."""
        self._admit(breaker)
        self._budget.request()
        latest = time.monotonic() + RETRY_WITHIN
        try:
            with self._counted(breaker):
                return await call()
        except StoreUnavailable:
            if time.monotonic() > latest or breaker.is_open or not self._budget.may_retry():
                raise
        await asyncio.sleep(random.uniform(*RETRY_PAUSE))
        with self._counted(breaker):
            return await call()

    async def _watched(
        self, call: Awaitable[T], moved: Callable[[], bool], share: Share | None = None
    ) -> T:
        """A write to its end, which is given up when it stands still and so does the store. That
        may be busy with what this process writes already."""
        work = asyncio.ensure_future(call)
        work.add_done_callback(_seen)
        moved_at, busy = time.monotonic(), 0.0
        try:
            while not (await asyncio.wait({work}, timeout=PATIENCE))[0]:
                if moved():
                    moved_at, busy = time.monotonic(), 0.0
                    continue
                if share is not None:
                    busy = max(busy, share.budget.held / SLOWEST_STORE)
                if not await self._answers() and not self._lived_after(moved_at, busy):
                    self._breaker.trip()
                    self._writes.trip()
                    raise StoreDown("the store does not answer")
            return work.result()
        finally:
            # Not awaited: what it does to clean up needs the store.
            work.cancel()
            del work  # whose error would keep this frame, and itself, and what was to be written

    async def _answers(self) -> bool:
        """Whether the store says anything at all; asked once for all callers that wait."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._answer())
        return await asyncio.shield(self._probe)

    async def _answer(self) -> bool:
        try:
            async with asyncio.timeout(PING_TIMEOUT):
                await self._store.ping()
        except TimeoutError:
            return False
        except StoreUnavailable:  # a refusal is an answer
            pass
        return True

    def _admit(self, breaker: Breaker) -> None:
        try:
            self._breaker.check()
            if breaker is not self._breaker:
                breaker.check()
        except BreakerOpen as error:
            cause = self._causes.get(str(error), "no answer")
            raise StoreDown(f"the {error} has been failing ({cause}); it is not asked") from None

    @contextmanager
    def _counted(self, breaker: Breaker) -> Iterator[None]:
        """What fails for another reason (a client that went away) says nothing of the store."""
        try:
            yield
        except (ObjectMissing, ObjectChanged):  # which is read, also before a copy
            self._succeeded(self._breaker)
            raise
        except StoreUnavailable as error:
            self._failed(breaker, error)
            raise
        self._succeeded(self._breaker)
        self._succeeded(breaker)

    def _lives(self) -> None:
        self._alive_at = time.monotonic()

    def _lived_after(self, moved_at: float, busy: float) -> bool:
        """Whether it did anything in the time of a ping, or may be `busy` for so many seconds."""
        return time.monotonic() - max(moved_at, self._alive_at) < max(PING_TIMEOUT, busy)

    def _succeeded(self, breaker: Breaker) -> None:
        self._lives()
        if breaker.is_open:
            log.warning("the %s is back", breaker.name)
        breaker.succeeded()

    def _failed(self, breaker: Breaker, error: StoreUnavailable) -> None:
        if isinstance(error, StoreRefused):
            self.refused()
        breaker.failed()
        self._causes[breaker.name] = str(error)
        if breaker.is_open and (self._recovery is None or self._recovery.done()):
            log.warning("the %s is taken to be down: %s", breaker.name, error)
            self._recovery = asyncio.create_task(self._wait_for_recovery())

    async def _wait_for_recovery(self) -> None:
        """Reads are judged by a ping; writes by a write, once reads are back."""
        while self._breaker.is_open or self._writes.is_open:
            await asyncio.sleep(random.uniform(*PING_PAUSE))
            try:
                if self._breaker.is_open:
                    await self.ping()
                if self._writes.is_open:
                    await self._try_writing()
            except StoreUnavailable:
                pass
            except Exception:  # without a further question it would be taken to be down for ever
                log.exception("the object store cannot be asked")

    async def _try_writing(self) -> None:
        """Past the breaker, and close it when that works."""
        with self._counted(self._writes):
            put = self._store.put_bytes(WRITE_PROBE, b"", content_type="text/plain")
            await _within(PING_TIMEOUT, put)
        await _within(PING_TIMEOUT, self._store.delete([WRITE_PROBE]))


async def _within(seconds: float, call: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError:
        raise StoreUnavailable(f"no answer within {seconds:g} s") from None


def _seen(work: "asyncio.Future[T]") -> None:
    """Take note of an error that nobody waits for any more."""
    if not work.cancelled():
        work.exception()


class _Flow:
    """A stream on its way to the store. It moves when chunks are taken, and it is not the store
    that holds it up while its source is waited for. `arrived` is called when a part more of it is
    known to be in the store, by how many were taken since."""

    def __init__(self, chunks: AsyncIterator[Chunk], arrived: Callable[[], None]) -> None:
        self._chunks = chunks
        self._arrived = arrived
        self._fetching = False
        self._taken = 0
        self._looked_at = 0

    def __aiter__(self) -> AsyncIterator[Chunk]:
        return self

    async def __anext__(self) -> Chunk:
        self._fetching = True
        try:
            chunk = await anext(self._chunks)
        finally:
            self._fetching = False
        parts = self._taken // PART_SIZE
        self._taken += len(chunk)
        if self._taken // PART_SIZE > max(parts, PARTS_UNKNOWN):
            self._arrived()
        return chunk

    def moved(self) -> bool:
        """Whether it has since this was asked last."""
        before, self._looked_at = self._looked_at, self._taken
        return self._fetching or self._taken > before

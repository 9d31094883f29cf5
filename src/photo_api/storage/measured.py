"""An object store whose every call is counted, by operation and result, with its duration; for who
is sampled it is a span, too."""

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import STORAGE_CALL_DURATION
from photo_api.storage.base import (
    ObjectChanged,
    ObjectInfo,
    ObjectMissing,
    ObjectStore,
    ObjectStream,
    StoreRefused,
    StoreUnavailable,
)
from photo_api.storage.buffers import Chunk, Share
from photo_api.tracing import record


class MeasuredStore:
    """Another store, counted in `counts`. It stands inside of what tries again, so that each try
    counts; what an open breaker keeps away from the store does not."""

    def __init__(self, store: ObjectStore, counts: Counts) -> None:
        self._store = store
        self._counts = counts

    @contextmanager
    def _measured(self, operation: str) -> Iterator[None]:
        """Of a stream that its reader or writer gives up, `broken_off` is the result; where another
        object is than was asked for, `missing`."""
        began = time.perf_counter()
        result = "broken_off"
        try:
            yield
            result = "ok"
        except (ObjectMissing, ObjectChanged):
            result = "missing"
            raise
        except StoreRefused:
            result = "refused"
            raise
        except StoreUnavailable:
            result = "unavailable"
            raise
        finally:
            seconds = time.perf_counter() - began
            self._counts.observe(STORAGE_CALL_DURATION, seconds, operation, result)
            failed = result in ("refused", "unavailable")
            record(f"store {operation}", seconds, failed=failed, store_result=result)

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[Chunk],
        *,
        content_type: str,
        share: Share | None = None,
    ) -> None:
        """As `ObjectStore`; so are all below."""
        with self._measured("put"):
            await self._store.put(key, chunks, content_type=content_type, share=share)

    async def put_bytes(self, key: str, data: bytes, *, content_type: str) -> None:
        with self._measured("put"):
            await self._store.put_bytes(key, data, content_type=content_type)

    async def get(self, key: str) -> bytes:
        with self._measured("get"):
            return await self._store.get(key)

    async def peek(self, key: str, length: int) -> tuple[ObjectInfo, bytes]:
        with self._measured("peek"):
            return await self._store.peek(key, length)

    async def open(self, key: str, start: int = 0, end: int | None = None) -> ObjectStream:
        with self._measured("open"):
            stream = await self._store.open(key, start, end)
        return replace(stream, chunks=self._body(stream.chunks))

    async def _body(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        with self._measured("read"):
            async for chunk in chunks:
                yield chunk

    async def head(self, key: str) -> ObjectInfo:
        with self._measured("head"):
            return await self._store.head(key)

    async def copy(
        self, source: str, target: str, *, content_type: str | None = None, etag: str | None = None
    ) -> None:
        with self._measured("copy"):
            await self._store.copy(source, target, content_type=content_type, etag=etag)

    async def copy_from(self, bucket: str, source: str, target: str, *, content_type: str) -> None:
        with self._measured("copy"):
            await self._store.copy_from(bucket, source, target, content_type=content_type)

    async def delete(self, keys: Sequence[str]) -> None:
        with self._measured("delete"):
            await self._store.delete(keys)

    async def discard_parts(self, key: str) -> None:
        with self._measured("discard_parts"):
            await self._store.discard_parts(key)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        with self._measured("list"):
            async for info in self._store.list(prefix):
                yield info

    async def ping(self) -> None:
        with self._measured("ping"):
            await self._store.ping()

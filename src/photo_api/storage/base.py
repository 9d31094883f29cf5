"""What the service asks of an object store; one module beside this one for each kind of store."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from photo_api.storage.buffers import Chunk, Share


class ObjectMissing(Exception):
    """There is no object under this key."""


class ObjectChanged(Exception):
    """There is another object under this key than the one that was looked at."""


class StoreUnavailable(Exception):
    """The store did not answer, or answered that it cannot (5xx, 429, refused, timed out)."""


class StoreRefused(StoreUnavailable):
    """The store refuses the credentials (401, 403). It says so of objects that it has as well."""


class SignInRefused(StoreRefused):
    """Who gives the credentials' tokens refuses them: nobody has asked the store."""


class StoreDown(StoreUnavailable):
    """Everything in the store fails, so this call was not made or given up: nobody's object is to
    blame."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object. `size` is in bytes."""

    key: str
    size: int
    etag: str | None
    last_modified: datetime


@dataclass(frozen=True, slots=True)
class ObjectStream:
    """An open read: `info` describes the whole object, `start`/`end` (exclusive) what is read."""

    info: ObjectInfo
    start: int
    end: int
    chunks: AsyncIterator[bytes]


class ObjectStore(Protocol):
    """Objects by key in one bucket. Every method raises `StoreUnavailable` when the store fails."""

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[Chunk],
        *,
        content_type: str,
        share: Share | None = None,
    ) -> None:
        """Store a stream, with three parts in memory at most, within its `share` of a budget;
        nothing is visible on failure. Raises `NoRoom`, `GaveWay`, and what `chunks` raise."""

    async def put_bytes(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store bytes that are in memory already."""

    async def get(self, key: str) -> bytes:
        """The whole object. Raises `ObjectMissing`."""

    async def peek(self, key: str, length: int) -> tuple[ObjectInfo, bytes]:
        """The object's description and first `length` bytes in one request; an empty object gives
        b"". Raises `ObjectMissing`."""

    async def open(self, key: str, start: int = 0, end: int | None = None) -> ObjectStream:
        """Stream bytes start..end (exclusive, None = to the end). Raises `ObjectMissing`."""

    async def head(self, key: str) -> ObjectInfo:
        """The object's description. Raises `ObjectMissing`."""

    async def copy(
        self, source: str, target: str, *, content_type: str | None = None, etag: str | None = None
    ) -> None:
        """Copy inside the store. With `content_type` the target has that and nothing else of what
        came with the source: no encoding, language, caching, expiry or metadata. With `etag` too,
        the source must still be what has it. Raises `ObjectMissing`, `ObjectChanged`."""

    async def copy_from(self, bucket: str, source: str, target: str, *, content_type: str) -> None:
        """The same from another bucket of the store, which these credentials may read."""

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; a missing one is fine."""

    async def discard_parts(self, key: str) -> None:
        """Throw away what an upload in parts that was broken off has left behind."""

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """All objects whose key begins with `prefix` (which ends in "/" or is empty)."""

    async def ping(self) -> None:
        """One cheap request that proves address, credentials and bucket."""

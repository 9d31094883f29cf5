"""The object store on S3 and what speaks like it, by obstore."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import obstore
import obstore.store
from obstore.exceptions import BaseError

from photo_api.storage.base import (
    ObjectInfo,
    ObjectMissing,
    ObjectStream,
    StoreRefused,
    StoreUnavailable,
)
from photo_api.storage.bucket import Bucket, abort_uploads, copy_anew, s3_error_code
from photo_api.storage.buffers import PART_SIZE, PARTS_HELD, Chunk, Parts, Share
from photo_api.storage.credentials import CredentialSource
from photo_api.storage.s3_clients import Clients
from photo_api.storage.streams import nothing
from photo_api.tracing import Trace, sampled_for_store

if TYPE_CHECKING:
    from obstore import GetResult, ObjectMeta

READ_CHUNK = 256 * 1024
_STATUS = re.compile(r"status code: (\d{3})")
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")
_LETTING_GO = 0.1
_COPIES_AT_ONCE = 16


class S3Store:
    """Objects in one bucket, addressed path style; plain http is allowed for private networks."""

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        region: str,
        credentials: CredentialSource,
        authorities: str = "",
    ) -> None:
        """`authorities` are certificates in PEM that are trusted besides the system's."""
        self._plain = Bucket(endpoint, bucket, region, credentials, authorities)
        self._made: Clients | None = None
        self._traced: WeakKeyDictionary[Trace, Clients] = WeakKeyDictionary()
        with suppress(StoreUnavailable):  # a role that has no key yet
            self._clients.make()  # now, and not while a request waits
        # Of its own, since address look-ups wait for asyncio's threads.
        self._discards = ThreadPoolExecutor(1, "discard-parts")
        self._copies = ThreadPoolExecutor(_COPIES_AT_ONCE, "copy")

    @property
    def _bucket(self) -> Bucket:
        """With the current trace's header, if it is sampled."""
        if (trace := sampled_for_store()) is None:
            return self._plain
        return replace(self._plain, headers={"traceparent": trace.traceparent})

    @property
    def _clients(self) -> Clients:
        """Those for the key in force. obstore asks again only for one that expires."""
        if (trace := sampled_for_store()) is not None:
            return self._of(trace)
        key = self._plain.credentials.current()
        if self._made is None or not (self._made.key is key or key.expires_at):
            self._made = Clients(self._plain, key)
            self._made.make()
        return self._made

    def _of(self, trace: Trace) -> Clients:
        """obstore takes headers for a whole client only: each sampled request or job that calls the
        store gets its own, and connections of its own, until it ends."""
        if trace not in self._traced:
            self._traced[trace] = Clients(self._bucket, self._plain.credentials.current())
        return self._traced[trace]

    async def aclose(self) -> None:
        """Wait a moment, so that the process may end.

        obstore's threads let go of Python's objects shortly after a call has returned; one that
        does so while the interpreter is being taken down aborts the process (pyo3-async-runtimes,
        issue 40).
        """
        for threads in (self._discards, self._copies):
            threads.shutdown(wait=False, cancel_futures=True)
        await asyncio.sleep(_LETTING_GO)

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[Chunk],
        *,
        content_type: str,
        share: Share | None = None,
    ) -> None:
        """Store a stream: one PUT if it ends within the first part, a multipart upload if not."""
        parts = Parts(chunks, share)
        try:
            first = await parts.next()
            if first is None or parts.ended:
                await self._put_whole(self._clients.pieces, key, first or b"", content_type)
            else:
                source = _Source(first, parts)
                del first  # which is freed when it has arrived
                await self._put_parts(key, source, content_type)
        finally:
            parts.close()

    async def _put_parts(self, key: str, source: "_Source", content_type: str) -> None:
        try:
            with _translated("put", key):
                await obstore.put_async(
                    self._clients.pieces,
                    key,
                    source,
                    attributes={"Content-Type": content_type},
                    use_multipart=True,
                    chunk_size=PART_SIZE,
                    max_concurrency=PARTS_HELD,
                )
        except BaseException as error:
            source.close()
            if source.failure is None and isinstance(error, StoreUnavailable):
                raise  # it would fail at this too, and take its time; the sweep has the key
            await self._discard_parts(key)
            if source.failure is not None and isinstance(error, Exception):
                raise source.told(error) from None
            raise

    async def put_bytes(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store bytes by one PUT."""
        await self._put_whole(self._clients.writes, key, data, content_type)

    async def _put_whole(
        self, client: obstore.store.S3Store, key: str, data: Chunk, content_type: str
    ) -> None:
        with _translated("put", key):
            await obstore.put_async(
                client,
                key,
                data,
                attributes={"Content-Type": content_type},
                use_multipart=False,
            )

    async def get(self, key: str) -> bytes:
        """The whole object."""
        with _translated("get", key):
            result = await obstore.get_async(self._clients.reads, key)
            return bytes(await result.bytes_async())

    async def peek(self, key: str, length: int) -> tuple[ObjectInfo, bytes]:
        """The description and first `length` bytes; only an empty object takes a second request."""
        result = await self._get_range(key, 0, length) if length > 0 else None
        if result is None:
            return await self.head(key), b""
        with _translated("get", key):
            return _info(result.meta), bytes(await result.bytes_async())

    async def open(self, key: str, start: int = 0, end: int | None = None) -> ObjectStream:
        """Stream start..end, cut to what there is; beyond the object's end that is nothing."""
        empty = end is not None and end <= start
        result = None if empty else await self._get_range(key, start, end)
        if result is None:
            info = await self.head(key)
            at = min(start, info.size)
            return ObjectStream(info, at, at, nothing())
        first, last = result.range
        return ObjectStream(_info(result.meta), first, last, _body(result, key))

    async def head(self, key: str) -> ObjectInfo:
        """The object's description."""
        with _translated("head", key):
            return _info(await obstore.head_async(self._clients.reads, key))

    async def copy(
        self, source: str, target: str, *, content_type: str | None = None, etag: str | None = None
    ) -> None:
        """Copy inside the store; up to 5 GB, as S3's CopyObject allows."""
        if content_type is not None:  # obstore does not replace what comes with an object
            await self._copy_anew(f"{self._bucket.name}/{source}", target, content_type, etag)
            return
        with _translated("copy", source):
            await obstore.copy_async(self._clients.writes, source, target)

    async def copy_from(self, bucket: str, source: str, target: str, *, content_type: str) -> None:
        """Copy the bytes of an object in another bucket of the store."""
        await self._copy_anew(f"{bucket}/{source}", target, content_type, None)

    async def _copy_anew(
        self, source: str, target: str, content_type: str, etag: str | None
    ) -> None:
        await asyncio.get_running_loop().run_in_executor(
            self._copies, copy_anew, self._bucket, source, target, content_type, etag
        )

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, 1,000 a request."""
        if not keys:
            return
        with _translated("delete", keys[0]), suppress(FileNotFoundError):
            await obstore.delete_async(
                self._clients.writes, keys[0] if len(keys) == 1 else list(keys)
            )

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """All objects under `prefix`, fetched 1,000 at a time as they are consumed."""
        with _translated("list", prefix):
            pages = obstore.list(self._clients.pieces, prefix.rstrip("/") or None, chunk_size=1000)
            async for page in pages:
                for meta in page:
                    yield _info(meta)

    async def ping(self) -> None:
        """List at most one page under a prefix that nothing uses."""
        with _translated("list", "ping/"):
            async for _ in obstore.list(self._clients.reads, "ping", chunk_size=1):
                return

    async def _get_range(self, key: str, start: int, end: int | None) -> "GetResult | None":
        """None where the store refuses the range because the object ends before it."""
        with _translated("get", key):
            if start == 0 and end is None:
                return await obstore.get_async(self._clients.reads, key)
            try:
                return await obstore.get_async(
                    self._clients.reads,
                    key,
                    options={"range": {"offset": start} if end is None else (start, end)},
                )
            except BaseError as error:
                if _status(error) == "416":
                    return None
                raise

    async def discard_parts(self, key: str) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._discards, abort_uploads, self._bucket, key)

    async def _discard_parts(self, key: str) -> None:
        """obstore aborts an upload on some errors, but not when its future is cancelled."""
        with suppress(StoreUnavailable):
            await asyncio.shield(self.discard_parts(key))


@contextmanager
def _translated(action: str, key: str) -> Iterator[None]:
    """obstore's errors as the store's; a refusal's text is dropped, it quotes the signature."""
    try:
        yield
    except FileNotFoundError as error:
        if s3_error_code(str(error)) == "NoSuchBucket":
            raise StoreUnavailable(f"{action}: the bucket does not exist") from None
        raise ObjectMissing(key) from None
    except (BaseError, OSError) as error:
        status = _status(error)
        if status in ("401", "403"):
            code = s3_error_code(str(error)) or "no code"
            raise StoreRefused(f"{action}: refused by the store ({status}, {code})") from None
        reason = status or _certificate(error) or type(error).__name__
        raise StoreUnavailable(f"{action}: the store failed ({reason})") from error


def _status(error: BaseException) -> str:
    """The HTTP status in obstore's message, "" if the request got no answer."""
    found = _STATUS.search(str(error))
    return found[1] if found else ""


def _certificate(error: BaseException) -> str:
    """What is wrong with the store's certificate by obstore's message, "" if it is not that."""
    found = _CERTIFICATE.search(str(error))
    return f"its certificate is refused: {found[1]}" if found else ""


def _info(meta: "ObjectMeta") -> ObjectInfo:
    etag = meta["e_tag"]
    return ObjectInfo(
        key=meta["path"],
        size=meta["size"],
        etag=etag.strip('"') if etag else None,
        last_modified=meta["last_modified"],
    )


class _Source:
    """The stream for obstore, which wraps an error of its source: the original is kept here.

    obstore drops a part when the store has answered, and tells nobody."""

    def __init__(self, first: memoryview, parts: Parts) -> None:
        self._first: memoryview | None = parts.lend(first)
        self._parts: Parts | None = parts
        self.failure: Exception | None = None

    def told(self, error: Exception) -> Exception:
        """The failure in place of obstore's, no longer kept: its frames have this, and parts."""
        failure, self.failure = self.failure, None
        return failure or error

    def __aiter__(self) -> AsyncIterator[memoryview]:
        return self

    async def __anext__(self) -> memoryview:
        first, self._first = self._first, None
        try:
            given = first or await self._next()
        except Exception as error:
            self.failure = error
            raise
        if given is None:
            raise StopAsyncIteration
        return given

    def close(self) -> None:
        """Hold nothing of the stream. obstore may keep the future of a call that was cancelled,
        whose exception keeps all that the call had in hand."""
        self._first = self._parts = None

    async def _next(self) -> memoryview | None:
        if self._parts is None:
            raise ConnectionAbortedError("nobody wants the rest")
        return await self._parts.next_lent()


async def _body(result: "GetResult", key: str) -> AsyncIterator[bytes]:
    with _translated("get", key):
        async for chunk in result.stream(min_chunk_size=READ_CHUNK):
            yield bytes(chunk)

"""The object store on OpenStack Swift."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from urllib.parse import quote, urlencode

from photo_api.storage.base import (
    ObjectChanged,
    ObjectInfo,
    ObjectMissing,
    ObjectStream,
    StoreUnavailable,
)
from photo_api.storage.buffers import Chunk, Parts, Share
from photo_api.storage.streams import nothing
from photo_api.storage.swift_bulk import Bulk
from photo_api.storage.swift_containers import Containers
from photo_api.storage.swift_requests import SLOW, Answer, Asked, SwiftRequests, pieces
from photo_api.storage.swift_segments import SEGMENTS, Segments

PAGE = 1000
DELETED_AT_ONCE = 100
"""Keys of a bulk deletion: Swift deletes them two at a time while the answer is waited for."""
THERE_FOR = 10.0
"""Seconds for which a container is believed to be there still."""
LOOK_AGAIN = 600.0
"""Seconds after which to look again whether anybody has made a large object."""
_WHOLE = 1 << 40


class SwiftStore:
    """Objects in the containers of one account.

    What is streamed and longer than `segment_size` bytes becomes a static large object. Where no
    object is longer than `largest`, and that is not, a stream goes straight to its place."""

    def __init__(
        self,
        requests: SwiftRequests,
        containers: Containers,
        *,
        segment_size: int = _WHOLE,
        largest: int = 0,
    ) -> None:
        self._requests = requests
        self._containers = containers
        there = containers.segments == containers.photos
        self._segments = Segments(requests, containers.segments, segment_size, there)
        self._makes_segments = largest > segment_size
        self._had_segments, self._looked_again = False, float("-inf")
        self._looking = asyncio.Lock()
        self._there: dict[str, float] = {}

    async def aclose(self) -> None:
        await self._requests.aclose()

    async def put(
        self,
        key: str,
        chunks: AsyncIterator[Chunk],
        *,
        content_type: str,
        share: Share | None = None,
    ) -> None:
        """Store a stream: one PUT, which is whole or nothing, or a static large object."""
        parts = Parts(chunks, share)
        try:
            first = await parts.next()
            if first is None or parts.ended:
                await self._put_whole(key, first or b"", content_type)
                return
            stream = _joined([first], parts)
            del first  # which is freed when it is sent
            await self._put_stream(key, stream, content_type)
        finally:
            parts.close()

    async def _put_stream(self, key: str, stream: AsyncIterator[bytes], content_type: str) -> None:
        place, headers = self._place(key), {"Content-Type": content_type}
        await self._requests.prove(quote(self._containers.of(key), safe=""))
        if self._makes_segments:
            await self._segments.put(key, place, stream, headers)
            return
        await self._made(Asked("PUT", place, headers, stream, timeout=SLOW), key)

    async def put_bytes(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store bytes by one PUT."""
        await self._put_whole(key, data, content_type)

    async def _put_whole(self, key: str, data: Chunk, content_type: str) -> None:
        headers = {"Content-Type": content_type}
        await self._made(Asked("PUT", self._place(key), headers, data, timeout=SLOW), key)

    async def get(self, key: str) -> bytes:
        """The whole object."""
        asked = Asked("GET", self._place(key), most=_WHOLE)
        answer = await self._found(await self._requests.ask(asked), key)
        _info(key, answer.headers)  # or it is a page of somebody between
        return answer.body

    async def peek(self, key: str, length: int) -> tuple[ObjectInfo, bytes]:
        """The description and first `length` bytes; only an empty object takes a second request."""
        if length > 0:
            headers = {"Range": f"bytes=0-{length - 1}"}
            answer = await self._requests.ask(Asked("GET", self._place(key), headers))
            if answer.status != 416:
                answer = await self._found(answer, key)
                return _info(key, answer.headers), answer.body[:length]
        return await self.head(key), b""

    async def open(self, key: str, start: int = 0, end: int | None = None) -> ObjectStream:
        """Stream start..end, cut to what there is; beyond the object's end that is nothing."""
        whole = start == 0 and end is None
        if end is None or end > start:
            last = "" if end is None else str(end - 1)
            headers = {} if whole else {"Range": f"bytes={start}-{last}"}
            opened = await self._requests.open(Asked("GET", self._place(key), headers))
            if opened.status != 416:
                await self._found(Answer(opened.status, opened.headers), key)
                info = _info(key, opened.headers)
                first, after = _range(opened.headers, info.size)
                return ObjectStream(info, first, after, opened.chunks)
        info = await self.head(key)
        at = min(start, info.size)
        return ObjectStream(info, at, at, nothing())

    async def head(self, key: str) -> ObjectInfo:
        """The object's description."""
        answer = await self._requests.ask(Asked("HEAD", self._place(key)))
        return _info(key, (await self._found(answer, key)).headers)

    async def copy(
        self, source: str, target: str, *, content_type: str | None = None, etag: str | None = None
    ) -> None:
        """Copy inside the store, never with the source's metadata: an expiry is among it."""
        await self._copy(self._place(source), target, content_type, etag, source)

    async def copy_from(self, bucket: str, source: str, target: str, *, content_type: str) -> None:
        """Copy the bytes of an object in another container of the account."""
        place = f"{quote(bucket, safe='')}/{quote(source)}"
        await self._copy(place, target, content_type, None, source)

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, and the segments of which large ones are made."""
        for at in range(0, len(keys), DELETED_AT_ONCE):
            some = keys[at : at + DELETED_AT_ONCE]
            if segments := await self._has_segments():
                for key in some:
                    await self._segments.delete_large(self._place(key))
            await (self._delete_one(some[0]) if len(some) == 1 else self._delete_several(some))
            if segments:
                for key in some:
                    await self._segments.discard(key)

    async def discard_parts(self, key: str) -> None:
        """Throw away segments of a large object that never came to be, or was overwritten."""
        if await self._has_segments():
            kept = await self._segments.upload_of(self._place(key))
            if not kept:
                await self._see_container(key)
            await self._segments.discard(key, kept=kept)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """All objects under `prefix`, fetched 1,000 at a time as they are consumed."""
        names = self._containers
        both = [names.photos, names.staging] if not prefix else [names.of(prefix)]
        for container in dict.fromkeys(both):
            async for info in self._listed(container, prefix):
                if prefix or not info.key.startswith(SEGMENTS):
                    yield info

    async def ping(self) -> None:
        """Look at the container of photos."""
        place = quote(self._containers.photos, safe="")
        answer = await self._requests.ask(Asked("HEAD", place))
        if not 200 <= answer.status < 300:
            raise StoreUnavailable(f"HEAD on container: HTTP {answer.status}")

    def _place(self, key: str) -> str:
        return f"{quote(self._containers.of(key), safe='')}/{quote(key)}"

    async def _made(self, asked: Asked, key: str) -> None:
        """PUT an object; a large one that it takes the place of leaves its segments."""
        # Asked before, so that no question fails what has been stored.
        leaves_segments = await self._has_segments()
        answer = await self._requests.ask(asked)
        if answer.status != 201:
            raise StoreUnavailable(f"PUT: the store failed ({answer.status})")
        if leaves_segments:
            await self._segments.discard(key)

    async def _copy(
        self, source: str, target: str, content_type: str | None, etag: str | None, key: str
    ) -> None:
        headers = {"Destination": self._place(target), "X-Fresh-Metadata": "true"}
        if content_type is not None:
            headers["Content-Type"] = content_type
        if etag is not None:  # Swift does not look at the header ETag of a copy
            headers["If-Match"] = f'"{etag}"'
        answer = await self._requests.ask(Asked("COPY", source, headers, timeout=SLOW))
        if answer.status == 412:
            raise ObjectChanged(key)
        await self._found(answer, key)
        if answer.status != 201:
            raise StoreUnavailable(f"COPY: the store failed ({answer.status})")

    async def _found(self, answer: Answer, key: str) -> Answer:
        """Raises `ObjectMissing`."""
        if answer.status == 404:
            await self._see_container(key)
            raise ObjectMissing(key)
        if not 200 <= answer.status < 300:
            raise StoreUnavailable(f"the store failed ({answer.status})")
        return answer

    async def _see_container(self, key: str) -> None:
        """Swift says 404 of all objects in a container that is missing: that says nothing of them.
        Raises `StoreUnavailable`."""
        container = self._containers.of(key)
        if self._there.get(container, 0.0) < monotonic():
            found = await self._requests.ask(Asked("HEAD", quote(container, safe="")))
            if not 200 <= found.status < 300:
                raise StoreUnavailable(f"the container {container} does not exist")
            self._there[container] = monotonic() + THERE_FOR

    async def _has_segments(self) -> bool:
        """Whether any object may be a large one: such as were made before also count."""
        if self._makes_segments:
            return True
        async with self._looking:  # one question for all who write at once
            if self._looked_again < monotonic():
                self._had_segments = await self._segments.exist()
                self._looked_again = monotonic() + LOOK_AGAIN
        return self._had_segments

    async def _delete_one(self, key: str) -> None:
        answer = await self._requests.ask(Asked("DELETE", self._place(key), timeout=SLOW))
        if answer.status == 404:
            await self._see_container(key)
        elif answer.status not in (200, 204):
            raise StoreUnavailable(f"DELETE: the store failed ({answer.status})")

    async def _delete_several(self, keys: Sequence[str]) -> None:
        """In one request; one by one where there is no such, or its token was void: a request for
        one object gets another."""
        body = "".join(f"{self._place(key)}\n" for key in keys).encode()
        headers = {"Content-Type": "text/plain", "Accept": "application/json"}
        asked = Asked("POST", "", headers, body, "bulk-delete=true", SLOW)
        answer = await self._requests.ask(asked)
        if answer.status == 200 and answer.body.strip():
            bulk = Bulk.of(answer.body)
            if not bulk.refused:
                bulk.check()
                if bulk.missing:
                    for key in {self._containers.of(key): key for key in keys}.values():
                        await self._see_container(key)
                return
        for key in keys:
            await self._delete_one(key)

    async def _listed(self, container: str, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Until a page is empty: some stores give short ones before the last."""
        marker, place = "", quote(container, safe="")
        while True:
            names = {"format": "json", "limit": str(PAGE), "prefix": prefix, "marker": marker}
            asked = Asked("GET", place, query=urlencode(names, quote_via=quote), timeout=SLOW)
            answer = await self._requests.ask(asked)
            if not 200 <= answer.status < 300:
                raise StoreUnavailable(f"list of {container}: HTTP {answer.status}")
            page = _page(answer.body)
            for info in page:
                yield info
            if not page:
                return
            if page[-1].key <= marker:
                raise StoreUnavailable(f"list of {container}: it does not go on")
            marker = page[-1].key


def _page(body: bytes) -> list[ObjectInfo]:
    try:
        return [
            ObjectInfo(
                key=entry["name"],
                size=int(entry["bytes"]),
                etag=str(entry["hash"]).strip('"'),
                last_modified=datetime.fromisoformat(entry["last_modified"]).replace(tzinfo=UTC),
            )
            for entry in json.loads(body or b"[]")
        ]
    except (ValueError, LookupError, TypeError) as error:
        kind = type(error).__name__
        raise StoreUnavailable(f"the list is not one to go by ({kind})") from None


def _info(key: str, headers: Mapping[str, str]) -> ObjectInfo:
    """An ETag is quoted where it is of a large object, or the container wants it so, and weak where
    a proxy has changed what it stands for."""
    try:
        total = headers.get("content-range", "").rpartition("/")[2]
        stamp = headers.get("x-timestamp")
        modified = (
            datetime.fromtimestamp(float(stamp), UTC)
            if stamp
            else parsedate_to_datetime(headers["last-modified"])
        )
        return ObjectInfo(
            key=key,
            size=int(total or headers["content-length"]),
            etag=headers["etag"].removeprefix("W/").strip('"') if "etag" in headers else None,
            last_modified=modified,
        )
    except (ValueError, LookupError, OverflowError) as error:
        kind = type(error).__name__
        raise StoreUnavailable(f"an object's description is not one to go by ({kind})") from None


def _range(headers: Mapping[str, str], size: int) -> tuple[int, int]:
    """What of an object is read: start, and end exclusive."""
    found = re.match(r"bytes (\d+)-(\d+)/", headers.get("content-range", ""))
    return (int(found[1]), int(found[2]) + 1) if found else (0, size)


async def _joined(first: list[memoryview], parts: Parts) -> AsyncIterator[bytes]:
    async for piece in pieces(first.pop()):
        yield piece
    parts.let_go()
    async for chunk in parts.rest():
        yield chunk

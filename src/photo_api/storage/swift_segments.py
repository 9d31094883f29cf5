"""Static large objects of Swift: a manifest that names the segments of which an object is made.

Never dynamic ones, which are whatever a listing happens to show. A manifest's deletion leaves the
segments, and so does what is written over it: whoever does either discards them.
"""

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from photo_api.storage.base import StoreUnavailable
from photo_api.storage.swift_bulk import Bulk
from photo_api.storage.swift_requests import SLOW, Asked, SwiftRequests

log = logging.getLogger(__name__)

SEGMENTS = "segments/"
"""What all their names begin with."""
MOST = 1000
"""Segments of one object, as in a Swift as it comes."""
PAGE = 1000


class Segments:
    """Those of all large objects, at most `size` bytes each: by a digest of the object's key, so
    that no key is the beginning of another, and by upload. Their container is made where it is not
    `there`."""

    def __init__(
        self, requests: SwiftRequests, container: str, size: int, there: bool = False
    ) -> None:
        self._requests = requests
        self._container = container
        self._size = size
        self._is_there = there

    async def exist(self) -> bool:
        """Whether there are any."""
        return bool(await self._names(SEGMENTS, "", most=1))

    async def put(
        self, key: str, place: str, chunks: AsyncIterator[bytes], headers: Mapping[str, str]
    ) -> None:
        """Store a stream as an object that is visible when all of it is there. Raises
        `StoreUnavailable`, and what `chunks` raise; no segment is left then, but where the manifest
        had no answer: the object may be there, so they are left to who deletes it."""
        upload = secrets.token_hex(8)
        await self._make_container()
        begun: list[str] = []
        try:
            manifest = await self._upload(f"{_of(key)}{upload}", chunks, begun)
        except BaseException:
            await asyncio.shield(self._left(begun))
            raise
        body = json.dumps(manifest).encode()
        # Without an answer it may have come to be: its segments are left to `discard_parts`.
        answer = await self._requests.ask(
            Asked("PUT", place, headers, body, "multipart-manifest=put", SLOW)
        )
        if answer.status != 201:
            await asyncio.shield(self._left(begun))
            raise StoreUnavailable(f"PUT of a manifest: the store failed ({answer.status})")
        await self.discard(key, kept=upload)

    async def delete_large(self, place: str) -> None:
        """Delete the object there if it is a large one, after its segments: by its manifest, for
        a list may not have them yet."""
        answer = await self._requests.ask(Asked("HEAD", place))
        if "x-static-large-object" in answer.headers:
            headers, query = {"Accept": "application/json"}, "multipart-manifest=delete"
            asked = Asked("DELETE", place, headers, query=query, timeout=SLOW)
            answer = await self._requests.ask(asked)
            if answer.status != 200:
                raise StoreUnavailable(f"DELETE: the store failed ({answer.status})")
            Bulk.of(answer.body).check()

    async def upload_of(self, place: str) -> str:
        """Of which upload the large object there is made; empty where there is none."""
        answer = await self._requests.ask(Asked("HEAD", place))
        if answer.status != 200 or "x-static-large-object" not in answer.headers:
            return ""
        answer = await self._requests.ask(Asked("GET", place, query="multipart-manifest=get"))
        try:
            name: str = json.loads(answer.body)[0]["name"]
            return name.split("/")[4]
        except (ValueError, LookupError, TypeError, AttributeError):
            raise StoreUnavailable("a manifest is not one to go by") from None

    async def names(self, key: str) -> list[str]:
        """Those of all uploads to `key`, of a container that may be missing; at most a page."""
        return await self._names(_of(key), "")

    async def discard(self, key: str, *, kept: str = "") -> None:
        """Delete the segments of all uploads to `key`, but for that of the upload `kept`."""
        marker = ""
        while names := await self._names(_of(key), marker):
            for name in names:
                if not kept or name.split("/")[2] != kept:
                    await self._delete(name)
            marker = names[-1]

    async def _delete(self, name: str) -> None:
        place = f"{quote(self._container, safe='')}/{name}"
        answer = await self._requests.ask(Asked("DELETE", place, timeout=SLOW))
        if answer.status not in (204, 404):
            raise StoreUnavailable(f"DELETE: the store failed ({answer.status})")

    async def _make_container(self) -> None:
        """Once; one that is there stays as it is."""
        if not self._is_there:
            asked = Asked("PUT", quote(self._container, safe=""), timeout=SLOW)
            answer = await self._requests.ask(asked)
            if answer.status not in (201, 202):
                raise StoreUnavailable(f"PUT of {self._container}: HTTP {answer.status}")
            self._is_there = True

    async def _upload(
        self, prefix: str, chunks: AsyncIterator[bytes], begun: list[str]
    ) -> list[dict[str, Any]]:
        """Store the segments, whose names are in `begun`; the manifest of them."""
        cut, manifest = _Cut(chunks, self._size), list[dict[str, Any]]()
        while await cut.more():
            if len(manifest) == MOST:
                raise StoreUnavailable(f"an object of over {MOST} segments")
            name, before = f"{prefix}/{len(manifest):08}", cut.taken
            begun.append(name)
            place = f"{quote(self._container, safe='')}/{name}"
            answer = await self._requests.ask(Asked("PUT", place, body=cut.piece(), timeout=SLOW))
            if answer.status != 201:
                raise StoreUnavailable(f"PUT of a segment: the store failed ({answer.status})")
            etag = answer.headers.get("etag", "").strip('"')
            size = cut.taken - before
            manifest.append(
                {"path": f"/{self._container}/{name}", "etag": etag, "size_bytes": size}
            )
        return manifest

    async def _left(self, names: Sequence[str]) -> None:
        with suppress(StoreUnavailable):  # then `discard_parts` finds them
            for name in names:
                await self._delete(name)

    async def _names(self, prefix: str, marker: str, most: int = PAGE) -> list[str]:
        """Those after `marker`; a short page is not the last, an empty one is."""
        begin, after = quote(prefix, safe=""), quote(marker, safe="")
        query = f"format=json&limit={most}&prefix={begin}&marker={after}"
        asked = Asked("GET", quote(self._container, safe=""), query=query, timeout=SLOW)
        answer = await self._requests.ask(asked)
        if answer.status == 404:
            return []
        try:
            names: list[str] = [entry["name"] for entry in json.loads(answer.body or b"[]")]
        except (ValueError, LookupError, TypeError):
            raise StoreUnavailable("a list of segments is not one to go by") from None
        if any(name <= marker or not name.startswith(prefix) for name in names):
            raise StoreUnavailable("a list of segments does not go on")
        return names


def _of(key: str) -> str:
    return f"{SEGMENTS}{sha256(key.encode()).hexdigest()[:32]}/"


class _Cut:
    """A stream in pieces of at most `size` bytes; `taken` of it were read."""

    def __init__(self, chunks: AsyncIterator[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size
        self._rest = b""
        self.taken = 0

    async def more(self) -> bool:
        """Whether there is another byte."""
        while not self._rest:
            try:
                self._rest = await anext(self._chunks)
            except StopAsyncIteration:
                return False
        return True

    async def piece(self) -> AsyncIterator[bytes]:
        """The next of them."""
        left = self._size
        while left and await self.more():
            part, self._rest = self._rest[:left], self._rest[left:]
            left -= len(part)
            self.taken += len(part)
            yield part

"""Of what a store makes large objects: parts of S3's multipart uploads, segments of Swift's static
large objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote
from xml.etree import ElementTree

from photo_api.provisioning.s3_requests import BucketRequests, said
from photo_api.storage.base import ObjectStore, StoreUnavailable
from photo_api.storage.swift_segments import Segments


class Large(Protocol):
    """A store that makes large objects of what is longer than a few MiB."""

    @property
    def store(self) -> ObjectStore: ...

    @property
    def parts(self) -> str:
        """How they are called."""

    async def left(self, key: str) -> int:
        """How many of an object that is not there any more. Raises `StoreUnavailable`."""

    async def clean(self, keys: Sequence[str]) -> list[str]:
        """Throw away all of these objects; what is left. Raises `StoreUnavailable`."""


@dataclass(frozen=True, slots=True)
class Multipart:
    """Those of unfinished uploads."""

    store: ObjectStore
    requests: BucketRequests
    parts: str = "unfinished uploads"

    async def left(self, key: str) -> int:
        answer = await self.requests.ask("GET", f"?prefix={quote(key, safe='')}&uploads=")
        if answer.status != 200:
            raise StoreUnavailable(f"list of uploads: the store answers {said(answer)}")
        try:
            found = ElementTree.fromstring(answer.body).iterfind("{*}Upload/{*}Key")
        except ElementTree.ParseError as error:
            raise StoreUnavailable("the list of uploads is not XML") from error
        return sum(one.text == key for one in found)

    async def clean(self, keys: Sequence[str]) -> list[str]:
        for key in keys:
            await self.store.discard_parts(key)
        return [f"unfinished uploads to {key}" for key in keys if await self.left(key)]


@dataclass(frozen=True, slots=True)
class InSegments:
    """Those in the photos' container: its key opens no other, so that elsewhere no URL would read
    them."""

    store: ObjectStore
    segments: Segments
    parts: str = "segments"

    async def left(self, key: str) -> int:
        return len(await self.segments.names(key))

    async def clean(self, keys: Sequence[str]) -> list[str]:
        for key in keys:
            await self.segments.discard(key)
        return [f"segments of {key}" for key in keys if await self.left(key)]

"""Where the attacks take place: the service's own store and signer, and throw-away objects under a
prefix of their own."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from photo_api.delivery.base import SignedUpload, StoreSigner
from photo_api.provisioning.proof.pieces import Large
from photo_api.settings.loading import Settings
from photo_api.storage.base import ObjectMissing, ObjectStore, StoreUnavailable
from photo_api.storage.plain_requests import PlainAnswer, PlainRequests
from photo_api.storage.swift_containers import STAGING
from photo_api.storage.url_keys import Digest

PREFIX = "prove/"
OURS = re.compile(rf"(?:{STAGING})?{PREFIX}[0-9a-f]{{32}}/[0-9a-f]{{16}}(?:/[a-z.]+|-pieces)?")
OLD = timedelta(hours=1)
"""After which objects are those of a run that was killed."""
PIECES = "-pieces"
"""Ends the key of what tells the next run of pieces, should this one be killed."""
TYPE = "image/jpeg"
SLOW = 20.0
EXPIRES_IN = 300
AT_ONCE = 100
CLEANING = 60.0

AsOwner = Callable[[str, str], Awaitable[PlainAnswer]]
"""One request about a key, with the service's credentials: method and key."""


@dataclass(slots=True, repr=False)
class Stage:
    """`base` is the address that clients get, without what `place` gives for a key: bucket or
    container, and key. `signer_at` makes a signer whose clock is so many seconds off. `kept` are
    all keys that may have an object."""

    settings: Settings
    store: ObjectStore
    large: Large
    signer_at: Callable[[float], StoreSigner]
    as_owner: AsOwner
    plain: PlainRequests
    base: str
    place: Callable[[str], str]
    digest: Digest = "sha256"
    run: str = field(default_factory=lambda: secrets.token_hex(16))
    kept: list[str] = field(default_factory=list)

    @property
    def is_swift(self) -> bool:
        return self.settings.store == "swift"

    @property
    def signer(self) -> StoreSigner:
        return self.signer_at(0)

    def staging(self) -> str:
        """A key that nobody has had, for an upload."""
        return self._kept(f"{STAGING}{PREFIX}{self.run}/{secrets.token_hex(8)}")

    def photo(self) -> str:
        """The same for what is confirmed."""
        return self._kept(f"{PREFIX}{self.run}/{secrets.token_hex(8)}")

    async def large_photo(self) -> str:
        """The same for what is made of pieces. Raises `StoreUnavailable`."""
        key = self.photo()
        await self.store.put_bytes(self._kept(key + PIECES), b"pieces", content_type=TYPE)
        return key

    def address(self, key: str) -> str:
        """A URL without a signature."""
        return f"{self.base}/{self.place(key)}"

    def sign(self, key: str, size: int) -> SignedUpload:
        """For an upload of so many bytes."""
        return self.signer.upload(
            key, content_type=TYPE, size=size, sha256=None, expires_in=EXPIRES_IN
        )

    def _kept(self, key: str) -> str:
        self.kept.append(key)
        return key

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes = b"",
    ) -> PlainAnswer:
        """As a client does. Raises `StoreUnavailable`."""
        return await self.plain.ask(method, url, headers, body, timeout=SLOW)

    async def upload(
        self, key: str, content: bytes, sent: Mapping[str, str] = MappingProxyType({})
    ) -> PlainAnswer:
        """PUT what was announced, with other headers beside those that were."""
        signed = self.sign(key, len(content))
        return await self.ask("PUT", signed.url, {**signed.headers, **sent}, content)

    async def confirmed(
        self, content: bytes, sent: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[str, str]:
        """The keys of an upload and of its copy, made as a confirmation does. Raises
        `StoreUnavailable`."""
        source, target = self.staging(), self.photo()
        answer = await self.upload(source, content, sent)
        if not 200 <= answer.status < 300:
            raise NotTaken(f"the upload is answered {answer.status}")
        etag = (await self.store.head(source)).etag
        await self.store.copy(source, target, content_type=TYPE, etag=etag)
        return source, target

    def read_url(self, key: str) -> str:
        return self.signer.read(key, filename="photo.jpg").url

    async def clean(self) -> list[str]:
        """Delete all that was put, and what an earlier run has left; the keys that may be there
        still."""
        try:
            async with asyncio.timeout(CLEANING):
                left = await self._throw_away(self.kept)
                left += await self._throw_away(await self._left_before())
                return [*left, *[key async for key in self._still()]]
        except (StoreUnavailable, TimeoutError):
            return sorted(self.kept)

    async def _throw_away(self, keys: Sequence[str]) -> list[str]:
        """Delete these; which pieces are left. What tells of those goes last."""
        marks = [key for key in keys if key.endswith(PIECES)]
        await self._delete([key for key in keys if key not in marks])
        left = await self.large.clean([key.removesuffix(PIECES) for key in marks])
        if not left:
            await self._delete(marks)
        return left

    async def _delete(self, keys: Sequence[str]) -> None:
        for at in range(0, len(keys), AT_ONCE):
            with suppress(StoreUnavailable, ObjectMissing):
                await self.store.delete(keys[at : at + AT_ONCE])

    async def _still(self) -> AsyncIterator[str]:
        for prefix in (f"{STAGING}{PREFIX}{self.run}/", f"{PREFIX}{self.run}/"):
            async for info in self.store.list(prefix):
                # Swift's listings may be a moment behind.
                with suppress(ObjectMissing):
                    yield (await self.store.head(info.key)).key

    async def _left_before(self) -> list[str]:
        oldest = datetime.now(UTC) - OLD
        return [
            info.key
            for prefix in (f"{STAGING}{PREFIX}", PREFIX)
            async for info in self.store.list(prefix)
            if OURS.fullmatch(info.key) and info.last_modified < oldest
        ]


class NotTaken(Exception):
    """The store has not taken what an attack needs first: what it would show is not known."""

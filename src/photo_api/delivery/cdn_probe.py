"""One object fetched through the CDN, as a client would, and compared with what the store has."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from photo_api.contract import CDN_PROBE_PREFIX
from photo_api.storage.base import ObjectMissing, ObjectStore, StoreUnavailable

if TYPE_CHECKING:
    from photo_api.storage.plain_requests import PlainRequests

TIME_BOX = 5.0
"""Seconds for an answer, of the CDN and again of the store."""

MOST = 65_536
"""Bytes of an answer: a page of somebody between us is no reason to read all of it."""

HEADERS = {"Connection": "close", "Accept-Encoding": "identity", "User-Agent": "photo-api-probe"}
"""A connection of its own, as a new client would have."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`unknown` says nothing of the CDN: the store fails as well. `error` has no part of a URL."""

    result: Literal["ok", "failed", "unknown"]
    error: str | None = None


def new_key() -> str:
    """One for an object that no CDN has in its cache yet."""
    return f"{CDN_PROBE_PREFIX}{secrets.token_hex(16)}"


def bytes_of(key: str) -> bytes:
    """What is stored there: everybody who compares knows it."""
    return f"photo-api probe {key}\n".encode()


async def put(store: ObjectStore, key: str) -> None:
    """Raises `StoreUnavailable`."""
    await store.put_bytes(key, bytes_of(key), content_type="application/octet-stream")


class CdnProbe:
    """`url` signs a key for the CDN as it is done for clients."""

    def __init__(
        self, requests: "PlainRequests", store: ObjectStore, url: Callable[[str], str]
    ) -> None:
        self._requests = requests
        self._store = store
        self._url = url

    async def look(self, key: str) -> Outcome:
        """Whether the CDN gives the object, and if not, whether the store does. Raises
        `ObjectMissing` when there is none any more."""
        error = await self._fetch(key)
        if error is None:
            return Outcome("ok")
        try:
            async with asyncio.timeout(TIME_BOX):
                stored = await self._store.get(key)
        except (TimeoutError, StoreUnavailable):
            return Outcome("unknown", f"{error}; nor does the store answer")
        if stored != bytes_of(key):
            raise ObjectMissing(key)
        return Outcome("failed", error)

    async def _fetch(self, key: str) -> str | None:
        """What is wrong with the CDN's answer. A redirect is one, and is not followed."""
        try:
            async with asyncio.timeout(TIME_BOX):
                answer = await self._requests.ask(
                    "GET", self._url(key), HEADERS, timeout=TIME_BOX, most=MOST
                )
        except TimeoutError:
            return f"no answer within {TIME_BOX:g} s"
        except StoreUnavailable as failure:
            return str(failure).replace("the store", "the CDN")
        if answer.status != 200:
            return f"HTTP {answer.status}"
        return None if answer.body == bytes_of(key) else "other bytes than the store has"

"""What all signers for CDNs have in common."""

import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from photo_api.cloud.sigv4 import quote_path
from photo_api.delivery.base import Method
from photo_api.delivery.bucketed import BucketedUrls
from photo_api.delivery.disposition import quoted_filename
from photo_api.delivery.windows import CACHE_BYTES, CLOCK_SKEW

Digest = Literal["sha256", "sha1"]


class CdnKey(NamedTuple):
    """A signing key as its setting has it; not to be shown."""

    kid: str
    secret: str


class CdnSigner(BucketedUrls):
    """Signs for one CDN, at whose address `url` an object has its key as path. `current` gives the
    key that signs now. `digest` counts where the CDN has a choice."""

    def __init__(
        self,
        url: str,
        current: Callable[[], CdnKey],
        window: int,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
        digest: Digest = "sha256",
    ) -> None:
        self._url = url.rstrip("/")
        self._path = unquote(urlsplit(self._url).path)
        self._current = current
        self._digest = digest
        super().__init__(window, clock, cache_bytes)

    def keys(self) -> object:
        return self._current()

    def _named(self, filename: str) -> str:
        return quoted_filename(filename)

    def _signed(self, key: str, named: str, method: Method, begins: int) -> str:
        expires = begins + 2 * self.windows.seconds + CLOCK_SKEW
        query = self._query(key, named, expires, begins)
        return f"{self._url}/{quote_path(key)}?{query}"

    @abstractmethod
    def _query(self, key: str, named: str, expires: int, begins: int) -> str:
        """What proves that the URL is ours, until `expires` in epoch seconds."""

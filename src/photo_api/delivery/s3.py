"""Presigned S3 URLs on the store's public address."""

import base64
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import quote

from photo_api.cloud.sigv4 import (
    MAX_EXPIRY,
    Credentials,
    canonical_query,
    presign,
    quote_path,
)
from photo_api.delivery.base import Method, SignedUpload
from photo_api.delivery.bucketed import BucketedUrls
from photo_api.delivery.disposition import inline_disposition
from photo_api.delivery.windows import CACHE_BYTES, CLOCK_SKEW
from photo_api.storage.credentials import CredentialSource

CACHING = "private, immutable"
"""Until the URL's end, which is in Expires: a max-age would count from whenever it was used."""


class S3UrlSigner(BucketedUrls):
    """Signs for one bucket, path style. A read URL is signed as of its window's beginning, with
    `CLOCK_SKEW` at both ends."""

    binds_bytes = True
    binds_method = True

    def __init__(
        self,
        public_endpoint: str,
        bucket: str,
        region: str,
        credentials: CredentialSource,
        window: int,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if not 1 <= window <= (MAX_EXPIRY - 2 * CLOCK_SKEW) // 2:
            raise ValueError(f"a window of {window} s cannot be signed for")
        self._base = f"{public_endpoint.rstrip('/')}/{bucket}/"
        self._region = region
        self._source = credentials
        self._query = canonical_query([("response-cache-control", CACHING)])
        super().__init__(window, clock, cache_bytes)

    def keys(self) -> Credentials:
        return self._source.current()

    def keys_end(self) -> float | None:
        return self.keys().expires_at

    def upload(
        self, key: str, *, content_type: str, size: int, sha256: bytes | None, expires_in: int
    ) -> SignedUpload:
        """A PUT URL; Content-Length is signed but not among `headers`, a browser sends it itself.

        Raises `ValueError` for an expiry that S3 does not allow."""
        headers = {"Content-Type": content_type}
        if sha256 is not None:
            headers["x-amz-checksum-sha256"] = base64.b64encode(sha256).decode()
        # Signed as of earlier for a store whose clock is behind; it ends when it should.
        early = max(0, min(CLOCK_SKEW, MAX_EXPIRY - expires_in))
        url = presign(
            "PUT",
            self._base + quote_path(key),
            credentials=self._source.current(),
            region=self._region,
            now=self.windows.clock() - early,
            expires_in=expires_in + early,
            headers={**headers, "Content-Length": str(size)},
        )
        return SignedUpload(url, headers)

    def signed_origin(self, key: str, window: tuple[int, int]) -> str:
        return self._presigned("GET", key, window, "")

    def _signed(self, key: str, filename: str, method: Method, window: tuple[int, int]) -> str:
        ends = formatdate(window[1] + self.windows.seconds + CLOCK_SKEW, usegmt=True)
        query = (
            f"{self._query}&response-content-disposition={_disposition(filename)}"
            f"&response-expires={quote(ends, safe='')}"
        )
        return self._presigned(method, key, window, query)

    def _presigned(self, method: str, key: str, window: tuple[int, int], query: str) -> str:
        return presign(
            method,
            self._base + quote_path(key),
            credentials=self.keys(),
            region=self._region,
            now=window[0] - CLOCK_SKEW,
            expires_in=2 * (self.windows.seconds + CLOCK_SKEW),
            query=query,
        )


def _disposition(filename: str) -> str:
    """Percent-encoded, piece by piece: `quote` is fast where there is nothing to do, and a photo's
    name is mostly that."""
    kind, *names = inline_disposition(filename).split('"')
    return "%22".join([_quoted(kind), *[quote(name, safe="") for name in names]])


@lru_cache(maxsize=4)
def _quoted(kind: str) -> str:
    return quote(kind, safe="")

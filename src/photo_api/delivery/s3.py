"""Presigned S3 URLs on the store's public address."""

import base64
import time
from collections.abc import Callable
from functools import lru_cache
from sys import getsizeof
from typing import Literal
from urllib.parse import quote
from zlib import crc32

from photo_api.byte_cache import ByteCache
from photo_api.cloud.sigv4 import (
    MAX_EXPIRY,
    Credentials,
    canonical_query,
    presign,
    quote_path,
)
from photo_api.delivery.base import SignedUpload, SignedUrl
from photo_api.delivery.disposition import inline_disposition
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import READ_URLS, URL_CACHE_BYTES
from photo_api.storage.credentials import CredentialSource

CLOCK_SKEW = 300
"""Seconds by which this instance's clock and the store's may differ, either way."""

_Wanted = tuple[str, str, str]
_Signed = tuple[SignedUrl, int, int]


def window_within(ttl: int) -> int:
    """The longest window of which no URL works for more than `ttl` seconds after it was signed, be
    the store's clock as wrong as it may be."""
    return ttl // 2 - CLOCK_SKEW


class S3UrlSigner:
    """Signs for one bucket, path style.

    A read URL is the same during a bucket of `window` seconds; each key's buckets begin at its own
    offset, so that not all URLs of a page change at once. Signed as of the bucket's beginning for
    two windows, a URL works for at least one `window` whenever it is handed out. `CLOCK_SKEW` is
    added at both ends. Cached URLs take up to `cache_bytes`, mostly about 2 kB each.
    """

    def __init__(
        self,
        public_endpoint: str,
        bucket: str,
        region: str,
        credentials: CredentialSource,
        window: int,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        if not 1 <= window <= (MAX_EXPIRY - 2 * CLOCK_SKEW) // 2:
            raise ValueError(f"a window of {window} s cannot be signed for")
        self._base = f"{public_endpoint.rstrip('/')}/{bucket}/"
        self._region = region
        self._source = credentials
        self._window = window
        self._clock = clock
        caching = f"private, max-age={window}, immutable"
        self._query = canonical_query([("response-cache-control", caching)])
        self._signed_with = credentials.current()
        self._cache = ByteCache[_Wanted, _Signed](cache_bytes)
        self._reused = self._signed = 0

    def watched_by(self, counts: Counts, readers: str) -> None:
        """Have the URLs to read with and their cache counted."""
        counts.watch(READ_URLS, readers, "cached", read=lambda: self._reused)
        counts.watch(READ_URLS, readers, "signed", read=lambda: self._signed)
        counts.watch(URL_CACHE_BYTES, readers, read=lambda: self._cache.size)

    def read(self, key: str, *, filename: str, method: Literal["GET", "HEAD"] = "GET") -> SignedUrl:
        """A URL for a GET or a HEAD, never both: S3 signs the method.

        `valid_for` is the window, or less if the key that signs expires before."""
        now = self._clock()
        credentials = self._source.current()
        if credentials is not self._signed_with:
            self._signed_with = credentials
            self._cache.clear()
        wanted = (key, filename, method)
        found = self._cache.get(wanted)
        if found is not None and found[1] <= now < found[2]:
            self._reused += 1
            return found[0]
        self._signed += 1
        start, end = self._bucket(key, now)
        url = self._sign_read(key, filename, method, start, credentials)
        signed_until = credentials.expires_at
        if signed_until is None or signed_until >= end + self._window:
            signed = SignedUrl(url, self._window)
            self._cache.put(wanted, (signed, start, end), sum(map(getsizeof, (url, *wanted))))
            return signed
        return SignedUrl(url, max(0, min(self._window, int(signed_until - now))))

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
            now=self._clock() - early,
            expires_in=expires_in + early,
            headers={**headers, "Content-Length": str(size)},
        )
        return SignedUpload(url, headers)

    def _bucket(self, key: str, now: float) -> tuple[int, int]:
        """Beginning and end of the key's present bucket, in epoch seconds."""
        offset = crc32(key.encode()) % self._window
        start = int((now - offset) // self._window) * self._window + offset
        return start, start + self._window

    def _sign_read(
        self, key: str, filename: str, method: str, start: int, credentials: Credentials
    ) -> str:
        return presign(
            method,
            self._base + quote_path(key),
            credentials=credentials,
            region=self._region,
            now=start - CLOCK_SKEW,
            expires_in=2 * (self._window + CLOCK_SKEW),
            query=f"{self._query}&response-content-disposition={_disposition(filename)}",
        )


def _disposition(filename: str) -> str:
    """Percent-encoded, piece by piece: `quote` is fast where there is nothing to do, and a photo's
    name is mostly that."""
    kind, *names = inline_disposition(filename).split('"')
    return "%22".join([_quoted(kind), *[quote(name, safe="") for name in names]])


@lru_cache(maxsize=4)
def _quoted(kind: str) -> str:
    return quote(kind, safe="")

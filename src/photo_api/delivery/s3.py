"""Presigned S3 URLs on the store's public address."""

import base64
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Literal
from urllib.parse import quote

from photo_api.cloud.sigv4 import (
    MAX_EXPIRY,
    Credentials,
    canonical_query,
    presign,
    quote_path,
)
from photo_api.delivery.base import SignedUpload, SignedUrl
from photo_api.delivery.disposition import inline_disposition
from photo_api.delivery.windows import CACHE_BYTES, CLOCK_SKEW, UrlWindows
from photo_api.storage.credentials import CredentialSource


class S3UrlSigner:
    """Signs for one bucket, path style. A read URL is signed as of its window's beginning, with
    `CLOCK_SKEW` at both ends."""

    binds_bytes = True

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
        self.windows = UrlWindows(window, clock, cache_bytes)
        caching = f"private, max-age={window}, immutable"
        self._query = canonical_query([("response-cache-control", caching)])
        self._signed_with = credentials.current()

    def read(self, key: str, *, filename: str, method: Literal["GET", "HEAD"] = "GET") -> SignedUrl:
        """A URL for a GET or a HEAD, never both: S3 signs the method.

        `valid_for` is the window, or less if the key that signs expires before."""
        windows = self.windows
        now, credentials = windows.clock(), self._source.current()
        if credentials is not self._signed_with:
            self._signed_with = credentials
            windows.forget()
        wanted = (key, filename, method)
        if (found := windows.kept(wanted, now)) is not None:
            return found
        window = start, end = windows.at(key, now)
        url = self._sign_read(key, filename, method, start, credentials)
        signed_until = credentials.expires_at
        if signed_until is None or signed_until >= end + windows.seconds:
            return windows.keep(wanted, url, window)
        return SignedUrl(url, max(0, min(windows.seconds, int(signed_until - now))))

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

    def _sign_read(
        self, key: str, filename: str, method: str, start: int, credentials: Credentials
    ) -> str:
        return presign(
            method,
            self._base + quote_path(key),
            credentials=credentials,
            region=self._region,
            now=start - CLOCK_SKEW,
            expires_in=2 * (self.windows.seconds + CLOCK_SKEW),
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

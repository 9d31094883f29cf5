"""Presigned S3 URLs on the store's public address."""

import base64
import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache

from photo_api.cloud.sigv4 import (
    MAX_EXPIRY,
    Credentials,
    Presigning,
    amz_date,
    canonical_query,
    host_and_path,
    presign,
    presigning,
    quote_path,
)
from photo_api.delivery.base import Method, SignedUpload
from photo_api.delivery.bucketed import BucketedUrls
from photo_api.delivery.disposition import quoted_disposition
from photo_api.delivery.windows import CACHE_BYTES, CLOCK_SKEW
from photo_api.storage.credentials import CredentialSource

CACHING = "private, immutable"
"""Until the URL's end, which is in Expires: a max-age would count from whenever it was used."""

MOST_DAYS = 4
"""That windows in use begin on, with a clock that is set."""


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
        self._host, self._path = host_and_path(self._base)
        self._days: dict[str, Presigning] = {}
        self._credentials: Credentials | None = None
        self._region = region
        self._source = credentials
        self._caching = canonical_query([("response-cache-control", CACHING)])
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

    def _named(self, filename: str) -> str:
        return f"&{self._caching}&response-content-disposition={quoted_disposition(filename)}"

    def _signed(self, key: str, named: str, method: Method, window: tuple[int, int]) -> str:
        ends = _quoted_date(window[1] + self.windows.seconds + CLOCK_SKEW)
        return self._presigned(method, key, window, f"{named}&response-expires={ends}")

    def _presigned(self, method: str, key: str, window: tuple[int, int], query: str) -> str:
        date, credentials = amz_date(window[0] - CLOCK_SKEW), self._source.current()
        found = self._days.get(date[:8])
        if found is None or credentials is not self._credentials:
            found = self._begin(date[:8], credentials)
        path = quote_path(key)
        return f"{self._base}{path}?{found.query(method, f'{self._path}{path}', date, query)}"

    def _begin(self, day: str, credentials: Credentials) -> Presigning:
        """What signs in windows that begin on this day."""
        if credentials is not self._credentials or len(self._days) == MOST_DAYS:
            self._days.clear()
        self._credentials = credentials
        lifetime = 2 * (self.windows.seconds + CLOCK_SKEW)
        made = self._days[day] = presigning(credentials, self._region, day, self._host, lifetime)
        return made


@lru_cache(maxsize=4096)
def _quoted_date(moment: int) -> str:
    date = formatdate(moment, usegmt=True)
    return date.replace(",", "%2C").replace(" ", "%20").replace(":", "%3A")

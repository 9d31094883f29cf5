"""Presigned S3 URLs on the store's public address."""

import base64
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from urllib.parse import quote
from zlib import crc32

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

MOST_WINDOWS = 4096
"""Beginnings of windows of which it is kept what all their URLs have in common, 300 bytes each."""

OfWindow = tuple[Presigning, str, str]
"""What signs, the date as of which it does, and the parameter that tells browsers the URL's end."""


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
        self._windows: dict[int, OfWindow] = {}
        self._days: dict[str, Presigning] = {}
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

    def signed_origin(self, key: str, begins: int) -> str:
        self._refresh()
        presigning, date, _ = self._windows.get(begins) or self._begin(begins)
        path = quote_path(key)
        return f"{self._base}{path}?{presigning.query('GET', self._path + path, date)}"

    def _named(self, filename: str) -> str:
        return f"&{self._caching}&response-content-disposition={quoted_disposition(filename)}"

    def _signed(self, key: str, named: str, method: Method, begins: int) -> str:
        presigning, date, ends = self._windows.get(begins) or self._begin(begins)
        path = quote_path(key)
        query = presigning.query(method, self._path + path, date, named + ends)
        return f"{self._base}{path}?{query}"

    def urls(self, files: Iterable[tuple[str | None, str]]) -> list[str | None]:
        """As those of all signers, in one loop: most of what a list takes is spent here. A photo's
        files follow one another, and have one name."""
        self._refresh()
        now, seconds, known = int(self.windows.clock()), self.windows.seconds, self._windows.get
        base, root = self._base, self._path
        urls: list[str | None] = []
        last, named = None, ""
        for key, name in files:
            if key is None:
                urls.append(None)
                continue
            if name is not last:
                last, named = name, self._named(name)
            begins = now - (now - crc32(key.encode())) % seconds
            presigning, date, ends = known(begins) or self._begin(begins)
            path = quote_path(key)
            query = presigning.query("GET", root + path, date, named + ends)
            urls.append(f"{base}{path}?{query}")
            self.windows.signed += 1
        return urls

    def _forget(self) -> None:
        super()._forget()
        self._windows.clear()
        self._days.clear()

    def _begin(self, begins: int) -> OfWindow:
        if len(self._windows) == MOST_WINDOWS:
            self._windows.clear()
            self._days.clear()
        date, lifetime = amz_date(begins - CLOCK_SKEW), 2 * (self.windows.seconds + CLOCK_SKEW)
        day = date[:8]
        # One for all windows of a day: of thousands, each would be fetched from memory for a URL.
        signs = self._days.get(day) or self._days.setdefault(
            day, presigning(self.keys(), self._region, day, self._host, lifetime)
        )
        ends = formatdate(begins - CLOCK_SKEW + lifetime, usegmt=True)
        made = signs, date, f"&response-expires={quote(ends, safe='')}"
        return self._windows.setdefault(begins, made)

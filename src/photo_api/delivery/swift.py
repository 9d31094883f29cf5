"""Temporary URLs of OpenStack Swift ("TempURL middleware" in Swift's manual)."""

import base64
import time
from collections.abc import Callable
from functools import lru_cache
from urllib.parse import quote, unquote

from photo_api.cloud.sigv4 import KeyedDigest, quote_path
from photo_api.delivery.base import Method, SignedUpload
from photo_api.delivery.bucketed import BucketedUrls
from photo_api.delivery.disposition import quoted_filename
from photo_api.delivery.windows import CACHE_BYTES, CLOCK_SKEW
from photo_api.storage.swift_containers import Containers
from photo_api.storage.url_keys import Digest, UrlKeys, UrlKeySource


def signature(method: str, expires: int, path: str, key: str, digest: Digest = "sha256") -> str:
    """That of the unquoted path, as a query has it."""
    made = _keyed(key, digest).digest(f"{method}\n{expires}\n{path}".encode())
    if digest == "sha512":
        return f"sha512:{base64.urlsafe_b64encode(made).decode()}"
    return made.hex()


@lru_cache(maxsize=4)
def _keyed(key: str, digest: Digest) -> KeyedDigest:
    return KeyedDigest(key.encode(), digest)


class SwiftUrlSigner(BucketedUrls):
    """Signs for the two containers of an account, of which `account` is the path, such as
    /v1/AUTH_1234.

    A read URL works to the end of the window after its own, and for HEAD as well as GET. Swift
    tells browsers to keep what it leads to for as long."""

    binds_bytes = False

    def __init__(
        self,
        public_endpoint: str,
        account: str,
        containers: Containers,
        keys: UrlKeySource,
        window: int,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._public = public_endpoint.rstrip("/")
        self._account = unquote(account)
        self._containers = containers
        self._keys = keys
        super().__init__(window, clock, cache_bytes)

    def keys(self) -> UrlKeys:
        return self._keys.current()

    def upload(
        self, key: str, *, content_type: str, size: int, sha256: bytes | None, expires_in: int
    ) -> SignedUpload:
        """A PUT URL. It binds neither size nor type nor digest: `content_type` is what the client
        is asked to send."""
        url = self._temporary("PUT", key, int(self.windows.clock()) + expires_in)
        return SignedUpload(url, {"Content-Type": content_type})

    def signed_origin(self, key: str, begins: int) -> str:
        return self._temporary("GET", key, begins + 2 * self.windows.seconds + CLOCK_SKEW)

    def _named(self, filename: str) -> str:
        return f"&filename={quoted_filename(filename)}&inline"

    def _signed(self, key: str, named: str, method: Method, begins: int) -> str:
        """For GET and HEAD."""
        return self.signed_origin(key, begins) + named

    def _temporary(self, method: str, key: str, expires: int) -> str:
        keys, container = self.keys(), self._containers.of(key)
        path = f"{self._account}/{container}/{key}"
        secret = keys.staging if container == self._containers.staging else keys.photos
        made = signature(method, expires, path, secret, keys.digest)
        query = f"temp_url_sig={quote(made, safe='')}&temp_url_expires={expires}"
        return f"{self._public}{quote_path(path)}?{query}"

"""URLs of nginx as a cache before the store ("ngx_http_secure_link_module" in nginx's manual).

The query proves two things: to the edge, that all of the URL is ours (`expires`, `kid`, `md5` and
the file's name); to the store, when the edge has not the object and passes the rest on, that
whoever asks may read it. So the edge needs no credentials of the store.
"""

import base64
import hashlib
import time
from collections.abc import Callable

from photo_api.delivery.base import StoreSigner
from photo_api.delivery.cdn import CdnKey, CdnSigner
from photo_api.delivery.windows import CACHE_BYTES


def secure_link(text: str) -> str:
    """What nginx compares `$arg_md5` with, where `secure_link_md5` gives this text."""
    # nginx knows no other; a preimage of a keyed MD5 of this form is not known to be found.
    made = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


class NginxEdgeSigner(CdnSigner):
    """`origin` signs for the address at which the edge reaches the store; its windows are not
    used."""

    def __init__(
        self,
        url: str,
        current: Callable[[], CdnKey],
        origin: StoreSigner,
        window: int,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._origin = origin
        super().__init__(url, current, window, clock, cache_bytes)

    def keys(self) -> object:
        return self._current(), self._origin.keys()

    def keys_end(self) -> float | None:
        return self._origin.keys_end()

    def _query(self, key: str, named: str, expires: int, begins: int) -> str:
        kid, secret = self._current()
        stores = self._origin.signed_origin(key, begins).partition("?")[2]
        made = secure_link(f"{expires}{self._path}/{key} {named} {stores} {secret}")
        return f"expires={expires}&kid={kid}&md5={made}&filename={named}&{stores}"

"""Addresses of thumbnails for `<img>`, which sends no token, where the service streams them itself.

A signature over owner, photo and end lets its holder see this one thumbnail until then. Any worker
verifies it, by any of the secret keys, so that it outlives a rotation as sessions do.
"""

import hashlib
import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from zlib import crc32

from photo_api.delivery.windows import CLOCK_SKEW

CONTEXT = b"thumbnail:"
LENGTH = 43
"""Characters of a signature: 256 bits."""


class ThumbnailUrls:
    """Signs with the first key. An address is the same during a window of `seconds`, so that
    browsers cache what it leads to, and works to the end of the next; each photo's windows begin at
    an offset of its own."""

    def __init__(
        self, keys: Mapping[str, str], seconds: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = [hashlib.sha256(CONTEXT + key.encode()).digest() for key in keys.values()]
        self._seconds = seconds
        self._clock = clock

    def url(self, owner_id: int, photo_id: int) -> str:
        """Relative to the API's base."""
        now = int(self._clock())
        begins = now - (now - crc32(b"%d" % photo_id)) % self._seconds
        until = begins + 2 * self._seconds
        signature = _signature(self._keys[0], owner_id, photo_id, until)
        return f"/photos/{photo_id}/thumbnail?owner={owner_id}&until={until}&signature={signature}"

    def allows(self, owner_id: int, photo_id: int, until: int, signature: str) -> bool:
        """Whether one of our keys has signed this, and it still works. All are compared, each in
        constant time."""
        ours = [
            hmac.compare_digest(_signature(key, owner_id, photo_id, until), signature)
            for key in self._keys
        ]
        return any(ours) and self._clock() < until + CLOCK_SKEW


def _signature(key: bytes, owner_id: int, photo_id: int, until: int) -> str:
    mac = hmac.digest(key, b"%d:%d:%d" % (owner_id, photo_id, until), "sha256")
    return urlsafe_b64encode(mac).rstrip(b"=").decode()

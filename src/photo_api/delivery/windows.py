"""URLs that stay the same for a while, so that browsers and CDNs can cache what they lead to."""

from collections.abc import Callable
from sys import getsizeof
from zlib import crc32

from photo_api.byte_cache import ByteCache
from photo_api.delivery.base import SignedUrl
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import READ_URLS, URL_CACHE_BYTES

CLOCK_SKEW = 300
"""Seconds by which this instance's clock and the store's may differ, either way."""

CACHE_BYTES = 4 * 1024 * 1024
"""Some 2,000 URLs: to sign one again takes a fiftieth of the request that asks for it."""

COSTLY_CACHE_BYTES = 16 * 1024 * 1024
"""Of URLs of which signing one takes longer than the rest of a request."""

Wanted = tuple[str, ...]
"""What a URL is for; a key comes first."""


def window_within(ttl: int) -> int:
    """The longest window of which no URL works for more than `ttl` seconds after it was signed, be
    the store's clock as wrong as it may be."""
    return ttl // 2 - CLOCK_SKEW


class UrlWindows:
    """A read URL is the same during a window of `seconds`; each key's windows begin at its own
    offset, so that not all URLs of a page change at once. A URL that works for two of them, from
    the beginning of the present one, does so for at least one whenever it is handed out. Those that
    are kept take up to `cache_bytes`, mostly about 2 kB each."""

    def __init__(self, seconds: int, clock: Callable[[], float], cache_bytes: int) -> None:
        self.seconds = seconds
        self.clock = clock
        self._cache = ByteCache[Wanted, tuple[SignedUrl, int, int]](cache_bytes)
        self._reused = self.signed = 0

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._cache.size

    def watched_by(self, counts: Counts, readers: str, way: str) -> None:
        """Have the URLs to read with and their cache counted: those of the `cdn`, or of the
        `store`."""
        counts.watch(READ_URLS, readers, "cached", way, read=lambda: self._reused)
        counts.watch(READ_URLS, readers, "signed", way, read=lambda: self.signed)
        counts.watch(URL_CACHE_BYTES, readers, way, read=lambda: self._cache.size)

    def kept(self, wanted: Wanted, now: float) -> SignedUrl | None:
        """That of the present window, if it was signed before; else the caller signs one."""
        found = self._cache.get(wanted)
        if found is not None and found[1] <= now < found[2]:
            self._reused += 1
            return found[0]
        return None

    def begins(self, key: str, now: int) -> int:
        """When the key's present window has begun, in epoch seconds."""
        return now - (now - crc32(key.encode())) % self.seconds

    def keep(self, wanted: Wanted, url: str, begins: int) -> SignedUrl:
        """This one for the rest of its window."""
        signed = SignedUrl(url, self.seconds)
        until = begins + self.seconds
        self._cache.put(wanted, (signed, begins, until), sum(map(getsizeof, (url, *wanted))))
        return signed

    def forget(self) -> None:
        """What was signed by a key that is in force no more."""
        self._cache.clear()

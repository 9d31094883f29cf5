"""Read URLs that are signed once a window, and anew when what signs them has changed."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from photo_api.delivery.base import Method, SignedUrl
from photo_api.delivery.windows import CACHE_BYTES, UrlWindows


class BucketedUrls(ABC):
    """What all signers of read URLs have in common. A URL works to the end of the window after its
    own, with the clocks' skew besides."""

    binds_method = False
    """Whether a URL for a GET is none for a HEAD."""

    def __init__(
        self,
        window: int,
        clock: Callable[[], float] = time.time,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.windows = UrlWindows(window, clock, cache_bytes)
        self._signed_with = self.keys()

    @abstractmethod
    def keys(self) -> object:
        """What signs now: equal until it changes."""

    def keys_end(self) -> float | None:
        """When what signs now stops to be believed, in epoch seconds; None for never."""
        return None

    @abstractmethod
    def _signed(self, key: str, filename: str, method: Method, window: tuple[int, int]) -> str:
        """The URL of a window."""

    def read(self, key: str, *, filename: str, method: Method = "GET") -> SignedUrl:
        """A bucketed URL. `valid_for` is the window, or less if the key that signs ends before."""
        windows = self.windows
        now, keys = windows.clock(), self.keys()
        if keys is not self._signed_with and keys != self._signed_with:
            self._signed_with = keys
            windows.forget()
        wanted = (key, filename, method if self.binds_method else "GET")
        if (found := windows.kept(wanted, now)) is not None:
            return found
        window = windows.at(key, now)
        url = self._signed(key, filename, method, window)
        signed_until = self.keys_end()
        if signed_until is None or signed_until >= window[1] + windows.seconds:
            return windows.keep(wanted, url, window)
        return SignedUrl(url, max(0, min(windows.seconds, int(signed_until - now))))

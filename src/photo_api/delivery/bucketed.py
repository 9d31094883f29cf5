"""Read URLs that are signed once a window, and anew when what signs them has changed."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from photo_api.delivery.base import Method, SignedUrl
from photo_api.delivery.windows import CACHE_BYTES, UrlWindows


class BucketedUrls(ABC):
    """What all signers of read URLs have in common. A URL works to the end of the window after its
    own, with the clocks' skew besides."""

    binds_method = False
    """Whether a URL for a GET is none for a HEAD."""

    costly = False
    """Whether signing takes many times as long as keeping."""

    at_once = 400
    """How many may be signed in a row before others have their turn: about 2 ms."""

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
    def _named(self, filename: str) -> str:
        """What a URL says of a file's name."""

    @abstractmethod
    def _signed(self, key: str, named: str, method: Method, begins: int) -> str:
        """The URL of the window that begins then, with what `_named` gave."""

    def _refresh(self) -> None:
        """Forget what other keys than those of now have signed."""
        keys = self.keys()
        if keys is not self._signed_with and keys != self._signed_with:
            self._signed_with = keys
            self._forget()

    def _forget(self) -> None:
        self.windows.forget()

    def urls(self, files: Iterable[tuple[str | None, str]]) -> list[str | None]:
        """What `read` gives for a GET of each. It is kept only where signing is `costly`: a list of
        many photos would put others' out, and be put out itself before it is asked for again."""
        if self.costly:
            return [key and self.read(key, filename=name).url for key, name in files]
        windows, signed, named = self.windows, self._signed, self._named
        now = int(windows.clock())
        self._refresh()
        urls = [
            None if key is None else signed(key, named(name), "GET", windows.begins(key, now))
            for key, name in files
        ]
        windows.signed += len(urls) - urls.count(None)
        return urls

    def read(self, key: str, *, filename: str, method: Method = "GET") -> SignedUrl:
        """A bucketed URL. `valid_for` is the window, or less if the key that signs ends before."""
        windows = self.windows
        now = windows.clock()
        self._refresh()
        wanted = (key, filename, method if self.binds_method else "GET")
        if (found := windows.kept(wanted, now)) is not None:
            return found
        begins = windows.begins(key, int(now))
        url = self._signed(key, self._named(filename), method, begins)
        windows.signed += 1
        signed_until = self.keys_end()
        if signed_until is None or signed_until >= begins + 2 * windows.seconds:
            return windows.keep(wanted, url, begins)
        return SignedUrl(url, max(0, min(windows.seconds, int(signed_until - now))))

"""Pages of photos as JSON, which are kept while somebody asks for the same over and over."""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import Any

import orjson

from photo_api.byte_cache import OVERHEAD, ByteCache, Lately
from photo_api.http.json import encode, encode_within
from photo_api.http.pages import PAGE_BYTES

KEPT_SECONDS = 60.0
"""How long a presented page is given out again. Its URLs were signed to work for a whole window
and the signer's clock skew after that time."""

KEPT_BYTES = 8 * 1024 * 1024
"""Mostly about 3 kB a photo of a list, which is what its row and its JSON take."""

REMEMBERED = 4096
"""Photos of pages, none of which is kept before its page is asked for again: somewhat more than
can be kept."""


@dataclass(frozen=True, slots=True)
class Page:
    """What of a list goes into one answer: as JSON, and how many entries that are."""

    json: Sequence[orjson.Fragment] = ()
    count: int = 0

    def __len__(self) -> int:
        return self.count


TOGETHER = 50
"""Entries that are encoded in one go, before it is known whether a page holds them."""

Presented = tuple[Sequence[Any], float, Page]
"""The rows of a page, when they are presented anew, and their JSON."""


class KeptPages:
    """What one worker has presented of one kind, up to `bound` bytes."""

    def __init__(
        self, bound: int = KEPT_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._kept = ByteCache[Hashable, Presented](bound)
        self._lately = Lately[Hashable](REMEMBERED)

    async def page(
        self,
        key: Hashable,
        rows: Sequence[Any],
        present: Callable[[Sequence[Any]], Iterable[object]],
        at_once: int,
    ) -> Page:
        """What `present` makes of rows, until the page is full (see `http.pages`). What was made
        of the very same rows a moment ago is given again: people look at their newest photos over
        and over, and at most others once. `present` gets `at_once` rows at most; then others have
        their turn."""
        now, known = self._clock(), self._kept.get(key)
        if known is not None and now <= known[1] and known[0] == rows:
            return known[2]
        again = self._lately.again(key, len(rows))
        filled = _Filled()
        for first in range(0, len(rows), at_once):
            if first:
                await asyncio.sleep(0)
            if not filled.takes(list(present(rows[first : first + at_once]))):
                break
        page = Page(filled.pieces, filled.count)
        if again:
            self._kept.put(key, (rows, now + KEPT_SECONDS, page), filled.size + _size(rows))
        return page


class _Filled:
    """A page as it becomes full, in pieces of several entries: about `size` bytes."""

    def __init__(self) -> None:
        self.pieces: list[orjson.Fragment] = []
        self.count = self.size = 0

    def takes(self, entries: Sequence[object]) -> bool:
        """Whether all of these fit; else as many as do are taken, and one of them in any case."""
        for first in range(0, len(entries), TOGETHER):
            some = entries[first : first + TOGETHER]
            encoded = encode(some)
            size = len(encoded) - len(some) - 1  # without brackets and commas
            if self.size + size > PAGE_BYTES:
                at_least = 0 if self.count else 1
                fitting = encode_within(PAGE_BYTES - self.size, some, at_least)
                self.pieces += fitting
                self.count += len(fitting)
                self.size = PAGE_BYTES
                return False
            self.pieces.append(orjson.Fragment(encoded[1:-1]))
            self.count += len(some)
            self.size += size
        return True


def _size(rows: Sequence[Any]) -> int:
    """Bytes that a page's rows take, and what surrounds the JSON of each."""
    return sum(OVERHEAD + sum(map(getsizeof, row)) for row in rows)

"""A cache bounded by bytes: where clients choose the sizes of things, a number bounds nothing."""

from collections.abc import Hashable
from typing import Generic, TypeVar

REMEMBERED = 4096
"""Keys of one generation that have been asked about once."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

OVERHEAD = 500
"""Bytes that an entry takes besides what its owner counts: its places, tuples and small objects."""


class ByteCache(Generic[K, V]):
    """Keeps what was used lately, up to `bound` bytes, in two generations: a hit costs one dict
    look-up."""

    def __init__(self, bound: int) -> None:
        self._generation = bound // 2
        self._young: dict[K, tuple[V, int]] = {}
        self._old: dict[K, tuple[V, int]] = {}
        self._young_bytes = 0
        self._lately: set[K] = set()
        self._before: set[K] = set()

    def wants(self, key: K) -> bool:
        """Whether this was asked about lately: what nobody wants a second time is not worth the
        place of what somebody does, nor the time that keeping takes."""
        if key in self._lately or key in self._before:
            return True
        if len(self._lately) >= REMEMBERED:
            self._before, self._lately = self._lately, set()
        self._lately.add(key)
        return False

    def get(self, key: K) -> V | None:
        """What was put, if it is still there."""
        found = self._young.get(key)
        if found is None:
            found = self._old.pop(key, None)
            if found is None:
                return None
            self._add(key, found)
        return found[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep this; key and value take `size` bytes. What alone is too large is not kept."""
        self._young_bytes -= self._young.pop(key, (None, 0))[1]
        self._old.pop(key, None)
        if size + OVERHEAD <= self._generation:
            self._add(key, (value, size + OVERHEAD))

    def _add(self, key: K, entry: tuple[V, int]) -> None:
        if self._young_bytes + entry[1] > self._generation:
            self._old, self._young, self._young_bytes = self._young, {}, 0
        self._young[key] = entry
        self._young_bytes += entry[1]

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old, self._young_bytes = {}, {}, 0

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._young_bytes + sum(size for _, size in self._old.values())

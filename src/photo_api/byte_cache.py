"""A cache bounded by bytes: where clients choose the sizes of things, a number bounds nothing."""

from collections.abc import Hashable
from typing import Generic, TypeVar

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


class Lately(Generic[K]):
    """Remembers what was asked for, as much as weighs `bound` together, in two generations. What
    nobody asks for a second time is not worth the place of what somebody does, nor the time that
    keeping it takes."""

    def __init__(self, bound: int) -> None:
        self._generation = bound // 2
        self._young: set[K] = set()
        self._old: set[K] = set()
        self._young_weight = 0

    def again(self, key: K, weight: int) -> bool:
        """Whether this was asked for lately, which it is from now on."""
        if key in self._young:
            return True
        if self._young_weight + weight > self._generation:
            self._old, self._young, self._young_weight = self._young, set(), 0
        self._young.add(key)
        self._young_weight += weight
        return key in self._old

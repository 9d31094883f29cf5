"""Memory that parts of streams are in, kept for a moment for those that come next: 4 KiB that the
kernel clears cost as much as 8 KiB that are hashed."""

import asyncio
from dataclasses import dataclass
from mmap import MADV_DONTNEED, MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, mmap

QUIET = 1.0
"""Seconds without a use after which nothing is kept."""


@dataclass(slots=True)
class Block:
    """Addresses, of which as many bytes are in memory as were `written`."""

    memory: mmap
    written: int = 0


class PartMemory:
    """Blocks of `size` bytes. Those that are kept have at most `most` in memory."""

    def __init__(self, size: int, most: int) -> None:
        self._size = size
        self._most = most
        self._kept: list[Block] = []
        self._used = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def kept(self) -> int:
        """Bytes that are in memory for nobody."""
        return sum(block.written for block in self._kept)

    def take(self, room: int) -> Block:
        """A block with at most `room` bytes in memory, and whatever was written to them."""
        self._used = True
        if not self._kept:
            return Block(mmap(-1, self._size, MAP_PRIVATE | MAP_ANONYMOUS))
        block = self._kept.pop()
        room = _whole_pages(room)
        if block.written > room:
            block.memory.madvise(MADV_DONTNEED, room, block.written - room)
            block.written = room
        return block

    def give_back(self, block: Block, written: int) -> None:
        """It is kept if nothing can see it any more: a store that was given up may still read what
        it was given."""
        block.written = max(block.written, _whole_pages(written))
        if self.kept + block.written > self._most:
            return
        try:
            block.memory.resize(self._size)  # which changes nothing
        except BufferError:
            return
        self._kept.append(block)
        if self._timer is None:
            self._look_later()

    def keep_within(self, most: int) -> None:
        """Let go of what is more than that."""
        while self._kept and self.kept > most:
            self._kept.pop(0)

    def _look_later(self) -> None:
        self._used = False
        self._timer = asyncio.get_running_loop().call_later(QUIET, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._used:
            self._look_later()
        else:
            self._kept.clear()


def _whole_pages(size: int) -> int:
    return size + -size % PAGESIZE

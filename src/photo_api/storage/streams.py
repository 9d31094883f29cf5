"""What stores do alike with streams of bytes."""

from collections import deque
from collections.abc import AsyncIterator

PART_SIZE = 5 * 1024 * 1024
"""Bytes of a stream that are kept in memory at once; S3 takes no smaller parts."""


async def first_part(chunks: AsyncIterator[bytes]) -> tuple[deque[bytes], bool]:
    """(the chunks of the first part, whether the stream has ended within it)."""
    first: deque[bytes] = deque()
    size = 0
    async for chunk in chunks:
        first.append(chunk)
        size += len(chunk)
        if size > PART_SIZE:
            return first, False
    return first, True


async def nothing() -> AsyncIterator[bytes]:
    """A stream that ends at once."""
    return
    yield b""

"""A disk without room: the kernel itself refuses what this process writes to files."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def full_disk(room: int = 16) -> Iterator[None]:
    """Only the first bytes of a file can be written until the block ends (EFBIG, as ENOSPC an
    OSError of write)."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

"""nginx's cache of the object store, as a spec has it."""

from dataclasses import dataclass
from typing import Annotated

from photo_fleet.spec.kinds import Duration, Size

MIB, GIB, TIB = 2**20, 2**30, 2**40

EDGE_PATH = "/cdn"
"""Of images, below the address under which people reach the service."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Images through nginx, which verifies their URLs and keeps what it fetched from the store."""

    on: bool = False
    size: Annotated[int, Size(16 * MIB, 64 * TIB)] = 10 * GIB
    """The most bytes of objects on the disk; what was not asked for the longest goes first."""
    disk: Annotated[int, Size(0, 256 * TIB)] = 0
    """The file system that holds them; 0: not told, so that nothing is compared with it."""
    min_free: Annotated[int, Size(0, 64 * TIB)] = GIB
    """Bytes of that file system that stay free."""
    inactive: Annotated[float, Duration(60, 8784 * 3600, whole=True)] = 168 * 3600
    """Seconds after the last request, at which an object goes."""
    fresh: Annotated[float, Duration(1, 8784 * 3600, whole=True)] = 24 * 3600
    """Seconds after which the store is asked again, while what is there is served."""
    slice: Annotated[int, Size(64 * 1024, 64 * MIB)] = MIB
    """Bytes of an object that are fetched and kept at once."""

"""The phase a worker is in, and how many requests it has in flight."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum


class Phase(Enum):
    """What `/health` says when nothing is wrong."""

    STARTING = "starting"
    SERVING = "healthy"
    DRAINING = "draining"


class Drain:
    """One worker's explicit state: starting → serving → draining, never back."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self.in_flight = 0

    @property
    def draining(self) -> bool:
        return self.phase is Phase.DRAINING

    def serve(self) -> None:
        """Startup is done; without effect once draining."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.SERVING

    def begin(self) -> None:
        """Readiness fails from now on and answers carry `Connection: close`."""
        self.phase = Phase.DRAINING

    @contextmanager
    def request(self) -> Iterator[None]:
        """Counts one request, to the end of its body."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

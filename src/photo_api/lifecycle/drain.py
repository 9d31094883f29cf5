"""The phase a worker is in, and how many requests it has in flight."""

from enum import Enum


class Phase(Enum):
    """What `/health` says when nothing is wrong."""

    STARTING = "starting"
    SERVING = "healthy"
    DRAINING = "draining"


class Drain:
    """One worker's explicit state: starting → serving → draining, never back. `in_flight` counts
    requests to the end of their bodies."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self.in_flight = 0

    def serve(self) -> None:
        """Startup is done; without effect once draining."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.SERVING

    def begin(self) -> None:
        """Readiness fails from now on and answers carry `Connection: close`."""
        self.phase = Phase.DRAINING

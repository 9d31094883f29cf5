"""The phase a worker is in, and how many requests it has in flight."""

from enum import Enum


class Phase(Enum):
    """What `/health` says when nothing is wrong. A retiring worker leaves an instance that goes on
    serving by others."""

    STARTING = "starting"
    SERVING = "healthy"
    RETIRING = "retiring"
    DRAINING = "draining"


class Drain:
    """One worker's explicit state: starting → serving → (retiring →) draining, never back.
    `in_flight` counts requests to the end of their bodies, `served` those that ended; while
    `closing`, answers carry `Connection: close`."""

    def __init__(self) -> None:
        self.phase = Phase.STARTING
        self.in_flight = 0
        self.served = 0
        self.closing = False

    def serve(self) -> None:
        """Startup is done; without effect once draining."""
        if self.phase is Phase.STARTING:
            self.phase = Phase.SERVING

    def retire(self) -> None:
        """Another worker takes over; readiness is the instance's and stays."""
        if self.phase is not Phase.DRAINING:
            self.phase = Phase.RETIRING
            self.closing = True

    def begin(self) -> None:
        """Readiness fails from now on."""
        self.phase = Phase.DRAINING
        self.closing = True

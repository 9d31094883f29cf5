"""The phase a worker is in, and how many requests it has in flight."""

from enum import Enum


class Phase(Enum):
    """Of an instance and each of its workers, as `/health` says it when nothing is wrong. A worker
    that retires leaves an instance that serves on by others."""

    STARTING = "starting"
    SERVING = "healthy"
    RETIRING = "retiring"
    DRAINING = "draining"


class WorkerPhase:
    """One worker's phase: starting → serving → (retiring →) draining, never back. `in_flight`
    counts requests to the end of their bodies, `served` those that ended, `cut` those among them
    that the server broke off; while `closing`, answers carry `Connection: close`."""

    def __init__(self) -> None:
        self.now = Phase.STARTING
        self.in_flight = 0
        self.served = 0
        self.cut = 0
        self.closing = False

    def serve(self) -> None:
        """Startup is done; without effect once draining."""
        if self.now is Phase.STARTING:
            self.now = Phase.SERVING

    def retire(self) -> None:
        """Another worker takes over; readiness is the instance's and stays."""
        if self.now is not Phase.DRAINING:
            self.now = Phase.RETIRING
            self.closing = True

    def drain(self) -> None:
        """Readiness fails from now on."""
        self.now = Phase.DRAINING
        self.closing = True

"""What a scenario is: what stands, what load it carries, what is done to it and when, and which
gate it is held to.

Times are in seconds since the load began.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from photo_fleet.drill.clients.mix import Mix
from photo_fleet.drill.gates import Gate

STAGING = 12.0
"""Seconds that a scenario takes besides its load: its stage, the sweep and the reconciliation."""

RATE = 10.0
"""Acts a second that two instances carry on two cores, with all else that runs there."""

FROM_OUTSIDE = frozenset({"observe", "hang-up"})
"""What needs nothing but the fleet's address."""


@dataclass(frozen=True, slots=True)
class Step:
    """One fault, `at` so many seconds; a step waits for the one before to be over."""

    at: float
    fault: str
    arguments: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One experiment. `seconds` is how long the load lasts; `health_only`: the balancer learns of
    an instance's end by failing checks alone, at the interval of the spec."""

    name: str
    title: str
    gate: Gate
    steps: tuple[Step, ...]
    seconds: float
    core: bool = True
    short: bool = False
    instances: int = 2
    load: Mix = Mix(rate=RATE)
    balancers: int = 1
    health_only: bool = False

    @property
    def outside(self) -> bool:
        """Whether a fleet can be held to it of which only the address is known."""
        return all(step.fault in FROM_OUTSIDE for step in self.steps)

    @property
    def estimate(self) -> float:
        """Seconds in all."""
        return self.seconds + STAGING

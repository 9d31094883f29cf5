"""The scenarios of a stage whose store is Swift, as data: those of every drill that can be carried
out there, and those that are about Keystone."""

from photo_fleet.drill.gates import Gate
from photo_fleet.drill.scenario import Scenario, Step
from photo_fleet.drill.scenarios import SCENARIOS

TOKEN_LIFE = 40
"""Seconds for which Keystone's tokens are valid where a scenario is about their end: such a one is
renewed after 30 to 36."""
ENDING = frozenset({"tokens-expire", "tokens-expire-alone"})
"""Names of scenarios whose stage has `TOKEN_LIFE`."""
ON_SEAWEEDFS = frozenset({"rotate-credentials"})
"""Faults that are done to SeaweedFS itself."""

KEYSTONE = (
    Scenario(
        "tokens-expire", "Tokens of the store end and are renewed", Gate.LOSSLESS,
        (Step(5, "tokens-expire", {"seconds": 90}),), 100, core=False,
    ),
    Scenario(
        "keystone-down", "Keystone does not answer while tokens are valid", Gate.LOSSLESS,
        (Step(8, "keystone-down", {"seconds": 40}),), 58, core=False,
    ),
    Scenario(
        "keystone-down-boot", "An instance starts while Keystone does not answer", Gate.OUTAGE,
        (Step(8, "keystone-down-boot", {"seconds": 25}),), 70, core=False,
    ),
    Scenario(
        "tokens-expire-alone", "Tokens of the store end while Keystone does not answer",
        Gate.OUTAGE, (Step(8, "keystone-down", {"seconds": 60}),), 90, core=False,
    ),
    Scenario(
        "store-stop", "The object store is away for 20 seconds", Gate.OUTAGE,
        (Step(8, "store-stop", {"seconds": 20}),), 50, core=False,
    ),
)  # fmt: skip

SCENARIOS_ON_SWIFT = KEYSTONE + tuple(
    item for item in SCENARIOS if not ON_SEAWEEDFS & {step.fault for step in item.steps}
)

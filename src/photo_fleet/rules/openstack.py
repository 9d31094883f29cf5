"""What OpenStack cannot do of the spec, or does otherwise than it says."""

from photo_fleet.rules.findings import Rule

RULES: tuple[Rule, ...] = ()

"""What the doctor looks at, by stage, and which rules judge it, by section of the guide."""

from collections.abc import Mapping

from photo_fleet.doctor.finding import Section
from photo_fleet.doctor.looking import Look, Rule

STAGES: tuple[tuple[Look, ...], ...] = (
    # What is asked by an address alone: registry, nginx, Prometheus, files of this host.
    (),
    # What is asked of instances, once the registry has told which there are.
    (),
)
"""Looks of a stage see what the stages before it saw."""

RULES: Mapping[Section, tuple[Rule, ...]] = {
    "restarts": (),
    "traffic": (),
    "cuts": (),
    "always": (),
}

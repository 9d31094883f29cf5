"""The catalogue of a drill's scenarios, and how they are chosen from it.

How long each takes in all is an estimate on two cores.
"""

import json
from collections.abc import Sequence

from photo_fleet.drill.scenario import Scenario

DEFAULT_SEED = 1


class UnknownScenario(Exception):
    """There is none of this name, or it cannot be done here."""


def chosen(
    scenarios: Sequence[Scenario],
    *,
    everything: bool = False,
    short: bool = False,
    only: Sequence[str] = (),
    outside: bool = False,
) -> list[Scenario]:
    """Those that are asked for, in the catalogue's order: the `only` ones by name, the `short`
    subset, `everything`, or the core; on a fleet that was not staged all that can be done from
    `outside`. Raises `UnknownScenario`."""
    possible = [item for item in scenarios if item.outside or not outside]
    if only:
        unknown = sorted(set(only) - {item.name for item in possible})
        if unknown:
            names = ", ".join(item.name for item in possible) or "none"
            raise UnknownScenario(f"{', '.join(unknown)}: the scenarios here are {names}")
        return [item for item in possible if item.name in only]
    if short:
        return [item for item in possible if item.short]
    return [item for item in possible if item.core or everything or outside]


def listing(scenarios: Sequence[Scenario]) -> str:
    """What `--list` prints: one line each, then what they take together."""
    lines = [("NAME", "WHEN", "GATE", "SECONDS", "TITLE")]
    for item in scenarios:
        words = (("short", item.short), ("target", item.outside))
        when = ["core" if item.core else "all", *(word for word, applies in words if applies)]
        seconds = f"{item.estimate:.0f}"
        lines.append((item.name, ",".join(when), item.gate.value, seconds, item.title))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    core = sum(item.estimate for item in scenarios if item.core)
    every = sum(item.estimate for item in scenarios)
    return f"{text}\ncore: about {core / 60:.0f} min; with --all: about {every / 60:.0f} min\n"


def listing_json(scenarios: Sequence[Scenario]) -> str:
    """The same for machines; `seconds` in all."""
    told = [
        {
            "name": item.name,
            "title": item.title,
            "gate": item.gate.value,
            "seconds": item.estimate,
            "core": item.core,
            "short": item.short,
            "target": item.outside,
            "faults": [
                {"at": step.at, "fault": step.fault, **step.arguments} for step in item.steps
            ],
        }
        for item in scenarios
    ]
    return json.dumps({"scenarios": told}, ensure_ascii=False, indent=1) + "\n"

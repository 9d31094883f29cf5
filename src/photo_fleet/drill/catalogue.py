"""The scenarios of a drill, as data, and how they are chosen from.

How long each takes in all is an estimate on two cores.
"""

import json
from collections.abc import Collection, Sequence

from photo_fleet.drill.clients.mix import EVERYDAY, Mix
from photo_fleet.drill.gates import Gate
from photo_fleet.drill.scenario import FAULTS, Scenario, Step

LONGEST_CORE, LONGEST_ALL, LONGEST_SHORT = 20 * 60.0, 75 * 60.0, 3 * 60.0
"""Seconds that the core, all and the short subset may take."""

DEFAULT_SEED = 1

SLOW = Mix(rate=4, weights={**EVERYDAY, "slow_upload": 15, "slow_download": 15})
"""Uploads and downloads that take longer than an instance's other work."""

QUIET = Mix(rate=1)
"""Somebody is there, so that a loss would be seen, but hardly ever at the moment that counts."""

CORE = (
    Scenario(
        "scale-in-idle",
        "An instance leaves a fleet that has hardly anything to do",
        Gate.LOSSLESS,
        (Step(8, "scale", {"to": 2}),),
        30,
        instances=3,
        load=QUIET,
    ),
    Scenario(
        "scale-in",
        "An instance leaves under load",
        Gate.LOSSLESS,
        (Step(10, "scale", {"to": 2}),),
        40,
        short=True,
        instances=3,
    ),
    Scenario(
        "scale-in-slow",
        "An instance leaves during slow uploads and downloads",
        Gate.LOSSLESS,
        (Step(12, "scale", {"to": 2}),),
        50,
        instances=3,
        load=SLOW,
    ),
    Scenario(
        "deploy",
        "A rolling deploy",
        Gate.LOSSLESS,
        (Step(8, "deploy"),),
        40,
    ),
    Scenario(
        "resize",
        "From 2 instances to 10 and back",
        Gate.LOSSLESS,
        (Step(5, "scale", {"to": 10}), Step(30, "scale", {"to": 2})),
        65,
    ),
    Scenario(
        "kill-instance",
        "kill -9 of an instance",
        Gate.KILL,
        (Step(10, "kill-instance"),),
        28,
        short=True,
        instances=3,
    ),
    Scenario(
        "kill-worker",
        "kill -9 of an instance's web worker",
        Gate.KILL,
        (Step(10, "kill-worker"),),
        30,
    ),
    Scenario(
        "kill-proxy-worker",
        "kill -9 of an nginx worker",
        Gate.PROXY_KILL,
        (Step(10, "kill-proxy-worker"),),
        25,
    ),
    Scenario(
        "stop-while-starting",
        "SIGTERM to instances that are still starting",
        Gate.LOSSLESS,
        (Step(5, "stop-while-starting", {"within": 2.0, "times": 4}),),
        35,
    ),
    Scenario(
        "freeze-instance",
        "SIGSTOP of an instance",
        Gate.FREEZE,
        (Step(10, "freeze-instance", {"seconds": 25}),),
        46,
        instances=3,
    ),
    Scenario(
        "database-restart",
        "The database restarts",
        Gate.OUTAGE,
        (Step(10, "database-restart"),),
        40,
        short=True,
    ),
    Scenario(
        "database-stop",
        "The database is away for 30 seconds",
        Gate.OUTAGE,
        (Step(8, "database-stop", {"seconds": 30}),),
        55,
    ),
    Scenario(
        "store-restart",
        "The object store restarts",
        Gate.OUTAGE,
        (Step(10, "store-restart"),),
        30,
    ),
    Scenario(
        "store-errors",
        "The object store answers 5xx",
        Gate.OUTAGE,
        (
            Step(8, "store-answer", {"status": 500, "seconds": 8}),
            Step(16, "store-answer", {"status": 503, "seconds": 8}),
        ),
        37,
    ),
    Scenario(
        "store-hang",
        "The object store does not answer",
        Gate.OUTAGE,
        (Step(8, "store-hang", {"seconds": 15}),),
        40,
    ),
    Scenario(
        "boots",
        "Ten instances boot at the same moment",
        Gate.LOSSLESS,
        (Step(5, "boot", {"count": 10}),),
        40,
        load=Mix(rate=5),
    ),
    Scenario(
        "rotate-keys",
        "Keys are rotated in three rolling steps",
        Gate.LOSSLESS,
        (Step(5, "rotate-keys"),),
        70,
        load=Mix(rate=5),
    ),
    Scenario(
        "deregister-first",
        "An instance is taken out of the balancer first, then ends (beside health-only)",
        Gate.LOSSLESS,
        (Step(10, "scale", {"to": 2}),),
        35,
        instances=3,
    ),
    Scenario(
        "health-only",
        "An instance ends, and only failing health checks take it out",
        Gate.COMPARISON,
        (Step(5, "remove-by-health"),),
        102,
        instances=3,
        health_only=True,
    ),
)
"""Those of every drill."""

FURTHER = (
    Scenario(
        "steady",
        "Nothing is done to the fleet",
        Gate.LOSSLESS,
        (Step(5, "observe", {"seconds": 40}),),
        50,
        core=False,
    ),
    Scenario(
        "hang-up",
        "Clients that break off what they began",
        Gate.LOSSLESS,
        (Step(5, "hang-up", {"clients": 20, "seconds": 30}),),
        45,
        core=False,
    ),
    Scenario(
        "database-freeze",
        "SIGSTOP of the database",
        Gate.OUTAGE,
        (Step(8, "database-freeze", {"seconds": 20}),),
        55,
        core=False,
    ),
    Scenario(
        "database-limit",
        "The database allows hardly any connections",
        Gate.OUTAGE,
        (Step(8, "database-limit", {"connections": 3, "seconds": 25}),),
        55,
        core=False,
    ),
    Scenario(
        "store-throttle",
        "The object store answers 429",
        Gate.OUTAGE,
        (Step(8, "store-answer", {"status": 429, "seconds": 20}),),
        50,
        core=False,
    ),
    Scenario(
        "store-slow",
        "The object store takes 2 seconds longer",
        Gate.OUTAGE,
        (Step(8, "store-slow", {"delay": 2.0, "seconds": 25}),),
        55,
        core=False,
    ),
    Scenario(
        "store-full",
        "The object store has no room left",
        Gate.OUTAGE,
        (Step(8, "store-answer", {"status": 507, "seconds": 20, "writes": 1}),),
        50,
        core=False,
    ),
    Scenario(
        "vanish-instance",
        "An instance's machine vanishes, and its address answers nobody",
        Gate.KILL,
        (Step(8, "vanish-instance"),),
        40,
        core=False,
        instances=3,
    ),
    Scenario(
        "rotate-credentials",
        "The credentials of database and store are rotated, and nothing is restarted",
        Gate.LOSSLESS,
        (Step(5, "rotate-credentials", {"seconds": 12}),),
        60,
        core=False,
    ),
    Scenario(
        "skew-clock",
        "An instance's clock is 2 minutes ahead, then another's 2 minutes behind",
        Gate.LOSSLESS,
        (Step(5, "skew-clock", {"seconds": 120}), Step(35, "skew-clock", {"seconds": -120})),
        90,
        core=False,
    ),
    Scenario(
        "balancer-kill",
        "The balancer's process is killed and restarted, then an instance leaves",
        Gate.LOSSLESS,
        (Step(8, "balancer-kill", {"seconds": 5}), Step(20, "scale", {"to": 2})),
        60,
        core=False,
        instances=3,
    ),
    Scenario(
        "two-balancers",
        "An instance leaves behind two balancers",
        Gate.LOSSLESS,
        (Step(10, "scale", {"to": 2}),),
        45,
        core=False,
        instances=3,
        balancers=2,
    ),
    Scenario(
        "balancer-pause",
        "A balancer takes no new connections for 1 second when a member leaves",
        Gate.PAUSE,
        (Step(10, "balancer-pause", {"seconds": 1}),),
        45,
        core=False,
        instances=3,
    ),
)
"""Those that `--all` adds."""

SCENARIOS = CORE + FURTHER


class UnknownScenario(Exception):
    """There is none of this name, or it cannot be done here."""


def offered(faults: Collection[str] = FAULTS) -> list[Scenario]:
    """The scenarios of which every fault is among those that can be done."""
    return [item for item in SCENARIOS if all(step.fault in faults for step in item.steps)]


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
        when = ",".join(
            word
            for word, applies in (
                ("core" if item.core else "all", True),
                ("short", item.short),
                ("target", item.outside),
            )
            if applies
        )
        lines.append((item.name, when, item.gate.value, f"{item.estimate:.0f}", item.title))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    text = "\n".join(
        "  ".join(
            [*(word.ljust(width) for word, width in zip(line, widths, strict=False)), line[4]]
        )
        for line in lines
    )
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

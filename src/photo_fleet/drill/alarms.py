"""Which alerts a scenario should raise, and which it did: the backtest of the rules. Pure.

The drill's faults are the truth. A faultless scenario is one of the gate `lossless` or
`comparison`, unless a sink is at fault: nothing goes wrong for anybody there, so nobody is to be
told. Where something does go wrong, further alerts than those that must come may tell of its
consequences.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from photo_fleet.drill.gates import Gate
from photo_fleet.drill.records import Record

SHORTENED = 20.0
"""By so much the windows and waits of the rules are shorter beside a drill; thresholds stay, and so
does the fleet: with a larger one a drain takes longer than a target may be down."""

SECONDS_OUT = ("ReadsFail", "WritesFail")
ALL_OUT = ("DependencyDown", "NoReadyInstance", *SECONDS_OUT)

EXPECTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "kill-instance": ("InstanceLost",),
        "vanish-instance": ("InstanceLost", "TargetDown"),
        "freeze-instance": ("TargetDown",),
        "database-stop": ALL_OUT,
        "database-freeze": ALL_OUT,
        "database-limit": SECONDS_OUT,
        "commit-unanswered": ("WritesFail",),
        "store-errors": ("WritesFail",),
        "store-hang": ("WritesFail",),
        "store-throttle": ("WritesFail",),
        "store-slow": ("WritesFail",),
        "store-full": ("WritesFail",),
        "store-readonly": ("WritesFail",),
        "standby-promoted": SECONDS_OUT,
        "lagging-standby-promoted": SECONDS_OUT,
        "sinks-down": ("LogLinesDropped",),
        "cdn-down": ("CdnFailed",),
    }
)
"""By scenario; the others shall raise none, for what they do is over before anybody could act."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What came of a scenario. `after`: seconds from the first fault's begin to each alert."""

    after: Mapping[str, float]
    missed: tuple[str, ...]
    false: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was missed and nobody told for nothing."""
        return not self.missed and not self.false


def watched(record: Record, gate: Gate) -> Watched | None:
    """Hold what fired to what should have; None when nobody watched."""
    if record.alerts is None:
        return None
    began = min((fault.began for fault in record.faults), default=0.0)
    first: dict[str, float] = {}
    for one in sorted(record.alerts, key=lambda one: one.at):
        first.setdefault(one.name, round(one.at - began, 1))
    expected = EXPECTED.get(record.scenario, ())
    of_sinks = record.scenario.startswith("sinks-")
    faultless = gate in (Gate.LOSSLESS, Gate.COMPARISON) and not of_sinks
    return Watched(
        first,
        tuple(name for name in expected if name not in first),
        tuple(name for name in first if faultless and name not in expected),
    )

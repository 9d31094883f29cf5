"""A replay for machines."""

from collections.abc import Sequence
from dataclasses import asdict

from photo_fleet.replay.making import Replay
from photo_fleet.replay.outcome import MINUTE, Outcome


def body(
    replay: Replay, spec_name: str, source: str, found: Sequence[Outcome], left_out: Sequence[str]
) -> dict[str, object]:
    """What was replayed under which conditions, all outcomes, the spec's first, and what is left
    out of them."""
    traffic, conditions = replay.traffic, replay.conditions
    station = conditions.station
    return {
        "minutes": len(traffic.rates) * traffic.every / MINUTE,
        "source": source,
        "spec": spec_name,
        "start": traffic.start,
        "every_s": traffic.every,
        "unknown_steps": traffic.unknown,
        "peak": traffic.peak,
        "service_rate": station.service_rate,
        "workers": station.workers,
        "objective_s": station.objective,
        "boot_s": conditions.boot,
        "min": conditions.least,
        "max": conditions.most,
        "caveats": list(left_out),
        "policies": [_policy(one) for one in found],
    }


def _policy(outcome: Outcome) -> dict[str, object]:
    told = asdict(outcome)
    return {"name": told.pop("policy"), **told}

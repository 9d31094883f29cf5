"""The small scenarios that show what is broken, and their loads."""

from dataclasses import replace

from photo_fleet.drill.clients.mix import Mix
from photo_fleet.drill.gates import Gate
from photo_fleet.drill.scenario import Scenario, Step

SECONDS = 12.0

WRITES = Mix(rate=8, clients=8, weights={"create_album": 6, "list_photos": 1, "thumbnail": 1})
"""Writes that are under way at any moment, where creations are slow."""

UPLOADS = Mix(rate=6, clients=8, weights={"direct_upload": 1, "upload": 1, "thumbnail": 2})
"""Photos of which nobody reads the original again."""

ARRIVING = Mix(
    rate=6, clients=8, weights={"slow_upload": 2, "upload": 1, "thumbnail": 2}, slow=(2, 7)
)
"""Photos of which at any moment nothing but the last transaction is still to come."""

ONLY_WRITES = Mix(rate=16, clients=16, weights={"create_album": 1})
"""What nobody may send to another member: it meets whatever is wrong with this one."""

READS = Mix(
    rate=16, clients=16, weights={"list_photos": 2, "list_albums": 1, "thumbnail": 1}, fresh=0.8
)
"""Over connections that go to any worker of nginx, and take so little time that hardly one is open
when a worker is killed."""

UPLOADS_ALONE = Mix(rate=8, clients=8, weights={"upload": 1})
"""Requests of which each needs the store."""

EDITS = Mix(rate=6, clients=8, weights={"edit_album": 2, "list_albums": 1})

CARELESS = Mix(rate=4, clients=8, weights={"careless_upload": 1, "list_photos": 1})

FROZEN = 60.0
"""Seconds: longer than it takes to leave the members, and then to be killed and replaced, also on a
busy machine; it ends with that. One that goes on before would serve what waits for it."""


def experiment(
    name: str,
    gate: Gate,
    steps: tuple[Step, ...],
    load: Mix,
    *,
    instances: int = 2,
    seconds: float = SECONDS,
) -> Scenario:
    """One that only the self-test has."""
    return Scenario(
        name,
        "part of the self-test",
        gate,
        steps,
        seconds,
        core=False,
        instances=instances,
        load=load,
    )


def store_outage(name: str, seconds: float = SECONDS, load: Mix = UPLOADS) -> Scenario:
    step = Step(4, "store-answer", {"status": 503, "seconds": 6})
    return experiment(name, Gate.OUTAGE, (step,), load, seconds=seconds)


def edge_alone(name: str) -> Scenario:
    step = Step(4, "edge-alone", {"seconds": 5})
    return experiment(name, Gate.EDGE, (step,), READS, seconds=24)


def observed(name: str, load: Mix) -> Scenario:
    return experiment(name, Gate.LOSSLESS, (Step(4, "observe", {"seconds": 4}),), load)


def comparison(name: str, harm: str) -> Scenario:
    return experiment(name, Gate.COMPARISON, (Step(4, harm),), UPLOADS)


def scale_in(name: str) -> Scenario:
    return experiment(name, Gate.LOSSLESS, (Step(4, "scale", {"to": 2}),), WRITES, instances=3)


def freeze(name: str) -> Scenario:
    step = Step(4, "freeze-instance", {"seconds": FROZEN})
    return experiment(name, Gate.FREEZE, (step,), ONLY_WRITES, instances=3)


def proxy_kill(name: str) -> Scenario:
    return experiment(name, Gate.PROXY_KILL, (Step(4, "kill-proxy-worker"),), READS)


def pause(name: str) -> Scenario:
    step = Step(4, "balancer-pause", {"seconds": 1})
    return experiment(name, Gate.PAUSE, (step,), WRITES, instances=3)


def rotation(name: str) -> Scenario:
    step = Step(4, "rotate-credentials", {"seconds": 8})
    return experiment(name, Gate.LOSSLESS, (step,), UPLOADS, seconds=40)


def cut_one(name: str, fault: str) -> Scenario:
    step = Step(4, fault, {"seconds": 1})
    return experiment(name, Gate.FREEZE, (step,), READS, instances=3)


def sinks(name: str, fault: str) -> Scenario:
    step = Step(4, fault, {"seconds": 4})
    return experiment(name, Gate.LOSSLESS, (step,), READS, instances=3)


def unanswered(name: str) -> Scenario:
    """For longer than a statement may take, so that some commits are given up."""
    step = Step(4, "commit-unanswered", {"seconds": 16})
    return experiment(name, Gate.OUTAGE, (step,), ARRIVING, instances=3)


def read_only(name: str) -> Scenario:
    """Renditions are under way at any moment."""
    step = Step(4, "store-answer", {"status": 507, "seconds": 6, "writes": 1})
    return experiment(name, Gate.OUTAGE, (step,), replace(UPLOADS, rate=16, clients=16))


def failover(name: str, fault: str, **arguments: float) -> Scenario:
    return experiment(name, Gate.FAILOVER, (Step(4, fault, arguments),), UPLOADS)

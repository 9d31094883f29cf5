"""When an instance is ready: decided here and nowhere else.

The supervisor asks `phase_of` and writes the answer into the registry, from which balancers take
their members. Every worker asks `status_of` for `/health`, which balancers probe. systemd hears
`READY=1` earlier, when all processes run: a database that is away at boot must not end in a
restart.
"""

from collections.abc import Iterable

from photo_api.health.checks import Check
from photo_api.http.phase import Phase

READY = "healthy"
WITHOUT_WORKERS = 2.0
"""Seconds without any web worker after which an instance is not ready. Clients can wait for a
worker that is replaced at once; without one they get no answer."""


def phase_of(*, started: bool, without_workers: float, draining: bool) -> Phase:
    """An instance's phase. It has `started` once every process ran and the database had every
    migration of this release; it has had no web worker for `without_workers` seconds."""
    if draining:
        return Phase.DRAINING
    return Phase.SERVING if started and without_workers < WITHOUT_WORKERS else Phase.STARTING


def status_of(phase: Phase, required: Iterable[Check]) -> str:
    """The contract's status of an instance in this phase whose dependencies were found so; only
    `READY` is ready."""
    if phase in (Phase.STARTING, Phase.DRAINING):
        return str(phase.value)
    return READY if all(check.ok for check in required) else "unhealthy"

"""What a worker answers about its instance, as the supervisor tells every worker once a second.

A worker never asks a dependency in order to answer for its health: the answer is at hand whatever
hangs, and a storm of probes costs nothing.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from photo_api.cloud.identity import Identity
from photo_api.delivery.fleet_path import FleetPath
from photo_api.health.checks import Check, believed, found
from photo_api.health.readiness import READY, status_of
from photo_api.http.phase import WorkerPhase
from photo_api.telemetry.failures import bug
from photo_api.telemetry.logs import Logs

log = logging.getLogger(__name__)

STORAGE_TIMEOUT = 3.0


class WorkerHealth:
    """What this worker knows of its instance. `required` names the checks that decide readiness."""

    def __init__(
        self,
        identity: Identity,
        phase: WorkerPhase,
        required: tuple[str, ...],
        logs: Logs | None = None,
    ) -> None:
        self._identity = identity
        self.phase = phase
        self._required = required
        self._logs = logs
        self._checks: Mapping[str, Check] = {}
        self.about: dict[str, Any] = {}
        """What the supervisor says of the instance: its port and its number of workers."""
        self.delivery = FleetPath()
        self._ping: Callable[[], Awaitable[None]] | None = None

    def update(self, checks: Mapping[str, Check]) -> None:
        """Take the results of the supervisor's checks."""
        self._checks = checks

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """(whether this instance should get traffic, the contract's body)."""
        checks = {name: self.check(name) for name in self._required}
        status = status_of(self.phase.now, checks.values())
        body = self.body(status, {name: check.body() for name, check in checks.items()})
        return status == READY, body

    def check(self, name: str) -> Check:
        """The last result for a dependency."""
        return believed(name, self._checks.get(name))

    def log_lines(self) -> dict[str, Any]:
        """Log lines of this worker that wait for the sink or for a reader of standard error, and
        how many were lost on the way to either."""
        state = self._logs.state() if self._logs is not None else {}
        return {"ok": not (state.get("lost") or state.get("dropped")), **state}

    def body(self, status: str, checks: dict[str, Any]) -> dict[str, Any]:
        """The contract's body."""
        return {
            "status": status,
            "instance": self._identity.instance,
            "version": self._identity.version,
            "timestamp": datetime.now(UTC),
            "checks": checks,
        }

    def watch_storage(self, ping: Callable[[], Awaitable[None]]) -> None:
        """Set how this worker checks the object store when the supervisor asks for it."""
        self._ping = ping

    async def look_at_storage(self) -> Check:
        """Check the object store, within 3 s."""
        started = time.monotonic()
        error = None
        try:
            async with asyncio.timeout(STORAGE_TIMEOUT):
                if self._ping is not None:
                    await self._ping()
        except TimeoutError:
            error = f"no answer within {STORAGE_TIMEOUT:g} s"
        except Exception as failure:  # whatever it is, it is what this check reports
            error = f"{type(failure).__name__}: {failure}"[:200]
            if bug(failure):
                log.error("a check failed by a bug", exc_info=failure)
        return found(started, error)

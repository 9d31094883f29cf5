"""Liveness and readiness. One time-boxed probe per process, shared by all who ask."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from photo_api.db.connect import FAILURES, connect
from photo_api.db.migrations import applied_migrations, known_migrations
from photo_api.lifecycle.drain import Drain, Phase
from photo_api.lifecycle.identity import Identity
from photo_api.settings.dependencies import DatabaseSettings

PROBE_TIMEOUT = 1.5
FRESH = 1.0
"""Seconds for which a probe's result is given again: a storm of probes is one query a second."""


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency as it was found. `at` is on the monotonic clock."""

    ok: bool
    latency_ms: float
    at: float
    error: str | None = None

    def body(self) -> dict[str, Any]:
        age = round((time.monotonic() - self.at) * 1000)
        body = {"ok": self.ok, "latency_ms": round(self.latency_ms, 1), "age_ms": age}
        return body if self.error is None else {**body, "error": self.error}


class Health:
    """Probes the database over a connection of its own, so that a busy pool looks busy and not
    ill."""

    def __init__(self, settings: DatabaseSettings, identity: Identity, drain: Drain) -> None:
        self._settings = settings
        self._identity = identity
        self._drain = drain
        self._connection: asyncpg.Connection | None = None
        self._schema_complete = False
        self._check: Check | None = None
        self._probe: asyncio.Task[Check] | None = None

    async def readiness(self) -> tuple[bool, dict[str, Any]]:
        """(whether this instance should get traffic, the contract's body)."""
        check = await self.database()
        if self._drain.phase is not Phase.SERVING:
            status = self._drain.phase.value
        else:
            status = "healthy" if check.ok else "unhealthy"
        return status == "healthy", self.body(status, {"database": check.body()})

    def body(self, status: str, checks: dict[str, Any]) -> dict[str, Any]:
        return {
            "status": status,
            "instance": self._identity.instance,
            "version": self._identity.version,
            "timestamp": datetime.now(UTC),
            "checks": checks,
        }

    async def database(self) -> Check:
        """The database and its schema, as found within the last second."""
        if self._check is not None and time.monotonic() - self._check.at < FRESH:
            return self._check
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._probe_database())
        self._check = await asyncio.shield(self._probe)
        return self._check

    async def _probe_database(self) -> Check:
        started = time.monotonic()
        error = None
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                error = await self._ask()
        except TimeoutError:
            error = f"no answer within {PROBE_TIMEOUT:g} s"
        except FAILURES as failure:
            error = type(failure).__name__
        if error is not None:
            self.close()
        now = time.monotonic()
        return Check(error is None, (now - started) * 1000, now, error)

    async def _ask(self) -> str | None:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(
                self._settings, "photo-api probe", timeout=PROBE_TIMEOUT
            )
        await self._connection.fetchval("SELECT 1")
        if not self._schema_complete:
            applied = await applied_migrations(self._connection)
            missing = [item.name for item in known_migrations() if item.name not in applied]
            if missing:
                return f"schema incomplete, run photo-api migrate: {', '.join(missing)}"
            self._schema_complete = True
        return None

    def close(self) -> None:
        """Drop the probe's connection without a word to the server, which may be hung."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

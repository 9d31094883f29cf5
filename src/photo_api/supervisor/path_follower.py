"""The path by which the fleet delivers, on its way from the database to the web workers."""

from typing import Any

import asyncpg

from photo_api.delivery.fleet_path import FleetPath, line_of
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import CDN_FALLBACK
from photo_api.registry import cdn_paths


class PathFollower:
    """What the supervisor knows of the path. `cdn` is the CDN's address; where it is empty there is
    nothing to know."""

    def __init__(self, cdn: str, counts: Counts) -> None:
        self._cdn = cdn
        self._line = ""
        self._known = FleetPath()
        if cdn:
            counts.watch(CDN_FALLBACK, read=lambda: self._known.now == "fallback")

    async def look(self, connection: Any) -> None:
        """Ask the database, with each heartbeat. Raises one of `FAILURES`."""
        if not self._cdn:
            return
        try:
            row = await cdn_paths.path(connection, self._cdn)
        except asyncpg.UndefinedTableError:  # readiness tells of it
            return
        if row is not None:
            self._line = line_of(row)
            self._known.update(self._line)

    def command(self) -> str:
        """What tells a web worker; empty as long as nothing is known."""
        return f"delivery {self._line}" if self._line else ""

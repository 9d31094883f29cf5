"""The database and the object store of a local fleet: `photo-api embedded` as a child."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from signal import SIGTERM
from typing import Any

from photo_base.processes import CannotStart, Program, Running
from photo_fleet.local_fleet.layout import Layout

LONGEST_START = 90.0
LONGEST_STOP = 15.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where both are, and how one gets in. `pids` are those of the two servers."""

    database_url: str = field(repr=False)
    superuser_url: str = field(repr=False)
    s3_endpoint: str
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    pids: Mapping[str, int]


class Embedded:
    """Started once, and ended with this process, however that ends."""

    def __init__(self, running: Running, addresses: Addresses) -> None:
        self.running = running
        self.addresses = addresses

    @classmethod
    async def start(cls, layout: Layout, public_url: str, connections: int) -> "Embedded":
        """Start both and wait until they answer; the database takes so many `connections`. Raises
        `CannotStart`."""
        command = [sys.executable, "-m", "photo_local.command", "--with-parent"]
        command += ["--data", str(layout.embedded), "--cors-origin", public_url]
        command += ["--max-connections", str(connections)]
        log = layout.logs / "embedded.log"
        # TERM, because it has servers of its own to end; both die with it in any case.
        program = Program("embedded", command, os.environ, log, layout.data, "TERM")
        running = await Running.start(program, piped=True)
        try:
            async with asyncio.timeout(LONGEST_START):
                line = await running.first_line()
        except TimeoutError:
            line = b""
        except BaseException:
            await running.stop((SIGTERM, LONGEST_STOP))
            raise
        if not line:
            await running.stop((SIGTERM, LONGEST_STOP))
            raise CannotStart(
                f"the database and the store did not start, see {log}:\n{running.last_words()}"
            )
        return cls(running, _read(json.loads(line)))

    async def stop(self) -> None:
        """End both; what was acknowledged is kept."""
        await self.running.stop((SIGTERM, LONGEST_STOP))


def _read(told: Mapping[str, Any]) -> Addresses:
    return Addresses(
        database_url=told["database_url"],
        superuser_url=told["superuser_url"],
        s3_endpoint=told["s3_endpoint"],
        bucket=told["bucket"],
        region=told["region"],
        access_key=told["access_key"],
        secret_key=told["secret_key"],
        pids=told["pids"],
    )

"""The database and the object store of a local fleet: `photo-api embedded` as a child."""

import asyncio
import os
import sys
from collections.abc import Iterable
from signal import SIGTERM

from photo_base.embedded import EmbeddedAddresses
from photo_base.processes import CannotStart, Program, Running
from photo_fleet.local_fleet.layout import Layout

LONGEST_START = 90.0
LONGEST_STOP = 15.0


class Embedded:
    """Started once, and ended with this process, however that ends."""

    def __init__(self, running: Running, addresses: EmbeddedAddresses) -> None:
        self.running = running
        self.addresses = addresses

    @classmethod
    async def start(cls, layout: Layout, origins: Iterable[str], connections: int) -> "Embedded":
        """Start both and wait until they answer; the store takes uploads from pages of `origins`,
        the database so many `connections`. Raises `CannotStart`."""
        command = [sys.executable, "-m", "photo_local.command", "--with-parent"]
        command += ["--data", str(layout.embedded)]
        command += [part for origin in origins for part in ("--cors-origin", origin)]
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
        return cls(running, EmbeddedAddresses.parse(line))

    async def stop(self) -> None:
        """End both; what was acknowledged is kept."""
        await self.running.stop((SIGTERM, LONGEST_STOP))

"""A streaming standby of the stage's database, as a process of its own."""

import asyncio
import json
import os
import sys
from signal import SIGTERM
from urllib.parse import parse_qs, unquote, urlsplit

from photo_base.processes import CannotStart, Program, Running
from photo_fleet.local_fleet.layout import Layout

LONGEST_START = 90.0
LONGEST_STOP = 10.0
NAME = "standby"
"""By which the primary knows it."""


class Standby:
    """Running, and it answers readers; `superuser_url` leads to it by its own socket."""

    def __init__(self, running: Running, superuser_url: str) -> None:
        self._running = running
        self.superuser_url = superuser_url

    @classmethod
    async def start(cls, layout: Layout, primary_url: str, connections: int) -> "Standby":
        """Copy the primary, which listens to a socket in a folder, and follow it. Raises
        `CannotStart`."""
        parts = urlsplit(primary_url)
        [folder] = parse_qs(parts.query)["host"]
        command = [sys.executable, "-m", "photo_local.standby", "--primary", folder]
        command += ["--data", str(layout.data / "standby"), "--max-connections", str(connections)]
        environ = {**os.environ, "STANDBY_PASSWORD": unquote(parts.password or "")}
        log = layout.logs / "standby.log"
        # TERM, because it has a server of its own to end.
        program = Program("the standby", command, environ, log, layout.data, "TERM")
        running = await Running.start(program, piped=True)
        try:
            async with asyncio.timeout(LONGEST_START):
                line = await running.first_line()
            if not line:
                raise CannotStart(f"the standby did not start:\n{running.last_words()}")
        except BaseException:
            await running.stop((SIGTERM, LONGEST_STOP))
            raise
        return cls(running, json.loads(line)["superuser_url"])

    async def stop(self) -> None:
        await self._running.stop((SIGTERM, LONGEST_STOP))

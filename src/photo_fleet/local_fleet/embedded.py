"""The database and the object store of a local fleet: `photo-api embedded` as a child."""

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from signal import SIGTERM
from typing import Literal

from photo_base.embedded import EmbeddedAddresses
from photo_base.processes import CannotStart, Program, Running
from photo_fleet.local_fleet.layout import Layout

StoreKind = Literal["s3", "swift"]
STORES: Mapping[StoreKind, str] = {"s3": "SeaweedFS", "swift": "OpenStack Swift"}
LONGEST_START: Mapping[StoreKind, float] = {"s3": 90.0, "swift": 600.0}
"""Seconds; Swift and Keystone may have to be installed."""
LONGEST_STOP = 15.0


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """Which kind of store, and the seconds for which a Keystone's tokens are valid."""

    kind: StoreKind = "s3"
    token_life: int = 3600


class Embedded:
    """Started once, and ended with this process, however that ends."""

    def __init__(self, running: Running, addresses: EmbeddedAddresses) -> None:
        self.running = running
        self.addresses = addresses

    @classmethod
    async def start(
        cls, layout: Layout, origins: Iterable[str], connections: int, store: StoreOptions
    ) -> "Embedded":
        """Start both and wait until they answer; the store takes uploads from pages of `origins`,
        the database so many `connections`. Raises `CannotStart`."""
        command = [sys.executable, "-m", "photo_local.command", "--with-parent"]
        command += ["--data", str(layout.embedded)]
        command += [part for origin in origins for part in ("--cors-origin", origin)]
        command += ["--max-connections", str(connections)]
        command += ["--store", store.kind, "--token-life", str(store.token_life)]
        log = layout.logs / "embedded.log"
        # TERM, because it has servers of its own to end; both die with it in any case.
        program = Program("embedded", command, os.environ, log, layout.data, "TERM")
        running = await Running.start(program, piped=True)
        try:
            async with asyncio.timeout(LONGEST_START[store.kind]):
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

"""How an instance ends: out of the balancers first, then to the end of every request."""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Sequence

from photo_api.supervisor.child import WorkerLoad
from photo_api.supervisor.slot import Process, total

log = logging.getLogger(__name__)

ASK_BALANCERS = 0.25
QUIET = 1.0
"""Seconds without a new connection after which nobody sends any more."""

CUT = 1.0
"""Seconds beyond all limits after which a process that still runs is killed."""


async def lame_duck(
    seconds: float, processes: Sequence[Process], removed: Callable[[], Awaitable[bool]]
) -> None:
    """Serve on for `seconds`, so that balancers notice; shorter when every live balancer has said
    by `removed` that it sends nothing more, and no new connection has come for a second."""
    began = time.monotonic()
    left = False
    while time.monotonic() - began < seconds:
        pause = min(ASK_BALANCERS, max(0.0, began + seconds - time.monotonic()))
        await asyncio.sleep(pause)
        left = left or await removed()
        last = max(began, carried(processes).last_accepted)
        if left and time.monotonic() - last >= QUIET:
            waited = round(time.monotonic() - began, 1)
            log.info("every balancer let go", extra={"fields": {"lame_duck_s": waited}})
            return


async def finish(
    processes: Sequence[Process],
    running: Sequence[asyncio.Task[None]],
    listening: socket.socket,
    limit: float,
) -> bool:
    """Accept nothing more and wait until every process has finished what it began, at most `limit`
    seconds and one. Whether all ended by themselves, and as they should."""
    for process in processes:
        process.order("stop")
    # Connections that nobody has accepted yet would be reset: workers hold the socket too, and the
    # last of them closes it after it has accepted what is there.
    listening.close()
    everybody = asyncio.gather(*running, return_exceptions=True)
    await asyncio.wait([everybody], timeout=limit + CUT)
    if not everybody.done():
        names = [process.name for process in processes if process.pids]
        log.error("killed at the limit", extra={"fields": {"processes": names}})
    return everybody.done() and not any(process.failed_at_end for process in processes)


def carried(processes: Sequence[Process]) -> WorkerLoad:
    """What the instance carries, all its processes together."""
    return total([process.load for process in processes])

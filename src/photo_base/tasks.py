"""The first of several tasks to end, and the end of those that are not wanted any more."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def first(
    *waited_for: asyncio.Future[Any] | Coroutine[Any, Any, Any], timeout: float | None = None
) -> list[asyncio.Future[Any]]:
    """Wait until one of these has ended: those that have, in this order; none after `timeout`
    seconds. Tasks go on; a coroutine is cancelled when it is not among the first."""
    own = [asyncio.ensure_future(one) for one in waited_for if not isinstance(one, asyncio.Future)]
    started = iter(own)
    tasks = [one if isinstance(one, asyncio.Future) else next(started) for one in waited_for]
    try:
        await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return [task for task in tasks if task.done()]
    finally:
        await cancel(*own)


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel all, and wait for their ends. What they raise is not told."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""The first of several tasks to end, the end of those that are not wanted any more, and work that
nobody's end waits for."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

STOOD_STILL, CATCHING_UP = 0.5, 1.0
"""Seconds by which a timeout comes late to a process that was stopped, or whose machine was; and
those in which it then hears of what has happened meanwhile."""


async def first(
    *waited_for: asyncio.Future[Any] | Coroutine[Any, Any, Any], timeout: float | None = None
) -> list[asyncio.Future[Any]]:
    """Wait until one of these has ended: those that have, in this order; none after `timeout`
    seconds. Tasks go on; a coroutine is cancelled when it is not among the first. What ended while
    this process stood still has ended in time."""
    own = [asyncio.ensure_future(one) for one in waited_for if not isinstance(one, asyncio.Future)]
    started = iter(own)
    tasks = [one if isinstance(one, asyncio.Future) else next(started) for one in waited_for]
    until = time.monotonic() + (timeout or 0.0)
    try:
        ended, _ = await asyncio.wait(tasks, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if not ended and time.monotonic() - until > STOOD_STILL:
            more = CATCHING_UP
            await asyncio.wait(tasks, timeout=more, return_when=asyncio.FIRST_COMPLETED)
        return [task for task in tasks if task.done()]
    finally:
        await cancel(*own)


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel all, and wait for their ends. What they raise is not told."""
    if tasks:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def beside(work: Callable[[], T], name: str) -> T:
    """Do this in a thread of its own, which neither a caller that is cancelled waits for nor the
    process's end. Raises what `work` raises, and OSError when no thread can be started."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:
            failure = error
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, result, failure)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError as error:
        raise OSError(str(error)) from error
    return await done

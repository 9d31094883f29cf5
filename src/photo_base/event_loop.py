"""The event loop of processes that must end in time whatever a name server does.

asyncio looks names up in a pool of few threads, and waits for them at its end: a name server that
does not answer would hold up whoever else looks something up, and the end of the process.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

MOST_HANGING = 8
"""Threads that may be looking one name up at a time."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """As `asyncio.run`, but that look-ups of names that hang are not waited for at the end."""
    with asyncio.Runner(loop_factory=EventLoop) as runner:
        return runner.run(work)


class EventLoop(asyncio.SelectorEventLoop):
    """Looks each name up in a thread of its own that nobody waits for."""

    async def getaddrinfo(self, host: Any, port: Any, **how: int) -> list[Any]:
        """As of `socket`. Raises OSError, also while `MOST_HANGING` look-ups of this name hang."""
        name = f"look-up of {host!r}"
        if sum(thread.name == name for thread in threading.enumerate()) >= MOST_HANGING:
            raise OSError(f"{MOST_HANGING} look-ups of this name hang already")
        found: asyncio.Future[list[Any]] = self.create_future()

        def tell(settle: Callable[[Any], None], result: Any) -> None:
            if not found.done():
                settle(result)
                found.exception()  # nobody may be left to hear of it

        def look_up() -> None:
            try:
                told: tuple[Any, Any] = found.set_result, socket.getaddrinfo(host, port, **how)
            except Exception as error:
                told = found.set_exception, error
            with suppress(RuntimeError):  # the loop has ended
                self.call_soon_threadsafe(tell, *told)

        threading.Thread(target=look_up, name=name, daemon=True).start()
        return await found

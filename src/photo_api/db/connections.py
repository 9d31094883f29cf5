"""The connections of one process: lent, idle, and given up when they are old.

The driver's pool makes a task, futures, timers and a proxy each time that it lends one, which takes
as long as half a statement. Here lending one that is idle and taking it back are plain calls.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg

IDLE_LIFETIME = 300.0
"""Seconds after which a connection that nobody wanted is closed."""

LIFETIME = 1800.0
"""Seconds after which one that comes back is not lent again: what its server process has kept in
memory goes with it."""


@dataclass(slots=True)
class _Kept:
    connection: asyncpg.Connection
    generation: int
    made: float = field(default_factory=time.monotonic)
    since: float = 0.0
    """When it came back."""


class Connections:
    """At most `size` at the same time, made by `connect` when none is idle. The one that came back
    last is lent first, so that those grow old that are not needed."""

    def __init__(self, size: int, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        self._size = size
        self._connect = connect
        self._places = asyncio.Semaphore(size)
        self._idle: list[_Kept] = []  # by `since`
        self._lent: dict[asyncpg.Connection, _Kept] = {}
        self._generation = 0
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_at_hand(self) -> bool:
        """Whether `take` will most likely wait for nothing."""
        return bool(self._idle) and not self._places.locked()

    @property
    def in_use(self) -> int:
        return sum(not one.is_closed() for one in self._lent)

    @property
    def idle(self) -> int:
        return sum(not one.connection.is_closed() for one in self._idle)

    async def take(self) -> asyncpg.Connection:
        """One that is nobody else's until it is given back. Waits for as long as all are lent, and
        for `connect`, whose exceptions it raises."""
        await self._places.acquire()
        try:
            kept = self._newest() or await self._new()
        except BaseException:
            self._places.release()
            raise
        self._lent[kept.connection] = kept
        return kept.connection

    def give_back(self, connection: asyncpg.Connection) -> None:
        """For the next, unless it is closed, in a transaction that nobody has ended, or old."""
        kept = self._lent.pop(connection)
        kept.since = time.monotonic()
        if connection.is_closed():
            pass
        elif (
            kept.generation != self._generation
            or kept.since - kept.made > LIFETIME
            or connection.is_in_transaction()
        ):
            connection.terminate()
        else:
            self._idle.append(kept)
            if self._timer is None:
                self._sweep_after(IDLE_LIFETIME)
        self._places.release()

    def expire(self) -> None:
        """Lend none of these again."""
        self._generation += 1
        self._terminate_idle(len(self._idle))

    async def close(self, patience: float) -> None:
        """Lend none any more and close all, those that are lent as well after so many seconds."""
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            async with asyncio.timeout(patience):
                for _ in range(self._size):
                    await self._places.acquire()
                await asyncio.gather(*(one.connection.close() for one in self._idle))
        finally:
            for connection in [*self._lent]:
                connection.terminate()
            self._terminate_idle(len(self._idle))

    def _newest(self) -> _Kept | None:
        if self._closing:
            raise asyncpg.InterfaceError("the pool is closed")
        while self._idle:
            kept = self._idle.pop()
            if not kept.connection.is_closed():
                return kept
        return None

    async def _new(self) -> _Kept:
        generation = self._generation
        return _Kept(await self._connect(), generation)

    def _sweep_after(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        too_old = time.monotonic() - IDLE_LIFETIME
        self._terminate_idle(sum(one.since <= too_old for one in self._idle))
        if self._idle:
            self._sweep_after(self._idle[0].since - too_old)

    def _terminate_idle(self, number: int) -> None:
        """Those that have been idle for longest."""
        for kept in self._idle[:number]:
            kept.connection.terminate()
        del self._idle[:number]

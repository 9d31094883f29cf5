"""The connections of one process: lent, idle, and given up when they are old.

The driver's pool makes a task, futures, timers and a proxy each time that it lends one, which takes
as long as half a statement. Here lending one that is idle and taking it back are plain calls.
"""

import asyncio
import time
from collections import deque
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
    last is lent first, so that those grow old that are not needed. Nobody waits for more than
    `patience` seconds."""

    def __init__(
        self, size: int, patience: float, connect: Callable[[], Awaitable[asyncpg.Connection]]
    ) -> None:
        self._size = size
        self._connect = connect
        self._turns = Turns(size, patience)
        self._idle: list[_Kept] = []  # by `since`
        self._lent: dict[asyncpg.Connection, _Kept] = {}
        self._generation = 0
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def in_use(self) -> int:
        return sum(not one.is_closed() for one in self._lent)

    @property
    def idle(self) -> int:
        return sum(not one.connection.is_closed() for one in self._idle)

    def take_at_once(self) -> asyncpg.Connection | None:
        """An idle one, as `take` would give it without a wait; None where it would have to wait."""
        if not self._idle or not self._turns.take_at_once():
            return None
        kept = None if self._closing else self._newest()
        if kept is None:
            self._turns.give_back()
            return None
        self._lent[kept.connection] = kept
        return kept.connection

    async def take(self) -> asyncpg.Connection:
        """One that is nobody else's until it is given back. Waits while all are lent, and for
        `connect`, whose exceptions it raises, or TimeoutError."""
        deadline = await self._turns.take()
        try:
            kept = self._newest() or await self._new(deadline)
        except BaseException:
            self._turns.give_back()
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
        self._turns.give_back()

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
                    await self._turns.take()
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

    async def _new(self, deadline: float) -> _Kept:
        generation = self._generation
        async with asyncio.timeout_at(deadline):
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


class Turns:
    """`size` places. Who finds none free waits behind those who came before, `patience` seconds at
    most. All have the same patience, so who comes first gives up first: one timer does for all of
    them, where one for each would cost more than all else of a turn."""

    def __init__(self, size: int, patience: float) -> None:
        self._free = size
        self._patience = patience
        self._waiting = deque[tuple[float, asyncio.Future[bool]]]()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_free(self) -> bool:
        """Whether there is a place for who takes one now."""
        return self._free > 0

    def take_at_once(self) -> bool:
        """Whether there was a place free, which is the caller's until `give_back`."""
        if self._free:
            self._free -= 1
            return True
        return False

    async def take(self) -> float:
        """A place until `give_back`; when the taker's patience ends, by the loop's clock. Raises
        TimeoutError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        if self.take_at_once():
            return deadline
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.append((deadline, turn))
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._give_up)
        try:
            if not await turn:
                raise TimeoutError
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.result():  # was given a place in this very moment
                self.give_back()
            raise
        return deadline

    def give_back(self) -> None:
        """To the first that waits and has not gone."""
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(True)
                return
        self._free += 1

    def _give_up(self) -> None:
        loop, self._timer = asyncio.get_running_loop(), None
        while self._waiting:
            deadline, turn = self._waiting[0]
            if deadline > loop.time() and not turn.done():
                self._timer = loop.call_at(deadline, self._give_up)
                return
            self._waiting.popleft()
            if not turn.done():
                turn.set_result(False)

"""Memory for streams on their way to the store: one budget of bytes for all of a process.

A stream takes the room of a part before it reads one, and reads no further while it waits: TCP
holds its client up. The network that has least is served first, and of it whoever waits longest, so
that short streams do not starve behind long ones. One party has half of the budget at most. While
others wait, a stream that fills its part too slowly gives way, and so does one of a network that
has more than theirs.
"""

import asyncio
import sys
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Container
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from photo_api.storage.part_memory import Block, PartMemory

PART_SIZE = 5 * 1024 * 1024
"""Bytes of a stream that are sent at once; S3 takes no smaller parts."""

PARTS_HELD = 3
"""Of one stream, in memory: while they are sent, or one is and the next is filled."""

KEPT = 4 * PART_SIZE
"""Bytes of memory that are kept for the next parts, as far as there is room for as many."""

LONGEST_WAIT = 30.0
"""Seconds that a stream waits for room."""

SLOWEST, PATIENCE = 64 * 1024, 5.0
"""Bytes a second below which a stream gives way to others that wait, and the seconds that it has in
any case."""

TURN = 10.0
"""Seconds that a stream waits while another network has more than its own, of which the slowest
then gives way, however fast it is."""


Chunk = bytes | memoryview
"""Some bytes of a stream."""


class NoRoom(Exception):
    """There was no room for a part within `LONGEST_WAIT`."""


class GaveWay(Exception):
    """Others waited for the room of a part that was filled too slowly."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """For so much room, `since` then by the loop's clock."""

    party: str
    network: str
    room: int
    since: float


class Filling:
    """A part that is being filled, and the room that is held for it."""

    def __init__(self, party: str, room: int, limit: asyncio.Timeout) -> None:
        self.party = party
        self.room = room
        self.size = 0
        """Bytes that have come."""
        self._limit = limit
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()

    @property
    def patient_until(self) -> float:
        """It has so long in any case; by the loop's clock."""
        return self._began + PATIENCE

    @property
    def due(self) -> float:
        """When it will have been too slow, if no more comes."""
        return max(self.patient_until, self._began + self.size / SLOWEST)

    def rate(self) -> float:
        """Bytes a second."""
        return self.size / max(self._clock() - self._began, 0.001)

    def hurry(self, end: float | None) -> None:
        """When it gives way, if it does."""
        if not self._limit.expired() and self._limit.when() != end:
            self._limit.reschedule(end)

    @property
    def hurries(self) -> bool:
        return self._limit.when() is not None

    def forget(self) -> None:
        """Its task: an error of that, whose frames have this, would keep what it has."""
        del self._limit


class Budget:
    """`most` bytes; at least two parts, so that one party has one. Parties have networks."""

    def __init__(self, most: int, network_of: Callable[[str], str] = str) -> None:
        self._most = max(most, 2 * PART_SIZE)
        self._network_of = network_of
        self._held: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], _Waiting] = {}
        self._filling: set[Filling] = set()
        self.memory = PartMemory(PART_SIZE, KEPT)

    @property
    def held(self) -> int:
        """Bytes that are taken."""
        return self._held.total()

    def take_now(self, party: str, room: int) -> bool:
        """Whether there was room, and nobody waits for any."""
        there = not self._waiting and self._has_room(party, room) and self.held + room <= self._most
        if there:
            self._hold(party, room)
        return there

    async def take(self, party: str, room: int) -> None:
        """In turn. Raises `NoRoom`."""
        if self.take_now(party, room):
            return
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting[turn] = _Waiting(party, self._network_of(party), room, loop.time())
        self._hand_out()
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                await turn
        except BaseException as error:
            if self._waiting.pop(turn, None) is None:  # it came at the same moment
                self.give_back(party, room)
            else:
                self._hand_out()
            if isinstance(error, TimeoutError):
                raise NoRoom from None
            raise

    def _hold(self, party: str, room: int) -> None:
        self._held[party] += room
        self.memory.keep_within(self._most - self.held)

    def give_back(self, party: str, room: int) -> None:
        self._held[party] -= room
        if not self._held[party]:
            del self._held[party]
        self._hand_out()

    @asynccontextmanager
    async def filling(self, party: str, room: int) -> AsyncIterator[Filling]:
        """While this is entered, the client is waited for. Raises `GaveWay`."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                filling = Filling(party, room, limit)
                self._filling.add(filling)
                self._hand_out()
                try:
                    yield filling
                finally:
                    self._filling.discard(filling)
                    filling.forget()
                    self._hand_out()
        except TimeoutError:
            if limit.expired():
                raise GaveWay from None
            raise

    def came(self, filling: Filling, size: int) -> None:
        """Note that there are so many bytes more in it."""
        filling.size += size
        if filling.hurries:
            self._hand_out()

    def _has_room(self, party: str, room: int) -> bool:
        """In its half."""
        return self._held[party] + room <= self._most // 2

    def _hand_out(self) -> None:
        """To those who wait, in their order: nobody passes one who waits for the same room."""
        full: set[str] = set()
        first: _Waiting | None = None
        while first is None and (turn := self._next_turn(full)) is not None:
            waiting = self._waiting[turn]
            if self.held + waiting.room > self._most:
                full.update(self._held)
                first = waiting
            else:
                del self._waiting[turn]
                self._hold(waiting.party, waiting.room)
                turn.set_result(None)
        self._hurry(full, first)

    def _next_turn(self, full: set[str]) -> asyncio.Future[None] | None:
        """Of the network that has least, the one that waits longest. Parties that have their half
        are passed, and noted."""
        found, least = None, 0
        for turn, waiting in self._waiting.items():
            if turn.done():
                continue  # it was cancelled
            if not self._has_room(waiting.party, waiting.room):
                full.add(waiting.party)
            if waiting.party in full:
                continue
            held = self._held_in(waiting.network)
            if found is None or held < least:
                found, least = turn, held
        return found

    def _hurry(self, parties: Container[str], first: _Waiting | None) -> None:
        """Of what these parties fill, one gives way: whose end is next, or of several the
        slowest."""
        ends = {
            filling: self._end(filling, first)
            for filling in self._filling
            if filling.party in parties
        }
        loser = min(ends, key=lambda filling: (ends[filling], filling.rate()), default=None)
        for filling in self._filling:
            filling.hurry(ends[filling] if filling is loser else None)

    def _end(self, filling: Filling, first: _Waiting | None) -> float:
        """When it gives way, to the `first` of those that wait for anybody's room: then its network
        would have no less than the other's."""
        if first is None:
            return filling.due
        left = self._held_in(self._network_of(filling.party)) - filling.room
        if left < self._held_in(first.network) + first.room:
            return filling.due
        return min(filling.due, max(filling.patient_until, first.since + TURN))

    def _held_in(self, network: str) -> int:
        return sum(held for one, held in self._held.items() if self._network_of(one) == network)


@dataclass(frozen=True, slots=True)
class Share:
    """What one stream may take of a budget: it is of `party`, and has at most `longest` bytes."""

    budget: Budget
    party: str
    longest: int


@dataclass(slots=True, eq=False)
class _Held:
    """A part that has room, and a reference to what of it was lent, which tells its end."""

    block: Block
    part: memoryview
    lent: "weakref.ref[memoryview] | None" = None


class Parts:
    """A stream, cut into parts that have room until they are let go, when nothing may look at them
    any more."""

    def __init__(self, chunks: AsyncIterator[Chunk], share: Share | None) -> None:
        """Without a `share` it has a budget of its own."""
        self._chunks = chunks
        self._budget = share.budget if share else Budget(4 * PART_SIZE)
        self._party = share.party if share else ""
        self._left = share.longest if share else sys.maxsize
        self._rest = memoryview(b"")
        self._held: list[_Held] = []
        self._fewer = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self.ended = False

    async def next(self) -> memoryview | None:
        """`PART_SIZE` bytes, fewer at the end; None beyond it. Raises `NoRoom`, `GaveWay`."""
        if not await self._more():
            return None
        room = min(PART_SIZE, self._left) or PART_SIZE
        await self._budget.take(self._party, room)
        return await self._filled(room)

    async def next_lent(self) -> memoryview | None:
        """The same lent, once fewer than `PARTS_HELD` are held; waited for without end, as long as
        whoever has them keeps them and this is not closed."""
        while len(self._held) >= PARTS_HELD and not self._closed:
            self._fewer.clear()
            await self._fewer.wait()
        if self._closed:
            raise ConnectionAbortedError("nobody wants the rest")
        part = await self.next()
        return None if part is None else self.lend(part)

    def lend(self, part: memoryview) -> memoryview:
        """A part for somebody who drops it when it was sent, in any thread: then it is let go."""
        lent = memoryview(part)
        for held in self._held:
            if held.part is part:
                held.lent = weakref.ref(lent, partial(self._dropped, held))
        return lent

    def _dropped(self, held: _Held, _: object) -> None:
        with suppress(RuntimeError):  # there is no loop any more
            self._loop.call_soon_threadsafe(self._let_go, held)

    async def rest(self) -> AsyncIterator[bytes]:
        """What has made no part yet, chunk by chunk."""
        while await self._more():
            chunk, self._rest = self._rest, memoryview(b"")
            yield bytes(chunk)

    def let_go(self) -> None:
        """Give back the room of all parts."""
        while self._held:
            self._let_go(self._held[0])

    def _let_go(self, held: _Held) -> None:
        if held not in self._held:
            return  # it was closed meanwhile
        self._held.remove(held)
        held.lent = None  # it would keep this
        size = len(held.part)
        with suppress(BufferError):  # somebody reads it still, and it is theirs alone
            held.part.release()
            self._budget.memory.give_back(held.block, size)
        self._budget.give_back(self._party, size)
        self._fewer.set()

    def close(self) -> None:
        """Give back all room; what is filled still, since nobody can stop it, gets none."""
        self._closed = True
        self._rest = memoryview(b"")
        self.let_go()
        self._fewer.set()

    async def _filled(self, room: int) -> memoryview | None:
        block = self._budget.memory.take(room)
        part = memoryview(block.memory)[:room]
        try:
            async with self._budget.filling(self._party, room) as filling:
                while filling.size < room and await self._more():
                    came = self._rest[: room - filling.size]
                    self._rest = self._rest[len(came) :]
                    part[filling.size : filling.size + len(came)] = came
                    self._budget.came(filling, len(came))
        except BaseException:
            part.release()
            self._budget.memory.give_back(block, room)
            self._budget.give_back(self._party, room)
            raise
        part = part[: filling.size]
        self._budget.give_back(self._party, room - len(part))
        self._left = max(0, self._left - len(part))
        if self._closed:
            self._budget.give_back(self._party, len(part))
        else:
            self._held.append(_Held(block, part))
        if not self._left:  # it should be the end
            await self._more()
        return part

    async def _more(self) -> bool:
        """Whether there is another byte."""
        while not self._rest and not self.ended:
            chunk = await anext(self._chunks, None)
            self.ended = chunk is None
            self._rest = memoryview(chunk or b"")
        return not self.ended

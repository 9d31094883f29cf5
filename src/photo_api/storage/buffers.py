"""Memory for streams on their way to the store: one budget of bytes for all of a process.

A stream takes the room of a part before it reads one, and reads no further while it waits: TCP
holds its client up. Whoever waits longest is served first, so that short streams do not starve
behind long ones. One party has half of the budget at most, and while others wait, a stream that
fills its part too slowly gives way.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from dataclasses import dataclass

PART_SIZE = 5 * 1024 * 1024
"""Bytes of a stream that are sent at once; S3 takes no smaller parts."""

PIECE = 256 * 1024
"""Bytes of a stream that are read before there is room for them."""

LONGEST_WAIT = 30.0
"""Seconds that a stream waits for room."""

SLOWEST, PATIENCE = 64 * 1024, 5.0
"""Bytes a second below which a stream gives way to others that wait, and the seconds that it has in
any case."""


class NoRoom(Exception):
    """There was no room for a part within `LONGEST_WAIT`."""


class GaveWay(Exception):
    """Others waited for the room of a part that was filled too slowly."""


class Filling:
    """A part that is being filled."""

    def __init__(self, part: bytearray, party: str, limit: asyncio.Timeout) -> None:
        self.party = party
        self._part = part
        self._limit = limit
        self._began = asyncio.get_running_loop().time()

    @property
    def due(self) -> float:
        """When it will have been too slow, if no more comes; by the loop's clock."""
        return self._began + max(PATIENCE, len(self._part) / SLOWEST)

    def hurry(self, now: bool) -> None:
        """Whether it ends when it is due."""
        if not self._limit.expired():
            self._limit.reschedule(self.due if now else None)

    def end(self) -> None:
        """Forget the task: an error of it, whose frames have this, would keep the part."""
        del self._limit

    def came(self) -> None:
        """Note that there are more bytes in it."""
        if self._limit.when() is not None:
            self.hurry(True)


class Budget:
    """`most` bytes; at least two parts, so that one party has one."""

    def __init__(self, most: int) -> None:
        self._most = max(most, 2 * PART_SIZE)
        self._held: Counter[str] = Counter()
        self._waiting: dict[asyncio.Future[None], tuple[str, int]] = {}
        self._filling: set[Filling] = set()

    @property
    def held(self) -> int:
        """Bytes that are taken."""
        return self._held.total()

    def take_now(self, party: str, room: int) -> bool:
        """Whether there was room, and nobody waits for any."""
        there = not self._waiting and self._fits(party, room)
        if there:
            self._held[party] += room
        return there

    async def take(self, party: str, room: int) -> None:
        """In turn. Raises `NoRoom`."""
        if self.take_now(party, room):
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = party, room
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

    def give_back(self, party: str, room: int) -> None:
        self._held[party] -= room
        if not self._held[party]:
            del self._held[party]
        self._hand_out()

    @asynccontextmanager
    async def filling(self, part: bytearray, party: str) -> AsyncIterator[Filling]:
        """While this is entered, `part` is filled. Raises `GaveWay`."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                filling = Filling(part, party, limit)
                self._filling.add(filling)
                self._hand_out()
                try:
                    yield filling
                finally:
                    self._filling.discard(filling)
                    filling.end()
                    self._hand_out()
        except TimeoutError:
            if limit.expired():
                raise GaveWay from None
            raise

    def _fits(self, party: str, room: int) -> bool:
        return self._held[party] + room <= self._most // 2 and self.held + room <= self._most

    def _hand_out(self) -> None:
        """To those who wait, in their order: nobody passes one who waits for the same room."""
        full: set[str] = set()
        for turn, (party, room) in list(self._waiting.items()):
            if turn.done():
                continue  # it was cancelled
            if party not in full and self._fits(party, room):
                del self._waiting[turn]
                self._held[party] += room
                turn.set_result(None)
            elif self.held + room > self._most:
                full.update(self._held)
                break
            else:
                full.add(party)
        self._hurry(full)

    def _hurry(self, parties: Container[str]) -> None:
        """Of what these parties fill, the slowest gives way when it is due."""
        rivals = [filling for filling in self._filling if filling.party in parties]
        slowest = min(rivals, key=lambda filling: filling.due, default=None)
        for filling in self._filling:
            filling.hurry(filling is slowest)


@dataclass(frozen=True, slots=True)
class Share:
    """What one stream may take of a budget: it is of `party`, and has at most `longest` bytes."""

    budget: Budget
    party: str
    longest: int


class Parts:
    """A stream, cut into parts that have room until they are let go."""

    def __init__(self, chunks: AsyncIterator[bytes], share: Share | None) -> None:
        """Without a `share` it has a budget of its own."""
        self._chunks = chunks
        self._budget = share.budget if share else Budget(4 * PART_SIZE)
        self._party = share.party if share else ""
        self._left = share.longest if share else sys.maxsize
        self._rest = memoryview(b"")
        self._rooms: list[int] = []
        self._closed = False
        self.ended = False

    async def next(self, size: int = PART_SIZE) -> bytearray | None:
        """`size` bytes, fewer at the end; None beyond it. Raises `NoRoom`, `GaveWay`."""
        if not await self._more():
            return None
        room = self._room(size)
        await self._budget.take(self._party, room)
        return await self._filled(room)

    async def next_now(self) -> bytearray | None:
        """The next part if there is room for it now; otherwise its first piece. None beyond the
        end."""
        if not await self._more():
            return None
        room = self._room(PART_SIZE)
        if self._budget.take_now(self._party, room):
            return await self._filled(room)
        piece, self._rest = bytearray(self._rest[:PIECE]), self._rest[PIECE:]
        return piece

    async def rest(self) -> AsyncIterator[bytes]:
        """What has made no part yet, chunk by chunk."""
        while await self._more():
            chunk, self._rest = self._rest, memoryview(b"")
            yield bytes(chunk)

    def let_go(self, *, but: int = 0) -> None:
        """Give back the room of all parts, but for the last ones."""
        while len(self._rooms) > but:
            self._budget.give_back(self._party, self._rooms.pop(0))

    def close(self) -> None:
        """Give back all room; what is filled still, since nobody can stop it, gets none."""
        self._closed = True
        self._rest = memoryview(b"")
        self.let_go()

    def _room(self, size: int) -> int:
        return min(size, self._left) or size

    async def _filled(self, room: int) -> bytearray | None:
        part = bytearray()
        try:
            async with self._budget.filling(part, self._party) as filling:
                while len(part) < room and await self._more():
                    wanted = room - len(part)
                    part += self._rest[:wanted]
                    self._rest = self._rest[wanted:]
                    filling.came()
        except BaseException:
            self._budget.give_back(self._party, room)
            raise
        self._budget.give_back(self._party, room - len(part))
        self._rooms.append(len(part))
        self._left = max(0, self._left - len(part))
        if self._closed:
            self.let_go()
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

"""The counts of a web worker or the job worker on their way to the supervisor, and back: it alone
knows those of all processes, and writes them down when Prometheus asks a web worker."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress

from photo_api.metrics.counts import Counts, Gauges, gauges_line
from photo_api.metrics.declared import CPU_SECONDS, RESIDENT_MEMORY
from photo_api.own_process import cpu_seconds, resident_bytes

log = logging.getLogger(__name__)

REPORT_INTERVAL = 1.0
PATIENCE = 2.0
"""Seconds that a scrape waits for the supervisor: fewer than Prometheus waits for a scrape."""

FLEET_TIMEOUT = 3.0
LAST_REPORT = 0.5
MOST_WAITING = 32
PIECE = 32 * 1024


class NoAnswer(Exception):
    """The supervisor has not sent the metrics in time."""


class Reporting:
    """What one process has counted, and its link to the supervisor by `send`. `role` is what the
    processes of its kind are together: `web` or `jobs`."""

    def __init__(self, role: str, send: Callable[[str], Awaitable[None]]) -> None:
        self.counts = Counts()
        self.role = role
        self.children: Callable[[], Sequence[int]] = tuple
        """Ids of the processes that work for this one, and count as it."""
        self.read_fleet: Callable[[], Awaitable[Gauges]] | None = None
        """How a web worker reads the numbers of the whole fleet, once it can."""
        self.counts.watch(CPU_SECONDS, role, read=lambda: cpu_seconds(self.children()))
        self.counts.watch(RESIDENT_MEMORY, role, read=self._resident)
        self._send = send
        self._asked = self._waiting = 0
        self._pieces: dict[int, str] = {}
        self._complete: asyncio.Future[str] | None = None
        self._scrapes: dict[bool, asyncio.Task[str]] = {}

    async def report(self) -> None:
        """Send what is new. What is not sent, since the supervisor takes nothing, stays."""
        for message in self.counts.take():
            try:
                await self._send(f"counts {message}")
            except BaseException:
                self.counts.merge(message)
                raise
        await self._send(f"gauges {gauges_line(self.counts.gauges())}")

    def _resident(self) -> int:
        return resident_bytes() + sum(map(resident_bytes, self.children()))

    async def keep(self) -> None:
        """Report until cancelled."""
        while True:
            await self.report()
            await asyncio.sleep(REPORT_INTERVAL * random.uniform(0.9, 1.1))

    async def close(self) -> None:
        """Send the last; a supervisor that takes nothing is not waited for for long."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_REPORT):
                await self.report()

    def last_word(self) -> Iterator[str]:
        """What was counted since the last report, such as log lines that were lost when the log
        was closed, and that this is all."""
        yield from (f"counts {message}" for message in self.counts.take())
        yield "told"

    def look_at_fleet(self, asked: str) -> None:
        """Read the fleet's numbers and send them as the answer to this question; when that fails
        there are none, for now."""
        self._looking = asyncio.create_task(self._look_at_fleet(asked))

    async def _look_at_fleet(self, asked: str) -> None:
        if self.read_fleet is None:
            return
        try:
            async with asyncio.timeout(FLEET_TIMEOUT):
                gauges = await self.read_fleet()
        except Exception as error:  # an outage is told of by the checks
            log.debug("the fleet's numbers cannot be read: %s", type(error).__name__)
            return
        with suppress(OSError):  # the supervisor is gone, and so is this process in a moment
            await self._send(f"fleet {asked} {gauges_line(gauges)}")

    async def scrape(self, *, openmetrics: bool) -> str:
        """The metrics of all processes of this instance, asked for once for all who want them now,
        of whom `MOST_WAITING` may wait. Raises `NoAnswer`."""
        if self._waiting >= MOST_WAITING:
            raise NoAnswer
        self._waiting += 1
        try:
            return await self._shared(openmetrics)
        finally:
            self._waiting -= 1

    async def _shared(self, openmetrics: bool) -> str:
        running = self._scrapes.get(openmetrics)
        if running is None or running.done():
            running = asyncio.create_task(self._ask(openmetrics))
            self._scrapes[openmetrics] = running
        return await asyncio.shield(running)

    async def _ask(self, openmetrics: bool) -> str:
        other = self._scrapes.get(not openmetrics)
        if other is not None and not other.done():
            await asyncio.wait([other])  # the two would get each other's pieces
        self._asked += 1
        self._pieces.clear()
        self._complete = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(PATIENCE):
                await self.report()
                await self._send(f"scrape {self._asked} {int(openmetrics)}")
                return await self._complete
        except (TimeoutError, OSError):
            raise NoAnswer from None
        finally:
            self._complete = None
            self._pieces.clear()

    def take_piece(self, value: str) -> None:
        """Take what the command `metrics-N` brings of an answer, as `pieces` made it."""
        head, _, text = value.partition("\n")
        with suppress(ValueError):
            asked, number, of = map(int, head.split())
            if self._complete is None or self._complete.done() or asked != self._asked:
                return
            self._pieces[number] = text
            if len(self._pieces) == of:
                self._complete.set_result("".join(self._pieces[index] for index in range(of)))


def pieces(asked: str, text: str) -> list[str]:
    """An answer as commands for a web worker, each short enough for the control channel. Of those
    that a worker that hangs does not take, only the last answer's are kept."""
    cut: list[list[str]] = [[]]
    length = 0
    for line in text.splitlines(keepends=True):
        if length + len(line.encode()) > PIECE:
            cut.append([])
            length = 0
        cut[-1].append(line)
        length += len(line.encode())
    heads = (f"metrics-{number} {asked} {number} {len(cut)}" for number in range(len(cut)))
    return [f"{head}\n{''.join(lines)}" for head, lines in zip(heads, cut, strict=True)]

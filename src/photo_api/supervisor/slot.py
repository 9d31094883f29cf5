"""A slot of the supervisor: holds one worker process, and restarts or replaces it."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from photo_api.supervisor.child import Child
from photo_api.supervisor.load import WorkerLoad, total
from photo_api.supervisor.spawning import Ahead, program
from photo_base.tasks import cancel, first

log = logging.getLogger(__name__)

FIRST_BACKOFF, LONGEST_BACKOFF = 0.1, 5.0
LONGEST_HEAD_START = 3.0
STABLE = 10.0
"""Seconds after which a death no longer counts as a repeated one: the backoff begins anew."""

LONGEST_START = 30.0
"""Seconds that a successor may take, while the present process serves."""

LONGEST_FIRST_START = 120.0
"""Seconds for a process that replaces none: many instances may boot on a slow machine."""

RETIREMENT = 2.0
"""Seconds in which a retired worker answers `Connection: close` on the connections it has."""


class Slot:
    """Holds one process, which is started again whenever it dies, and replaced on demand.
    `on_event` gets the events of its processes, `on_exit` their exit codes; `first_command` gives
    the command that is there at their start, if any."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        inherited: Sequence[int] = (),
        after: "Sequence[Slot]" = (),
        longest_end: float = 60.0,
    ) -> None:
        self.name = name
        self.ready = asyncio.Event()
        self.on_event: Callable[[Slot, Child, str, str], None] = lambda *_: None
        self.on_exit: Callable[[Slot, int], None] = lambda *_: None
        self.first_command: Callable[[], str] = str
        self.ahead: Ahead | None = None
        """The first of its processes, if that has started already."""
        self._command = [*program(module, name), *arguments]
        self._environ = dict(environ)
        self._inherited = tuple(inherited)
        self._after = after
        self._longest_end = longest_end
        self._children: list[Child] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._retired: set[Child] = set()
        self._ended = WorkerLoad()
        self.untold = 0
        """How many of its processes were ready once and ended without their last word."""
        self.finished_at = 0.0
        """When the last of its processes said that it carries no request any more (monotonic)."""
        self.failed_at_end = False
        """Whether one of its processes, told to stop, ended in another way than it should."""
        self._leaving = asyncio.Event()
        self._stopped = asyncio.Event()
        self._replacement_wanted = asyncio.Event()

    @property
    def pids(self) -> list[int]:
        """Of the process, and of those that it replaced and that still finish."""
        return [child.pid for child in self._children if child.pid is not None]

    @property
    def load(self) -> WorkerLoad:
        """Of all its processes together, since the first."""
        return total([self._ended, *(child.load for child in self._children)])

    async def keep_running(self) -> None:
        """Run it, and again whenever it dies, until it gets `stop`. Cancelling kills it. The
        first start waits until those it comes `after` have had the processor to be ready."""
        if self._after:
            ready = _all_ready(self._after)
            await first(ready, self._stopped.wait(), timeout=LONGEST_HEAD_START)
        try:
            await self._keep_one_running()
            await asyncio.gather(*(child.end for child in self._children), *self._retiring)
        finally:
            await cancel(*(child.end for child in self._children), *self._retiring)

    async def _keep_one_running(self) -> None:
        backoff = FIRST_BACKOFF
        while not self._stopped.is_set():
            started = time.monotonic()
            self._replacement_wanted.clear()
            present = await self._replace_until_end(self._start())
            if self._stopped.is_set():
                return
            backoff = FIRST_BACKOFF if time.monotonic() - started > STABLE else backoff
            self._log_end(present, backoff)
            await first(asyncio.sleep(backoff), self._stopped.wait())
            backoff = min(backoff * 2, LONGEST_BACKOFF)

    async def _replace_until_end(self, present: Child) -> Child:
        """The process that ended without a successor. A replacement that fails is tried again."""
        pause, longest = FIRST_BACKOFF, LONGEST_FIRST_START
        while await self._became_ready(present, longest):
            await first(self._replacement_wanted.wait(), present.end)
            if present.end.done():
                break
            successor = await self._successor(present, pause)
            if successor is None:
                await first(asyncio.sleep(pause), present.end, self._leaving.wait())
                pause = min(pause * 2, LONGEST_BACKOFF)
                continue
            if present.end.done():
                self._log_end(present, 0.0)
            else:
                self._let_go(present)
            self._replacement_wanted.clear()
            present, pause, longest = successor, FIRST_BACKOFF, LONGEST_START
        return present

    async def _became_ready(self, child: Child, longest: float) -> bool:
        """False when it has ended, or was killed because it took longer than `longest` seconds."""
        await first(child.ready.wait(), child.end, timeout=longest)
        if child.ready.is_set():
            return True
        await self._give_up_on(child)
        return False

    def _log_end(self, present: Child, backoff: float) -> None:
        """Raises what a start should never raise."""
        fields: dict[str, object] = {"name": self.name, "backoff_s": backoff}
        if present.end.cancelled():  # told of already
            return
        error = present.end.exception()
        if isinstance(error, OSError):  # no process, no memory, no interpreter: for now
            fields["error"] = str(error)
            log.error("a process cannot be started; trying again", extra={"fields": fields})
            return
        fields["exit"] = present.end.result()
        log.error("process died; restarting", extra={"fields": fields})
        self.on_exit(self, present.end.result())

    def _start(self) -> Child:
        # From its start: a command might be read after the first request.
        draining = ["--draining"] if self._leaving.is_set() else []
        line = [*self._command, *draining]
        ahead, self.ahead = self.ahead, None
        child = Child(line, self._environ, self._inherited, self._take_event, ahead)
        if command := self.first_command():
            child.send(command)
        self._children.append(child)
        child.end.add_done_callback(lambda _: self._forget(child))
        return child

    def _forget(self, child: Child) -> None:
        self._children.remove(child)
        self._show_ready()
        if not child.end.cancelled() and child.end.exception() is None:
            self._look_at_end(child, child.end.result())
        self._retired.discard(child)
        self.untold += child.was_ready and not child.has_told
        self.finished_at = max(self.finished_at, child.finished_at or 0.0)
        last = replace(child.load, in_flight=0, last_accepted=0.0, memory_bytes=0)
        self._ended = total([self._ended, last])

    def _look_at_end(self, child: Child, code: int) -> None:
        """The death of one that is neither retired nor to stop is logged where the next process is
        started."""
        stopped = self._stopped.is_set()
        if code and (stopped or child in self._retired):
            self.failed_at_end |= stopped
            fields = {"name": self.name, "exit": code}
            log.error("a process failed at its end", extra={"fields": fields})
            self.on_exit(self, code)

    def _take_event(self, child: Child, event: str, value: str) -> None:
        if event == "ready":
            self._show_ready()
        self.on_event(self, child, event, value)

    def _show_ready(self) -> None:
        """`ready` is set while one of its processes takes requests; a retired one does not."""
        if any(child.ready.is_set() for child in self._children):
            self.ready.set()
        else:
            self.ready.clear()

    async def _successor(self, present: Child, pause: float) -> Child | None:
        """Once it is ready, or is alone since the present one has died; None when it failed. In a
        drain it drains, and replaces none."""
        successor = self._start()
        ready, leaving = successor.ready, self._leaving
        ends = (successor.end, present.end)
        await first(ready.wait(), *ends, leaving.wait(), timeout=LONGEST_START)
        if leaving.is_set():
            return None
        if successor.end.done():
            self._log_end(successor, pause)
            return None
        if ready.is_set() or present.end.done():
            return successor
        await self._give_up_on(successor)
        return None

    async def _give_up_on(self, child: Child) -> None:
        if not child.end.done():
            log.error("a process did not become ready", extra={"fields": {"name": self.name}})
            child.end.cancel()
            await asyncio.wait([child.end])

    def _let_go(self, present: Child) -> None:
        present.ready.clear()
        task = asyncio.create_task(self._retire(present))
        self._retiring.add(task)
        self._retired.add(present)
        task.add_done_callback(self._retiring.discard)
        log.info("process replaced", extra={"fields": {"name": self.name}})

    async def _retire(self, child: Child) -> None:
        """No new connections at once; those that it has are closed with an answer each, or when
        they stay idle; requests in flight are finished."""
        child.send("retire")
        await first(child.end, self._stopped.wait(), timeout=RETIREMENT)
        child.send("stop")
        await first(child.end, timeout=self._longest_end)
        child.end.cancel()

    def replace(self) -> bool:
        """Start another one in its place, and let it go when the other is ready; not any more
        once it drains. Whether it will be."""
        if self._leaving.is_set():
            log.info("not replaced while draining", extra={"fields": {"name": self.name}})
        else:
            self._replacement_wanted.set()
        return self._replacement_wanted.is_set()

    def send(self, command: str) -> None:
        """Send a command. What is started after `drain` drains from its start; after `stop` nothing
        is started any more."""
        if command in ("drain", "stop"):
            self._leaving.set()
            self._replacement_wanted.clear()
        if command == "stop":
            self._stopped.set()
        for child in self._children:
            child.send(command)


def load_of(slots: Iterable[Slot]) -> WorkerLoad:
    """What an instance carries, all its processes together."""
    return total(slot.load for slot in slots)


async def _all_ready(slots: Sequence[Slot]) -> None:
    for slot in slots:
        await slot.ready.wait()

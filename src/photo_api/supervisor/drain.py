"""How an instance ends: the drain, from SIGTERM to exit, in this order.

SIGTERM and SIGINT (`signals.py`), `photo-api drain` (`control_socket.py`) and the cloud's
termination notice call `Supervisor.stop`, and `Supervisor.run` runs `Drain`. A second signal breaks
it off: the processes are killed.

1. Flag: `/health` is 503 and answers carry `Connection: close` (command `drain`); the job process
   hands back its leased jobs; then the registry hears of it, and balancers leave the instance out.
2. Lame duck: serve on while balancers notice. Beside it a machine of Amazon's that never serves
   again deregisters from its target groups (`termination.py`).
3. Stop accepting (command `stop`): each web worker takes the connections that wait, with
   `accept_the_last` (`listening.py`), and the kernel refuses further ones.
4. In flight: requests are answered to the end of their bodies, for `drain_wait` at most.
5. Flush: each process gives its log lines up to `log_flush` and exits. The registry hears that the
   instance stopped, and what came of it all: the receipt, which is a line in the log too. Then the
   cloud's group hears that it may go on (`Supervisor.run`); the supervisor flushes its own lines
   (`serving.py`) and exits: 0 when every process ended by itself.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from photo_api.contract import STOP_MARGIN
from photo_api.metrics.counts import Counts
from photo_api.registry.receipts import BROKEN_OFF, DRAINED, ELAPSED, FAILED, KILLED, REMOVED
from photo_api.settings.instance import LifecycleSettings
from photo_api.supervisor.receipt import Course
from photo_api.supervisor.slot import Slot, load_of
from photo_api.supervisor.systemd import notify
from photo_base.tasks import first

if TYPE_CHECKING:
    from photo_api.registry.registration import Registration

log = logging.getLogger(__name__)

ASK_BALANCERS = 0.25
QUIET = 1.0
"""Seconds without a new connection after which balancers are taken to send no more."""

CUT = 1.0
"""Seconds beyond all limits after which a process that still runs is killed."""


@dataclass(frozen=True, slots=True)
class Drain:
    """An instance's drain. `running` are the tasks that keep its slots filled, `watched` starts a
    task whose failure is the instance's, and `end_now` breaks the drain off. `counts` are those of
    all processes. `sent_to_until` tells to what time (monotonic) a balancer that was told late may
    send."""

    settings: LifecycleSettings
    environ: Mapping[str, str]
    slots: Sequence[Slot]
    running: Sequence[asyncio.Task[Any]]
    listening: socket.socket
    registration: "Registration"
    watched: Callable[[Coroutine[Any, Any, object]], asyncio.Task[Any]]
    end_now: asyncio.Event
    counts: Counts
    sent_to_until: Callable[[], float]
    course: Course = field(default_factory=Course)

    async def run(self, cause: str) -> bool:
        """Whether every process ended by itself, and as it should."""
        self.course.begin(self.slots, self.counts)
        steps = asyncio.create_task(self._in_order(cause))
        try:
            await first(steps, self.end_now.wait())
            self.course.ending = steps.result() if steps.done() else BROKEN_OFF
            return self.course.ending == DRAINED
        finally:
            steps.cancel()

    async def _in_order(self, cause: str) -> str:
        self._flag(cause)
        writing = self.watched(self.registration.flush())
        try:
            await self._lame_duck()
            self._stop_accepting()
            return await self._wait_for_requests()
        finally:
            writing.cancel()

    def _flag(self, cause: str) -> None:
        """Readiness fails at once; what the registry should hear is noted, and holds nothing up."""
        for slot in self.slots:
            slot.send("drain")
        notify(self.environ, "STOPPING=1\nSTATUS=draining")
        self.registration.change("draining", "draining", cause)

    async def _lame_duck(self) -> None:
        """Serve on until every balancer has had time to notice; shorter when every live one has
        acknowledged the removal, and no new connection has come for a second. Longer, by what the
        grace has to spare, when one was told late."""
        began = time.monotonic()
        # A task beside: a database that hangs makes no lame duck longer.
        removed = self.watched(self._removed())
        try:
            while (left := self._serving_until(began) - time.monotonic()) > 0:
                await asyncio.sleep(min(ASK_BALANCERS, left))
                last = max(began, load_of(self.slots).last_accepted)
                if _did(removed) and time.monotonic() - last >= QUIET:
                    waited = round(time.monotonic() - began, 1)
                    log.info("every balancer let go", extra={"fields": {"lame_duck_s": waited}})
                    self.course.lame_duck_end = REMOVED
                    return
            self.course.lame_duck_end = ELAPSED
        finally:
            removed.cancel()

    def _serving_until(self, began: float) -> float:
        return lame_duck_end(self.settings, began, self.sent_to_until())

    async def _removed(self) -> None:
        """Until it is removed from every balancer; what is not known leaves what was known
        before."""
        while True:
            if (told := await self.registration.removals()) is not None:
                self.course.balancers, self.course.acknowledged = told
                if told.complete:
                    return
            await asyncio.sleep(ASK_BALANCERS)

    def _stop_accepting(self) -> None:
        for slot in self.slots:
            slot.send("stop")
        # This resets no connection: workers hold the socket too, and the last of them closes it
        # after it has accepted what waits.
        self.listening.close()
        self.course.stopped_accepting = time.monotonic()

    async def _wait_for_requests(self) -> str:
        """Until every process has finished what it began, or is beyond its limit and killed; how it
        ended."""
        limit = self.settings.drain_wait + self.settings.log_flush
        ended = asyncio.gather(*self.running, return_exceptions=True)
        await first(ended, timeout=limit + CUT)
        if not ended.done():
            left = [slot.name for slot in self.slots if slot.pids]
            log.error("killed at the limit", extra={"fields": {"processes": left}})
            return KILLED
        return FAILED if any(slot.failed_at_end for slot in self.slots) else DRAINED

    async def tell_end(self, cause: str, *, failed: bool) -> None:
        """Tell log and registry that the instance stopped, and what came of its requests; `failed`
        is whether the supervisor did."""
        if cut := load_of(self.slots).cut:
            cause = f"{cause}; {cut} {'request' if cut == 1 else 'requests'} cut at the limit"
        if failed:
            self.course.ending = FAILED
        heard = self.registration.draining_written_at
        receipt = self.course.receipt(cause, self.slots, self.counts, heard)
        if not await self.registration.end(receipt):
            log.warning("the registry does not know that this instance stopped")
        await self.registration.close()


def lame_duck_end(life: LifecycleSettings, began: float, sent_to_until: float) -> float:
    """The time until which an instance whose lame duck began at `began` accepts connections, when a
    balancer may send until `sent_to_until`. What the grace has beyond the drain is there for it."""
    latest = began + life.grace - life.drain_wait - life.log_flush - STOP_MARGIN
    return max(began + life.lame_duck, min(sent_to_until, latest))


def _did(task: asyncio.Task[None]) -> bool:
    return task.done() and task.exception() is None

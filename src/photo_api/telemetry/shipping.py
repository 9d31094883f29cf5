"""Log lines on their way to a sink: a bounded queue, emptied by a thread of its own.

Logging only appends to the queue. A sink that is slow, full, hung or gone costs lines, which
are counted, and never a request or the end of the process.
"""

import logging
import random
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, RLock, Thread
from typing import Protocol

from photo_api.settings.instance import LogSettings

log = logging.getLogger(__name__)

BATCH, BATCH_BYTES = 500, 1024 * 1024
GATHERING = 0.1
"""Seconds in which lines come together, so that the thread does not wake for each."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
CLOSING_PAUSE = 0.1
LONGEST_WAIT = 60.0
"""Seconds for which a sink is left alone that says for how long it wants to be."""
TOLD_EVERY = 60.0
"""Seconds: what a sink does is told by lines that go to it, or to another that tells of it."""
MOST_BYTES = 16 * 1024 * 1024


class SinkBusy(OSError):
    """The sink takes nothing now, and wants `wait` seconds before it is asked again."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sink did not take: so many lines it has `refused` for good, for this `reason`, and
    those that are to be offered `again`, before all others."""

    refused: int = 0
    reason: str = ""
    again: Sequence[bytes] = ()


class Sink(Protocol):
    """Where lines go in the end. Called by one thread, which it may block."""

    name: str
    carries: str
    """What a line is: `log lines`."""
    gathering: float
    """Seconds in which lines come together for it."""

    def write(self, lines: list[bytes]) -> Outcome | None:
        """Take these lines, each a JSON object with its newline; None when all were taken. Raises
        OSError when none of them, or not surely all, were taken: they are then offered again."""
        ...

    def use(self, settings: LogSettings) -> None:
        """Write with these secrets from now on. Any thread may call it."""
        ...


class LogQueue:
    """At most `bound` lines, and 16 MiB of them, wait for the sink; when it is full, the oldest go
    and are counted. `process` is the role that the closing line on standard error names."""

    def __init__(self, sink: Sink, bound: int, process: str) -> None:
        self._sink = sink
        self._process = process
        self._bound = bound
        self._lines: deque[bytes] = deque()
        self._bytes = 0
        self._first = 0  # the number of the oldest line that waits, counted from the start
        self._dropped = 0
        self._refused = 0
        self._told_at: dict[str, float] = {}
        # Reentrant, as is the bell: a finalizer that logs may run inside `put`.
        self._lock = RLock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._closing = Event()
        self._given_up = False
        self._lost: int | None = None
        self._writer = Thread(target=self._ship, name=f"logs-to-{sink.name}", daemon=True)
        self._writer.start()

    def put(self, line: bytes) -> None:
        """Append a line, newline included. Never waits for the sink; any thread may call it."""
        with self._lock:
            waiting = len(self._lines)
            self._lines.append(line)
            self._bytes += len(line)
            self._drop_what_is_too_much()
        if not waiting:
            self._bell.put(None)

    def use(self, settings: LogSettings) -> None:
        """Its secrets are these from now on."""
        self._sink.use(settings)

    def state(self) -> dict[str, int]:
        """Lines that wait for the sink, and lines lost so far because the queue was full or the
        sink refused them; once it is closed, all that were lost."""
        with self._lock:
            if self._lost is not None:
                return {"waiting": 0, "lost": self._lost}
            return {"waiting": len(self._lines), "lost": self._dropped + self._refused}

    def begin_to_close(self) -> None:
        """What waits is given in a hurry from now on; several queues do so at the same time."""
        self._closing.set()
        self._bell.put(None)

    def close(self, timeout: float, deadline: float | None = None) -> int:
        """Give the lines that wait `timeout` seconds, up to the monotonic time `deadline` if these
        have begun before, and return how many were lost in the life of the process; when any were,
        standard error gets a line about it. Blocks; to be called after the last line, since what is
        put afterwards goes nowhere."""
        if self._lost is None:
            self.begin_to_close()
            left = timeout if deadline is None else deadline - time.monotonic()
            self._writer.join(max(0.0, left))
            with self._lock:
                self._given_up = True
                unwritten = len(self._lines)
                self._lost = self._dropped + self._refused + unwritten
            if self._lost:
                self._tell(unwritten, timeout)
        return self._lost

    def _tell(self, unwritten: int, timeout: float) -> None:
        refused = f", {self._refused} refused by the sink" if self._refused else ""
        line = (
            f"{self._process}: {self._lost} {self._sink.carries} were lost on their way to the"
            f" {self._sink.name} sink ({self._dropped} dropped from the full queue{refused},"
            f" {unwritten} not written within {timeout:g} s)"
        )
        with suppress(OSError):
            print(line, file=sys.stderr, flush=True)

    def _ship(self) -> None:
        closing = False
        while not closing:
            self._bell.get()
            closing = self._gather()
            self._write_all()

    def _gather(self) -> bool:
        """Let lines come together; whether the queue closes."""
        until = time.monotonic() + self._sink.gathering
        while not self._closing.wait(GATHERING):
            if len(self._lines) >= BATCH or time.monotonic() >= until:
                return False
        return True

    def _write_all(self) -> None:
        pause, told = FIRST_PAUSE, False
        while batch := self._next_batch():
            number, lines = batch
            try:
                outcome = self._sink.write(lines)
            except OSError as error:
                reason = error.strerror or str(error) or type(error).__name__
                told = told or self._complain("log sink fails", reason)
                self._rest(pause, error.wait if isinstance(error, SinkBusy) else 0.0)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            except Exception as error:  # a bug costs these lines, and no later ones
                outcome = Outcome(len(lines), f"{type(error).__name__}: {error}")
            self._remove(number, len(lines))
            pause = FIRST_PAUSE
            if told:
                told = False
                log.warning("log sink works again", extra={"fields": self._fields(**self.state())})
            if self._settle(outcome or Outcome()):
                self._rest(FIRST_PAUSE)

    def _settle(self, outcome: Outcome) -> bool:
        """Count what was refused and put back what is to be offered again; whether that is any."""
        with self._lock:
            self._refused += max(0, outcome.refused)  # what a collector tells may be anything
            for line in reversed(outcome.again):
                self._lines.appendleft(line)
                self._bytes += len(line)
            self._first -= len(outcome.again)
            self._drop_what_is_too_much()
        if outcome.refused > 0:
            self._complain("log sink refuses lines", outcome.reason)
        return bool(outcome.again)

    def _complain(self, message: str, reason: str) -> bool:
        """Whether it is told now."""
        now = time.monotonic()
        if now - self._told_at.get(message, -TOLD_EVERY) < TOLD_EVERY:
            return False
        self._told_at[message] = now
        log.warning(message, extra={"fields": self._fields(error=reason)})
        return True

    def _fields(self, **more: object) -> dict[str, object]:
        return {"sink": self._sink.name, **more}

    def _next_batch(self) -> tuple[int, list[bytes]] | None:
        """The number of the oldest line and the lines from it on, which stay in the queue until
        they are written; None when there is nothing more to do."""
        with self._lock:
            if not self._lines or self._given_up:
                return None
            batch: list[bytes] = []
            room = BATCH_BYTES
            for line in self._lines:
                room -= len(line)
                if batch and (room < 0 or len(batch) == BATCH):
                    break
                batch.append(line)
            return self._first, batch

    def _remove(self, number: int, count: int) -> None:
        """Lines from `number` on are written. Those that were dropped meanwhile are not lost."""
        with self._lock:
            dropped = min(self._first - number, count)
            self._dropped -= dropped
            self._forget(count - dropped)

    def _drop_what_is_too_much(self) -> None:
        while len(self._lines) > self._bound or self._bytes > MOST_BYTES:
            self._forget(1)
            self._dropped += 1

    def _forget(self, count: int) -> None:
        self._first += count
        for _ in range(count):
            self._bytes -= len(self._lines.popleft())

    def _rest(self, pause: float, wanted: float = 0.0) -> None:
        """About `pause` seconds, not less than what the sink `wanted`."""
        if self._closing.is_set():
            pause = CLOSING_PAUSE
        pause *= random.uniform(0.5, 1.5)
        wanted = min(wanted, LONGEST_WAIT) * random.uniform(1.0, 1.25)
        if self._closing.is_set():
            time.sleep(max(pause, wanted))
        else:
            self._closing.wait(max(pause, wanted))

"""Log lines on their way to a sink: a bounded queue, emptied by a thread of its own.

Logging only appends to the queue. A sink that is slow, full, hung or gone costs lines, which
are counted, and never a request or the end of the process.
"""

import logging
import random
import sys
import time
from collections import deque
from contextlib import suppress
from itertools import islice
from queue import SimpleQueue
from threading import Event, RLock, Thread
from typing import Protocol

from photo_api.settings.instance import LogSettings
from photo_api.telemetry.file_sink import FileSink

log = logging.getLogger(__name__)

BATCH = 500
GATHERING = 0.1
"""Seconds in which lines come together, so that the thread does not wake for each."""
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0
CLOSING_PAUSE = 0.1
MOST_BYTES = 16 * 1024 * 1024


class Sink(Protocol):
    """Where lines go in the end. Called by one thread, which it may block."""

    def write(self, lines: list[bytes]) -> None:
        """Take all of these lines, each a JSON object with its newline. Raises OSError when none of
        them, or not surely all, were taken: they are then offered again."""
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
        # Reentrant, as is the bell: a finalizer that logs may run inside `put`.
        self._lock = RLock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._closing = Event()
        self._given_up = False
        self._lost: int | None = None
        self._writer = Thread(target=self._ship, name="log-shipping", daemon=True)
        self._writer.start()

    def put(self, line: bytes) -> None:
        """Append a line, newline included. Never waits for the sink; any thread may call it."""
        with self._lock:
            waiting = len(self._lines)
            self._lines.append(line)
            self._bytes += len(line)
            while len(self._lines) > self._bound or self._bytes > MOST_BYTES:
                self._forget(1)
                self._dropped += 1
        if not waiting:
            self._bell.put(None)

    def state(self) -> dict[str, int]:
        """Lines that wait for the sink, and lines lost so far because the queue was full."""
        with self._lock:
            return {"waiting": len(self._lines), "lost": self._dropped}

    def close(self, timeout: float) -> int:
        """Give the lines that wait up to `timeout` seconds, and return how many were lost in the
        life of the process; when any were, standard error gets a line about it. Blocks; to be
        called after the last line, since what is put afterwards goes nowhere."""
        if self._lost is None:
            self._closing.set()
            self._bell.put(None)
            self._writer.join(timeout)
            with self._lock:
                self._given_up = True
                unwritten = len(self._lines)
                self._lost = self._dropped + unwritten
            if self._lost:
                self._tell(unwritten, timeout)
        return self._lost

    def _tell(self, unwritten: int, timeout: float) -> None:
        line = (
            f"{self._process}: {self._lost} log lines were lost ({self._dropped} dropped from the"
            f" full queue, {unwritten} not written within {timeout:g} s)"
        )
        with suppress(OSError):
            print(line, file=sys.stderr, flush=True)

    def _ship(self) -> None:
        closing = False
        while not closing:
            self._bell.get()
            closing = self._closing.wait(GATHERING)
            self._write_all()

    def _write_all(self) -> None:
        pause, failing = FIRST_PAUSE, False
        while batch := self._next_batch():
            number, lines = batch
            try:
                self._sink.write(lines)
            except OSError as error:
                if not failing:
                    failing = True
                    reason = error.strerror or type(error).__name__
                    log.warning("log sink fails", extra={"fields": {"error": reason}})
                self._rest(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._remove(number, len(lines))
                if failing:
                    pause, failing = FIRST_PAUSE, False
                    log.warning("log sink works again", extra={"fields": self.state()})

    def _next_batch(self) -> tuple[int, list[bytes]] | None:
        """The number of the oldest line and the lines from it on, which stay in the queue until
        they are written; None when there is nothing more to do."""
        with self._lock:
            if not self._lines or self._given_up:
                return None
            return self._first, list(islice(self._lines, BATCH))

    def _remove(self, number: int, count: int) -> None:
        """Lines from `number` on are written. Those that were dropped meanwhile are not lost."""
        with self._lock:
            dropped = min(self._first - number, count)
            self._dropped -= dropped
            self._forget(count - dropped)

    def _forget(self, count: int) -> None:
        self._first += count
        for _ in range(count):
            self._bytes -= len(self._lines.popleft())

    def _rest(self, pause: float) -> None:
        if self._closing.is_set():
            time.sleep(CLOSING_PAUSE * random.uniform(0.5, 1.5))
        else:
            self._closing.wait(pause * random.uniform(0.5, 1.5))


def open_log_queue(settings: LogSettings, process: str) -> LogQueue | None:
    """The queue of this process to the sink of the settings, or None when there is none. The sink
    is not touched before the first line; `close` is the last thing that the process does."""
    return LogQueue(FileSink(settings.sink), settings.queue, process) if settings.sink else None

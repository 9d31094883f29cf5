"""Lines to standard output or error that never make a program wait, also when nobody reads them.

A pipe that nobody reads takes 64 KiB and then holds up its writer, with event
loop, health and signals.
"""

import atexit
import io
import logging
import os
import select
import socket
import stat
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from threading import RLock, Thread

BOUND = 1 << 20
"""Bytes that may wait for a reader."""
ROOM = 0.75
AT_EXIT = 0.5
LOOK = 0.01


class LineOutput(io.RawIOBase):
    """The descriptor as a raw file whose `write` takes everything at once. What the other end does
    not take waits, up to `bound` bytes; beyond them new lines are dropped and counted, and `gap`
    (their number) stands in front of the next line that goes out. A line of which a full disk took
    the beginning counts as dropped, and is ended before the next one."""

    def __init__(
        self, descriptor: int, bound: int = BOUND, gap: Callable[[int], bytes] = lambda _: b""
    ) -> None:
        super().__init__()
        self.gap = gap
        self.name = descriptor
        self._descriptor = descriptor
        self._at_once = _without_waiting(descriptor)
        self._bound = bound
        self._lines: deque[bytes] = deque()  # the first may be under way
        self._bytes = 0
        self._missing = 0  # dropped, and not told yet
        self._dropped = 0
        self._begun = False  # some of the first one is out
        self._torn = False  # what is out ends in the middle of a line that was dropped
        # Reentrant, as is the bell: a finalizer that logs may run inside `write`.
        self._lock = RLock()
        self._bell: SimpleQueue[None] = SimpleQueue()
        Thread(target=self._write_on, name="line-output", daemon=True).start()
        atexit.register(self.settle, AT_EXIT)

    def write(self, data: object) -> int:
        """Take a line, its newline included. Never waits and never fails; any thread may call."""
        line = bytes(data)  # type: ignore[call-overload]
        with self._lock:
            # Once full, it first gets some room, rather than drop every other line.
            bound = self._bound * ROOM if self._missing else self._bound
            if self._lines and self._bytes + len(line) > bound:
                self._drop(1)
            else:
                missing, self._missing = self._missing, 0
                self._offer((self.gap(missing) if missing else b"") + line, missing + 1)
        return len(line)

    def state(self) -> dict[str, int]:
        """Lines that wait for a reader, and lines dropped so far."""
        with self._lock:
            return {"unread": len(self._lines), "dropped": self._dropped}

    def settle(self, timeout: float) -> None:
        """Wait until nothing waits any more, `timeout` seconds at most."""
        deadline = time.monotonic() + timeout
        while self._lines and time.monotonic() < deadline:
            time.sleep(LOOK)

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor, which makes direct writers wait."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def _offer(self, line: bytes, count: int) -> None:
        if self._torn:
            line = b"\n" + line
        if not self._lines and self._at_once is not None:
            try:
                out = self._at_once(line)
                line, self._begun = line[out:], out < len(line)
            except BlockingIOError:
                pass
            except OSError:  # a full disk, a reader that is gone
                self._drop(1)
                self._missing = count
                return
        self._torn = False
        if line:
            self._lines.append(line)
            self._bytes += len(line)
            if len(self._lines) == 1:
                self._bell.put(None)

    def _drop(self, count: int) -> None:
        self._missing += count
        self._dropped += count

    def _write_on(self) -> None:
        while True:
            self._bell.get()
            while line := self._oldest():
                rest = memoryview(line)
                try:
                    while rest:
                        rest = rest[_write_some(self._descriptor, rest) :]
                except OSError:
                    self._give_up(self._begun or len(rest) < len(line) or line[:1] == b"\n")
                    break
                with self._lock:
                    self._begun = False
                    self._lines.popleft()
                    self._bytes -= len(line)

    def _oldest(self) -> bytes | None:
        with self._lock:
            if not self._lines and self._missing:
                missing, self._missing = self._missing, 0
                self._lines.append(self.gap(missing))
                self._bytes = len(self._lines[0])
            return self._lines[0] if self._lines else None

    def _give_up(self, torn: bool) -> None:
        with self._lock:
            self._torn, self._begun = torn, False
            self._drop(len(self._lines))
            self._lines.clear()
            self._bytes = 0


def bounded_stderr(formatter: logging.Formatter) -> LineOutput:
    """Make `sys.stderr` of this process one that never waits. How many lines were dropped is told
    by a line of `formatter`."""

    def gap(count: int) -> bytes:
        record = logging.LogRecord(
            __name__, logging.WARNING, "", 0, "log lines were dropped", None, None
        )
        record.fields = {"count": count}
        return formatter.format(record).encode() + b"\n"

    if sys.stderr is None:  # closed by the parent
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    output = getattr(sys.stderr, "buffer", None)
    if not isinstance(output, LineOutput):
        output = LineOutput(sys.stderr.fileno())
        sys.stderr = as_text(output)
    output.gap = gap
    return output


def as_text(output: LineOutput) -> io.TextIOWrapper:
    """For `print`: each line goes to `output` in one piece."""
    return io.TextIOWrapper(output, "utf-8", "backslashreplace", line_buffering=True)


def _without_waiting(descriptor: int) -> Callable[[bytes], int] | None:
    """How to write what the other end takes at once, raising BlockingIOError for nothing; None when
    only a thread can. The descriptor itself stays as it is: other processes share its flags."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        own = socket.socket(fileno=os.dup(descriptor))
        return lambda data: own.send(data, socket.MSG_DONTWAIT)
    if not stat.S_ISFIFO(mode) and not os.isatty(descriptor):
        return partial(os.write, descriptor)
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        again = os.open(f"/proc/self/fd/{descriptor}", flags)
    except OSError:  # somebody else's pipe
        return None
    return partial(os.write, again)


def write_whole(descriptor: int, data: bytes) -> None:
    """Wait until all of it is taken. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[_write_some(descriptor, rest) :]


def _write_some(descriptor: int, data: memoryview) -> int:
    while True:
        try:
            return os.write(descriptor, data)
        except BlockingIOError:  # another process made it so
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()

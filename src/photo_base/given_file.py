"""A file that somebody names, read within a bound of bytes and of time: also a pipe, as the shell's
`<(…)` makes one."""

import os
import select
import stat
import time
from errno import ETIMEDOUT
from io import FileIO
from pathlib import Path

AT_ONCE = 64 * 1024
LONGEST_LOOK = 0.1
LONGEST_WITHOUT_WRITER = 5.0
LONGEST_WRITER = 600.0
"""Seconds until a pipe's end: what writes it may have to work for it."""


def read_given(path: Path | str, most: int) -> bytes:
    """All of it, or `most` + 1 bytes of one that has more. Raises OSError, of a pipe also when
    nobody writes into it or its end does not come."""
    with FileIO(path, opener=_without_waiting) as file:
        is_pipe = stat.S_ISFIFO(os.fstat(file.fileno()).st_mode)
        began, body, is_over = time.monotonic(), bytearray(), not is_pipe
        while len(body) <= most:
            part = file.read(min(AT_ONCE, most + 1 - len(body)))
            if part:
                body += part
            elif part is not None and (body or is_over):
                break
            else:  # None: somebody has it open, and may still write
                is_over = _over(file, time.monotonic() - began, part is None, str(path))
        return bytes(body)


def _over(file: FileIO, waited: float, is_open: bool, name: str) -> bool:
    """After a moment, or once there is something to read: whether who wrote is gone."""
    longest = LONGEST_WRITER if is_open else LONGEST_WITHOUT_WRITER
    if waited > longest:
        why = "a pipe without an end" if is_open else "a pipe into which nobody writes"
        raise TimeoutError(ETIMEDOUT, why, name)
    coming = select.poll()
    coming.register(file, select.POLLIN)
    return any(event & select.POLLHUP for _, event in coming.poll(1000 * LONGEST_LOOK))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)

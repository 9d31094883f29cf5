"""A file that gets the log lines of several processes."""

import fcntl
import os
import stat
import time
from contextlib import suppress
from errno import EINVAL, ETIMEDOUT

from photo_api.settings.instance import LogSettings

FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK
"""Non-blocking, which a regular file ignores, so that opening anything else does not hang."""

LOCKED, LOOK = 2.0, 0.01
"""Seconds to wait for another process that writes, and between two looks."""


class FileSink:
    """Appends to the file at `path`, which is opened at the first line, created with mode 0600, and
    opened anew when it was rotated away or deleted. Only whole lines stand in it, also after a full
    disk or a process killed in the middle of a write. Its folder must exist."""

    name = "file"
    carries = "log lines"
    gathering = 0.1

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: int | None = None

    def write(self, lines: list[bytes]) -> None:
        """Append all lines or none. Raises OSError."""
        try:
            file = self._open()
            _lock(file)
            try:
                _append(file, b"".join(lines))
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)
        except OSError:
            self._close()
            raise

    def use(self, settings: LogSettings) -> None:
        """It has no secrets."""

    def _open(self) -> int:
        if self._file is not None and not self._is_in_place(self._file):
            self._close()
        if self._file is None:
            self._file = os.open(self._path, FLAGS, 0o600)
            if not stat.S_ISREG(os.fstat(self._file).st_mode):
                raise OSError(EINVAL, "not a regular file")
        return self._file

    def _is_in_place(self, file: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(file))
        except FileNotFoundError:
            return False

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)


def _lock(file: int) -> None:
    """Of the processes that share the file one writes at a time. A lock ends with its owner, but
    not with its sleep. Raises OSError."""
    until = time.monotonic() + LOCKED
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise OSError(ETIMEDOUT, "another process holds it locked") from None
        time.sleep(LOOK)


def _append(file: int, content: bytes) -> None:
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        content = b"\n" + content  # a process was killed in the middle of a line
    rest = memoryview(content)
    try:
        while rest:
            rest = rest[os.write(file, rest) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise

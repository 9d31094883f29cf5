"""Processes of the stage as the kernel knows them."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGCONT, SIGSTOP

from photo_base.processes import send


def children(pid: int) -> list[int]:
    """The living ones of a process, the oldest first; none of one that is gone."""
    entries = [entry for entry in os.listdir("/proc") if entry.isdecimal()]
    return sorted((int(entry) for entry in entries if _parent(entry) == pid), key=_started)


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    return [pid, *(member for child in children(pid) for member in family(child))]


def command_line(pid: int) -> str:
    """Its words with blanks in between; empty of one that is gone."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return words.replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def is_there(pid: int) -> bool:
    """Whether it runs; one that ended and that nobody has waited for yet does not."""
    fields = _stat(str(pid))
    return bool(fields) and fields[0] not in "ZX"


@contextmanager
def stopped(pids: Collection[int]) -> Iterator[None]:
    """While this is open they stand still."""
    send(pids, SIGSTOP)
    try:
        yield
    finally:
        send(pids, SIGCONT)


def _parent(pid: str) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields and fields[0] not in "ZX" else 0


def _started(pid: int) -> int:
    fields = _stat(str(pid))
    return int(fields[19]) if fields else 0


def _stat(pid: str) -> list[str]:
    """The fields of proc_stat(5) from the third on; none of a process that is gone."""
    with suppress(OSError):
        # The second field, a name in parentheses, may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []

"""nginx as a program and as processes: its release, and since when it works by what it has read."""

import os
import re
import shutil
from pathlib import Path

from photo_fleet.doctor.looks.program import said

TITLE = b"nginx: worker process"
ENDING = b"is shutting down"

PROGRAM = "/usr/sbin/nginx"
_VERSION = re.compile(rb"nginx/(\d+)\.(\d+)\.(\d+)")


async def version() -> tuple[int, ...] | None:
    """The release of this host's nginx; None without one."""
    told = await said(shutil.which("nginx") or PROGRAM, "-v")
    found = _VERSION.search(told)
    return tuple(int(part) for part in found.groups()) if found else None


def read_since(pid_file: str) -> float | None:
    """When its workers were started, which happens at the start and at each reload (epoch
    seconds); None when no nginx with this pid file runs here, or nobody may know.

    Of the workers that take requests the oldest: one that has died is started anew, without
    reading anything."""
    try:
        with open(pid_file, "rb") as opened:
            master = int(opened.read(20))
        booted = _booted()
        workers = [at for pid in _children(master) if (at := _worker_since(pid)) is not None]
    except (OSError, ValueError):
        return None
    return booted + min(workers) if workers else None


def _booted() -> float:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    raise ValueError("the kernel does not tell when it was started")


def _children(parent: int) -> list[int]:
    told = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in told.split()]


def _worker_since(pid: int) -> float | None:
    """Seconds after the machine's start at which this worker was; None when it is none, or ends."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes()
        numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return None
    if not title.startswith(TITLE) or ENDING in title:
        return None
    return int(numbers[19]) / os.sysconf("SC_CLK_TCK")

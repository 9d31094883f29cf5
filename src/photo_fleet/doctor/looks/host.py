"""This host's kernel and systemd: whom they ended for memory, how near units are to their limits,
and how often systemd has started them again."""

import asyncio
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from photo_base.log_lines import one_line
from photo_fleet.doctor.looks.program import said
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen

UNITS = ("photo-api.service", "photo-api-worker.service", "photo-fleet-balance.service")
ASKED = ("LoadState", "ActiveState", "SubState", "Result", "NRestarts")
KERNEL_LOG = "dev/kmsg"
GROUPS = "sys/fs/cgroup/system.slice"
RECORD, MOST_BYTES = 16_384, 8 * 1024 * 1024

# As mm/oom_kill.c of Linux prints them; the line with the cgroup comes first.
_OF_INTEREST = "Killed process|oom-kill:"
_GROUP = re.compile(r"oom-kill:.*task_memcg=([^,]*),task=[^,]*,pid=([0-9]+)")
_KILLED = re.compile(r"Killed process ([0-9]+) \(([^)]*)\)(?:.*?anon-rss:([0-9]+)kB)?")


@dataclass(frozen=True, slots=True)
class Kill:
    """A process that the kernel ended for memory, at `at` (epoch seconds of this host)."""

    at: float
    pid: int
    program: str
    group: str = ""
    resident_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """Of a unit's control group: bytes in use that cannot simply be given back, the limit (None:
    none), and how many processes the kernel has ended in it since the unit's start."""

    used: int
    limit: int | None
    kills: int


@dataclass(frozen=True, slots=True)
class State:
    """Of a unit, in systemd's words (`active`, `failed`; `running`, `auto-restart`; `exit-code`,
    `oom-kill`), and how often it was started again by itself."""

    active: str
    sub: str
    result: str
    restarts: int


@dataclass(frozen=True, slots=True)
class HostLook:
    """`node` is this host as the registry names it. `kills` are those in the window that the
    kernel's log still has, in their order; None when it may not be read. `memory` and `states` are
    by unit, of those that are here."""

    node: str
    kills: tuple[Kill, ...] | None
    memory: Mapping[str, Memory] = field(default_factory=dict)
    states: Mapping[str, State] = field(default_factory=dict)


async def take(reach: Reach, seen: Seen) -> HostLook:
    """The kernel is this machine's, wherever the units' root is, unless that has a log of its
    own."""
    root, since = reach.units or Path("/"), time.time() - reach.since
    own = root / KERNEL_LOG
    log = own if own.exists() else Path("/") / KERNEL_LOG
    lines = await asyncio.to_thread(_kernel_lines, log)
    if lines is None:
        lines = await _journal(since)
    kills = None if lines is None else tuple(one for one in _kills(lines) if one.at >= since)
    memory = await asyncio.to_thread(_memory, root / GROUPS)
    states = await _states() if root == Path("/") else {}
    return HostLook(socket.gethostname(), kills, memory, states)


def _kernel_lines(file: Path) -> list[tuple[float, str]] | None:
    """(epoch seconds, text) of the kernel's log, whose format Linux documents in
    Documentation/ABI/testing/dev-kmsg; None when it may not be read."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        text = b"".join(_records(descriptor)).decode(errors="replace")
    except OSError:
        return None
    finally:
        os.close(descriptor)
    booted = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC)
    found = []
    for line in text.splitlines():
        head, semicolon, message = line.partition(";")
        parts = head.split(",")
        if semicolon and len(parts) > 2 and parts[2].isdigit():
            found.append((booted + int(parts[2]) / 1e6, message))
    return found


def _records(descriptor: int) -> Iterator[bytes]:
    read = 0
    while read < MOST_BYTES:
        try:
            record = os.read(descriptor, RECORD)
        except BlockingIOError:
            return
        except BrokenPipeError:  # newer lines have taken the place of the next
            continue
        if not record:
            return
        read += len(record)
        yield record


async def _journal(since: float) -> list[tuple[float, str]] | None:
    """The same from the journal, where this user may read it."""
    plain = ("journalctl", "-k", "-q", "--no-pager", "-o", "short-unix")
    if not _lines(await said(*plain, "-n", "1")):  # then there is at most a word why
        return None
    searched = f"--since=@{since:.0f}", f"--grep={_OF_INTEREST}"
    return _lines(await said(*plain, "-n", "300", *searched))


def _lines(journal: bytes) -> list[tuple[float, str]]:
    found = []
    for line in journal.decode(errors="replace").splitlines():
        at, _, text = line.partition(" ")
        with suppress(ValueError):
            found.append((float(at), text))
    return found


def _kills(lines: list[tuple[float, str]]) -> Iterator[Kill]:
    groups: dict[int, str] = {}
    for at, text in lines:
        if (group := _GROUP.search(text)) is not None:
            groups[int(group[2])] = one_line(group[1])[:200]
        if (killed := _KILLED.search(text)) is not None:
            pid = int(killed[1])
            resident = int(killed[3] or 0) * 1024
            yield Kill(at, pid, one_line(killed[2])[:64], groups.get(pid, ""), resident)


def _memory(groups: Path) -> dict[str, Memory]:
    found = {}
    for unit in UNITS:
        with suppress(OSError, ValueError):
            events = _numbers(groups / unit / "memory.events")
            stat = _numbers(groups / unit / "memory.stat")
            used = int((groups / unit / "memory.current").read_text())
            most = (groups / unit / "memory.max").read_text().strip()
            # The page cache is given back before anybody is ended.
            kept = max(0, used - stat.get("inactive_file", 0) - stat.get("active_file", 0))
            limit = None if most == "max" else int(most)
            found[unit] = Memory(kept, limit, events.get("oom_kill", 0))
    return found


def _numbers(file: Path) -> dict[str, int]:
    pairs = (line.split() for line in file.read_text().splitlines()[:200])
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}


async def _states() -> dict[str, State]:
    found = {}
    for unit in UNITS:
        told = await said("systemctl", "show", "-p", ",".join(ASKED), "--", unit)
        lines = told.decode(errors="replace").splitlines()
        pairs = dict(one_line(line).partition("=")[::2] for line in lines)
        if pairs.get("LoadState") == "loaded":
            state, sub, result, restarts = (pairs.get(name, "") for name in ASKED[1:])
            found[unit] = State(state, sub, result, int(restarts) if restarts.isdigit() else 0)
    return found

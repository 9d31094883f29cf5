"""What a process of an instance asks of the kernel for itself."""

import ctypes
import os
import signal
from collections.abc import Iterable, Set
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4  # prctl(2)
MIB = 1024 * 1024


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone: the end of a pipe is not seen by
    one that is stopped or hangs. It is the parent's thread that counts, which must be its main
    one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def hide_memory() -> None:
    """Let only root trace this process or read its memory and environment: neither its decoder
    nor another process of the same user. It leaves no core dump either."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def end_first() -> None:
    """Have the kernel take this process before any other when memory runs out."""
    with suppress(OSError):  # a machine without that, or one that forbids it
        Path("/proc/self/oom_score_adj").write_text("1000")


def reap_orphans(own: Set[int]) -> None:
    """As process 1 of a container: collect what has ended, except `own` children, whose exit codes
    are awaited elsewhere."""
    with suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def resident_bytes(pid: int | None = None) -> int:
    """Resident memory of this process, or of another, which is 0 when it is gone (proc(5), statm's
    second field). Rounded up to whole MiB, so that it seldom changes."""
    try:
        pages = int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1])
    except OSError:
        return 0
    return -(-pages * os.sysconf("SC_PAGE_SIZE") // MIB) * MIB


def machine_bytes() -> int:
    """Memory of the machine, whatever of it this process may have."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def address_space() -> int:
    """Bytes of this process's memory by RLIMIT_AS's count (proc(5), statm's first field)."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(children: Iterable[int] = ()) -> float:
    """Processor time of this process, of its children that have ended, and of these that run, since
    their start (proc(5), the 14th and 15th field of stat)."""
    own = os.times()
    ended = own.children_user + own.children_system
    return own.user + own.system + ended + sum(map(_cpu_seconds_of, children))


def _cpu_seconds_of(pid: int) -> float:
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")

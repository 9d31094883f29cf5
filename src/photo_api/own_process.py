"""No process of ours outlives its parent; and process 1 of a container buries all orphans."""

import ctypes
import os
import signal
from collections.abc import Set
from contextlib import suppress

PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent is gone: the end of a pipe is not seen by
    one that is stopped or hangs. It is the parent's thread that counts, which must be its main
    one."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def reap_orphans(own: Set[int]) -> None:
    """Collect what has ended, except `own` children, for whose exit codes somebody waits."""
    with suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)

"""Process 1 of a container is the parent of all orphans, and has to bury them."""

import os
from collections.abc import Set
from contextlib import suppress


def reap_orphans(own: Set[int]) -> None:
    """Collect what has ended, except `own` children, for whose exit codes somebody waits."""
    with suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid in own:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)

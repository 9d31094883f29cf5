"""`photo-api` under a user id that nobody else has, so that a limit of its processes binds it
alone, and with root's rights to read files: `python -m tests.lifecycle.fork_limited UID FILE …`.
At SIGUSR1 the limit becomes what the file says."""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from photo_api.cli import main

SYS_ADMIN, SYS_RESOURCE = 21, 24
"""The capabilities (capabilities(7)) that the limit does not bind."""

VERSION_3 = 0x20080522
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24


def become(uid: int) -> None:
    """Only the real id counts for the limit, only the effective one for files."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (SYS_ADMIN, SYS_RESOURCE):
        assert libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0
    os.setresuid(uid, 0, 0)
    header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice, 32 bits each
    assert libc.capget(header, sets) == 0
    for index in range(3):
        sets[index] &= ~(1 << SYS_ADMIN | 1 << SYS_RESOURCE)
    assert libc.capset(header, sets) == 0
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # the change of ids forgot it


def obey(file: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)

    def change(*_: object) -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (int(file.read_text()), hard))

    signal.signal(signal.SIGUSR1, change)


if __name__ == "__main__":
    become(int(sys.argv.pop(1)))
    obey(Path(sys.argv.pop(1)))
    sys.exit(main())

"""What a process keeps to itself."""

import ctypes

PR_SET_DUMPABLE = 4  # prctl(2)


def hide_memory() -> None:
    """Have nobody but root trace this process or read its memory and environment: neither its
    decoder nor another process of the same user. It leaves no core dump either."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)

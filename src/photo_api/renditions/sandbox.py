"""What the decoder's child gives up for good before it opens a file: it reaches nothing outside.

A filter of system calls (seccomp(2)) for all its threads, which lets through what decoding takes
and nothing else; no privilege that an exec could give; no capability where it runs as root. Its
limits close files and sockets to it besides.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterator

PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
SECCOMP_SET_MODE_FILTER, FOR_ALL_THREADS = 1, 1
CAPABILITIES_V3 = 0x20080522
ENOSYS, EPERM = 38, 1
CLONE_THREAD = 0x10000

# Classic BPF (linux/filter.h), over struct seccomp_data: nr, arch, instruction pointer, arguments.
LOAD, EQUAL, ANY_BIT, AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
ALLOW, ERROR = 0x7FFF0000, 0x00050000
X32 = 0x40000000

FILTERS = {"x86_64": 317, "aarch64": 277}
"""The number of seccomp itself, by machine."""

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""AUDIT_ARCH_*."""

ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # What it has open: its pipe to the parent, and a file in memory for what libraries say.
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "close": (3, 57),
    "fstat": (5, 80), "lseek": (8, 62), "poll": (7, None), "ppoll": (271, 73),
    # Memory of its own.
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "mremap": (25, 216), "madvise": (28, 233), "membarrier": (324, 283),
    # Threads, and waiting for each other.
    "futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293), "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123), "getcpu": (309, 168), "exit": (60, 93),
    "exit_group": (231, 94),
    # Its own signals, and the time.
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132), "restart_syscall": (219, 128), "setitimer": (38, 103),
    "getitimer": (36, 102), "nanosleep": (35, 101), "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169),
    "time": (201, None), "times": (100, 153),
    # Who and where it is.
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174),
    "geteuid": (107, 175), "getgid": (104, 176), "getegid": (108, 177), "uname": (63, 160),
    "sysinfo": (99, 179), "getrusage": (98, 165), "getrandom": (318, 278),
}  # fmt: skip
"""Whatever their arguments are; numbers on x86_64 and on aarch64. What is not here gets EPERM:
paths, sockets, other processes, and all that a kernel will have that is not born yet."""

IF_FIRST: dict[str, tuple[int, int]] = {
    "clone": (56, 220), "kill": (62, 129), "tgkill": (234, 131), "prctl": (157, 167),
    "prlimit64": (302, 261),
}  # fmt: skip
"""Allowed when their first argument is what they are needed with: a new thread, itself, the name of
a thread."""

FCNTL, CLONE3 = (72, 25), (435, 435)
F_GETFD, F_GETFL = 1, 3
PR_SET_NAME = 15

LIBC = ctypes.CDLL(None, use_errno=True)


def confine() -> None:
    """From here on, for every thread that there is or will be. What a machine, a kernel or a filter
    around this process does not let it give up is told on standard error: the limits stay."""
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        _drop_capabilities()
    machine = platform.machine()
    if machine not in MACHINES:
        print(f"no filter of system calls for {machine}", file=sys.stderr)
        return
    program = _Program(*_packed(_instructions(machine, os.getpid())))
    done = LIBC.syscall(
        FILTERS[machine], SECCOMP_SET_MODE_FILTER, FOR_ALL_THREADS, ctypes.byref(program)
    )
    if done:
        reason = os.strerror(ctypes.get_errno()) if done < 0 else f"thread {done} has its own"
        print(f"no filter of system calls: {reason}", file=sys.stderr)


class _Program(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant."""


def _packed(instructions: list[Instruction]) -> tuple[int, bytes]:
    packed = b"".join(struct.pack("=HBBI", *one) for one in instructions)
    return len(instructions), packed


def _instructions(machine: str, pid: int) -> list[Instruction]:
    column = list(MACHINES).index(machine)
    first = {name: both[column] for name, both in IF_FIRST.items()}
    found: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, MACHINES[machine]),
        (RETURN, 0, 0, ERROR | EPERM),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, ERROR | EPERM),
    ]
    for both in ALLOWED.values():
        if (number := both[column]) is not None:
            found += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    # Its flags are in memory, where no filter looks; glibc goes on with clone.
    found += [(EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, ERROR | ENOSYS)]
    found += _if(first["clone"], (ANY_BIT, CLONE_THREAD))
    found += _if(first["kill"], (EQUAL, pid))
    found += _if(first["tgkill"], (EQUAL, pid))
    found += _if(first["prctl"], (EQUAL, PR_SET_NAME))
    found += _if(first["prlimit64"], (EQUAL, 0))
    # To be told of a pipe is also a way to have the kernel send signals to others.
    found += _if(FCNTL[column], (EQUAL, F_GETFL), argument=1)
    found += _if(FCNTL[column], (EQUAL, F_GETFD), argument=1)
    found.append((RETURN, 0, 0, ERROR | EPERM))
    return found


def _if(number: int, test: tuple[int, int], argument: int = 0) -> Iterator[Instruction]:
    """Allowed when this argument (its lower half) passes the test; otherwise it goes on."""
    code, constant = test
    yield EQUAL, 0, 4, number
    yield LOAD, 0, 0, ARGUMENTS + 8 * argument
    yield code, 0, 1, constant
    yield RETURN, 0, 0, ALLOW
    yield LOAD, 0, 0, NUMBER


def _drop_capabilities() -> None:
    for number in range(64):  # EINVAL beyond the last that this kernel knows
        LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    header = struct.pack("=Ii", CAPABILITIES_V3, 0)
    if LIBC.capset(header, bytes(24)):
        print(f"it keeps its capabilities: {os.strerror(ctypes.get_errno())}", file=sys.stderr)

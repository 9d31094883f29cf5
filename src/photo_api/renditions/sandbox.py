"""What the decoder's child gives up for good before it opens a file: it may reach no other process.

A filter of system calls (seccomp(2)) for all its threads, no privilege that an exec could give, and
no capability where it runs as root. Files and sockets are closed to it by its limits already.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterator

PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
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

DENIED: dict[str, tuple[int, int | None]] = {
    # Other processes: their memory, their descriptors, their limits and order of running.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # New processes, and what would take the place of this program.
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    # What needs no descriptor and is shared with others.
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190),
    "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186),
    "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187), "add_key": (248, 217),
    "request_key": (249, 218), "keyctl": (250, 219),
    # The kernel's larger surfaces.
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "setns": (308, 268), "unshare": (272, 97), "mount": (165, 40),
    "umount2": (166, 39),
}  # fmt: skip
"""Refused whatever their arguments are: numbers on x86_64 and on aarch64."""

CONDITIONAL = {
    "clone": (56, 220), "clone3": (435, 435), "kill": (62, 129), "tgkill": (234, 131),
    "prctl": (157, 167),
}  # fmt: skip

OF_ITSELF = {
    "prlimit64": (302, 261), "sched_setscheduler": (144, 119), "sched_setparam": (142, 118),
    "sched_setattr": (314, 274), "sched_setaffinity": (203, 122),
}  # fmt: skip
"""Allowed when the process that they name is 0."""

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
    numbers = {name: both[column] for name, both in CONDITIONAL.items()}
    found: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, MACHINES[machine]),
        (RETURN, 0, 0, ERROR | EPERM),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, 0, 1, X32),
        (RETURN, 0, 0, ERROR | EPERM),
    ]
    for one in DENIED.values():
        if (number := one[column]) is not None:
            found += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERROR | EPERM)]
    # Its flags are in memory, where no filter looks; glibc goes on with clone.
    found += [(EQUAL, 0, 1, numbers["clone3"]), (RETURN, 0, 0, ERROR | ENOSYS)]
    found += _if(numbers["clone"], (ANY_BIT, CLONE_THREAD))
    found += _if(numbers["kill"], (EQUAL, pid))
    found += _if(numbers["tgkill"], (EQUAL, pid))
    for both in OF_ITSELF.values():
        found += _if(both[column], (EQUAL, 0))
    found += _unless(numbers["prctl"], (EQUAL, PR_SET_PDEATHSIG))
    found.append((RETURN, 0, 0, ALLOW))
    return found


def _if(number: int, test: tuple[int, int]) -> Iterator[Instruction]:
    """Allowed when its first argument (its lower half) passes the test."""
    code, constant = test
    yield EQUAL, 0, 4, number
    yield LOAD, 0, 0, ARGUMENTS
    yield code, 0, 1, constant
    yield RETURN, 0, 0, ALLOW
    yield RETURN, 0, 0, ERROR | EPERM


def _unless(number: int, test: tuple[int, int]) -> Iterator[Instruction]:
    """Refused then."""
    code, constant = test
    yield EQUAL, 0, 4, number
    yield LOAD, 0, 0, ARGUMENTS
    yield code, 0, 1, constant
    yield RETURN, 0, 0, ERROR | EPERM
    yield RETURN, 0, 0, ALLOW


def _drop_capabilities() -> None:
    for number in range(64):  # EINVAL beyond the last that this kernel knows
        LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    header = struct.pack("=Ii", CAPABILITIES_V3, 0)
    if LIBC.capset(header, bytes(24)):
        print(f"it keeps its capabilities: {os.strerror(ctypes.get_errno())}", file=sys.stderr)

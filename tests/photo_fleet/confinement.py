"""A program confined as a unit's lines say, by the same kernel means that systemd uses, where no
systemd runs: `python -m tests.photo_fleet.confinement UNIT PROGRAM ARGUMENT…`.

Done are system calls, socket families, writable and executable memory, privileges (of root's
capabilities one is left; a unit with a user of its own runs as nobody) and limits; folders and
namespaces are not. It ends with the program.
"""

import ctypes
import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

ALLOW, REFUSE = 0x7FFF0000, 0x00050000
EPERM, EAFNOSUPPORT = 1, 97
EQUAL, MASKED_EQUAL = 4, 7
PROT_EXEC, PROT_WRITE_EXEC = 4, 6
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
NOBODY = 65534
CAP_DAC_OVERRIDE = 1  # kept: the embedded database's socket belongs to another user
LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
LARGEST_FAMILY = 45


class Comparison(ctypes.Structure):
    """seccomp_rule_add(3), struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class Filter:
    """A filter of system calls (libseccomp); `load` puts it on this process for ever."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))

    def rule(self, action: int, call: str, *comparisons: Comparison) -> None:
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        if number < 0:
            return  # of another architecture
        array = (Comparison * len(comparisons))(*comparisons)
        failed = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, len(comparisons), array
        )
        assert not failed, f"{call}: {os.strerror(-failed)}"

    def load(self) -> None:
        failed = self._library.seccomp_load(self._context)
        assert not failed, os.strerror(-failed)


def settings(unit: str) -> dict[str, list[str]]:
    """The unit's lines by their key; a key may stand several times."""
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def syscall_sets() -> dict[str, list[str]]:
    """The members of every set such as @system-service, as this systemd defines them."""
    command = ["systemd-analyze", "syscall-filter", "--no-pager"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    sets: dict[str, list[str]] = {}
    for line in listing.splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line.strip(), [])
        elif line.strip()[:1] not in ("", "#"):
            members.append(line.strip())
    return sets


def syscalls(name: str, sets: dict[str, list[str]]) -> set[str]:
    """The calls of a set, those of the sets that it includes too."""
    if name not in sets:
        return {name}
    return {call for member in sets[name] for call in syscalls(member, sets)}


def confine(unit: str) -> None:
    """Put this process under what the unit says."""
    lines = settings(unit)
    filters = [_families(lines["RestrictAddressFamilies"][-1].split())]
    if lines["MemoryDenyWriteExecute"][-1] == "yes":
        filters.append(_write_execute())
    filters.append(_calls(lines["SystemCallFilter"]))
    os.umask(int(lines["UMask"][-1], 8))
    for key, limit in (
        ("LimitNOFILE", resource.RLIMIT_NOFILE),
        ("LimitCORE", resource.RLIMIT_CORE),
    ):
        allowed = min(int(lines[key][-1]), resource.getrlimit(limit)[1])
        resource.setrlimit(limit, (allowed, allowed))
    prctl = ctypes.CDLL(None).prctl
    if os.getuid() == 0:
        capabilities = set(range(int(LAST_CAPABILITY.read_text()) + 1))
        for capability in capabilities - {CAP_DAC_OVERRIDE}:
            prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    if os.getuid() == 0 and "User" in lines:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    for item in filters:
        item.load()


def _calls(lines: list[str]) -> Filter:
    sets = syscall_sets()
    allowed: set[str] = set()
    for line in lines:
        for name in line.removeprefix("~").split():
            named = syscalls(name, sets)
            allowed = allowed - named if line[0] == "~" else allowed | named
    only = Filter(REFUSE | EPERM)
    for call in sorted(allowed | syscalls("@default", sets)):
        only.rule(ALLOW, call)
    return only


def _families(names: list[str]) -> Filter:
    allowed = {int(getattr(socket, name)) for name in names}
    others = Filter(ALLOW)
    for family in set(range(LARGEST_FAMILY + 1)) - allowed:
        others.rule(REFUSE | EAFNOSUPPORT, "socket", Comparison(0, EQUAL, family, 0))
    return others


def _write_execute() -> Filter:
    """As seccomp_memory_deny_write_execute of systemd 252."""
    memory = Filter(ALLOW)
    both = Comparison(2, MASKED_EQUAL, PROT_WRITE_EXEC, PROT_WRITE_EXEC)
    memory.rule(REFUSE | EPERM, "mmap", both)
    for call in ("mprotect", "pkey_mprotect"):
        memory.rule(REFUSE | EPERM, call, Comparison(2, MASKED_EQUAL, PROT_EXEC, PROT_EXEC))
    return memory


if __name__ == "__main__":
    confine(Path(sys.argv[1]).read_text())
    os.execv(sys.argv[2], sys.argv[2:])

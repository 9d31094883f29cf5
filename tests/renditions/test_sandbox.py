"""A decoder that was taken over reaches no other process, and decodes on."""

import ctypes
import importlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from photo_api import own_process
from photo_api.renditions import sandbox

HOSTILE = """
import ctypes, errno, json, os, resource, sys, threading
from photo_api.renditions import sandbox
from tests.renditions.test_sandbox import CALLS

libc = ctypes.CDLL(None, use_errno=True)
column = list(sandbox.MACHINES).index(os.uname().machine)
numbers = {name: both[column] for name, both in CALLS.items() if both[column] is not None}
folder = sys.argv[4].encode()
secret_file, gone, made = (folder + name for name in (b"/secret", b"/gone", b"/made"))
parent, sibling = os.getppid(), int(sys.argv[2])
early = threading.Event(), threading.Event()

def try_(name, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(numbers[name], *map(ctypes.c_long, arguments))
    number = ctypes.get_errno() if result < 0 else 0
    return errno.errorcode.get(number, "done") if number else "done"

keep_pipe = os.pipe()
there = []
def of_before():
    # A thread that was there before, as those of libvips are.
    early[0].wait()
    there.append(try_("kill", sibling, 0))
    early[1].set()

threading.Thread(target=of_before, daemon=True).start()
status = os.open("/proc/self/status", os.O_RDONLY)
if sys.argv[1] == "confined":
    sandbox.confine()
early[0].set()
early[1].wait()

pipe = keep_pipe[0]
buffer = ctypes.create_string_buffer(64)
class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))
local = Vector(ctypes.addressof(buffer), 8)
secret = Vector(int(sys.argv[3]), 8)
pointer = ctypes.addressof
cores = ctypes.create_string_buffer(b"\\1" * 8)
found = {
    "read the parent": try_("process_vm_readv", parent, pointer(local), 1, pointer(secret), 1, 0),
    "write it": try_("process_vm_writev", parent, pointer(local), 1, pointer(secret), 1, 0),
    "trace it": try_("ptrace", 0x4206, parent, 0, 0),
    "signal it": try_("kill", parent, 0),
    "signal a sibling": try_("kill", sibling, 0),
    "signal all": try_("kill", -1, 0),
    "signal a thread of another": try_("tgkill", sibling, sibling, 0),
    "tkill": try_("tkill", sibling, 0),
    "hold it": try_("pidfd_open", sibling, 0),
    "limit it": try_("prlimit64", parent, resource.RLIMIT_NOFILE, 0, 0),
    "hold it up": try_("setpriority", 0, sibling, 19),
    "pin it": try_("sched_setaffinity", sibling, 8, pointer(cores)),
    "outlive the parent": try_("prctl", 1, 0, 0, 0, 0),
    "exec": try_("execve", 0, 0, 0),
    "share memory": try_("shmget", 0, 4096, 0o1600),
    "a namespace": try_("unshare", 0x04000000),
    "signal, from a thread of before": there[0],
    "have it signalled": try_("fcntl", pipe, 8, sibling),
    "by another signal": try_("fcntl", pipe, 10, 9),
    "whenever there is something": try_("fcntl", pipe, 4, os.O_ASYNC),
    "the same otherwise": try_("ioctl", pipe, 0x5452, pointer(cores)),
    "a session": try_("setsid"),
    "a socket": try_("socket", 1, 1, 0),
    "a timer on a file": try_("timerfd_create", 0, 0),
}
AT = -100
def path(name):
    buffer = ctypes.create_string_buffer(name)
    keep.append(buffer)
    return pointer(buffer)
keep = []
found |= {
    "open a file": try_("openat", AT, path(secret_file), 0, 0),
    "see one": try_("faccessat", AT, path(secret_file), 0, 0),
    "truncate one": try_("truncate", path(secret_file), 0),
    "show one to all": try_("fchmodat", AT, path(secret_file), 0o666),
    "give one away": try_("fchownat", AT, path(secret_file), 65534, 65534, 0),
    "date one": try_("utimensat", AT, path(secret_file), 0, 0),
    "link one": try_("linkat", AT, path(secret_file), AT, path(made + b"-link"), 0),
    "make a link": try_("symlinkat", path(b"/etc/passwd"), AT, path(made + b"-symlink")),
    "make a folder": try_("mkdirat", AT, path(made + b"-folder"), 0o777),
    "make a pipe": try_("mknodat", AT, path(made + b"-fifo"), 0o10666, 0),
    "rename one": try_("renameat2", AT, path(gone), AT, path(made), 0),
    "delete one": try_("unlinkat", AT, path(secret_file), 0),
    "go elsewhere": try_("chdir", path(b"/tmp")),
    "mark one": try_("setxattr", path(gone), path(b"user.x"), path(b"x"), 1, 0),
}
forked = try_("clone", 17, 0, 0, 0, 0)
if forked == "done" and os.getppid() != parent:
    os._exit(0)  # in the child
found["fork"] = forked
found["clone3"] = try_("clone3", 0, 0)
# What it needs goes on.
done = []
thread = threading.Thread(target=done.append, args=(1,))
thread.start()
thread.join()
found["a thread"] = "done" if done else "no"
found["its own limits"] = try_("prlimit64", 0, resource.RLIMIT_NOFILE, 0, 0)
found["its own end"] = try_("tgkill", os.getpid(), threading.get_native_id(), 0)
os.lseek(status, 0, 0)
lines = dict(line.split(":", 1) for line in os.read(status, 65536).decode().splitlines())
found["capabilities"] = int(lines["CapEff"], 16) | int(lines["CapBnd"], 16)
found["privileges"] = lines["NoNewPrivs"].strip()
print(json.dumps(found))
"""

CALLS = {
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
    "kill": (62, 129), "tgkill": (234, 131), "tkill": (200, 130), "pidfd_open": (434, 434),
    "prlimit64": (302, 261), "setpriority": (141, 140), "sched_setaffinity": (203, 122),
    "prctl": (157, 167), "execve": (59, 221), "shmget": (29, 194), "unshare": (272, 97),
    "clone": (56, 220), "clone3": (435, 435), "fcntl": (72, 25), "ioctl": (16, 29),
    "setsid": (112, 157), "socket": (41, 198), "timerfd_create": (283, 85), "openat": (257, 56),
    "faccessat": (269, 48), "truncate": (76, 45), "fchmodat": (268, 53), "fchownat": (260, 54),
    "utimensat": (280, 88), "linkat": (265, 37), "symlinkat": (266, 36), "mkdirat": (258, 34),
    "mknodat": (259, 33), "renameat2": (316, 276), "unlinkat": (263, 35), "chdir": (80, 49),
    "setxattr": (188, 5),
}  # fmt: skip
"""Numbers of system calls, on x86_64 and on aarch64."""

ROOT = Path(__file__).parents[2]
KEPT = ("a thread", "its own limits", "its own end", "capabilities", "privileges")
pytestmark = pytest.mark.skipif(
    os.uname().machine not in sandbox.MACHINES, reason="no filter for this machine"
)


def tried(how: str, folder: Path) -> dict[str, Any]:
    """What a child did, by name, and what became of it."""
    for name in ("secret", "gone"):
        (folder / name).write_text("a secret")
        (folder / name).chmod(0o600)
    secret = ctypes.create_string_buffer(b"a secret")
    sibling = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        arguments = [how, str(sibling.pid), str(ctypes.addressof(secret)), str(folder)]
        done = subprocess.run(
            [sys.executable, "-c", HOSTILE, *arguments],
            capture_output=True, text=True, timeout=60, check=False, cwd=ROOT,
        )  # fmt: skip
    finally:
        sibling.kill()
        sibling.wait()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_child_that_was_taken_over_reaches_nothing(tmp_path: Path) -> None:
    found = tried("confined", tmp_path)
    reached = {
        name: how
        for name, how in found.items()
        if name not in KEPT and how not in ("EPERM", "ENOSYS")
    }
    assert reached == {}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["gone", "secret"]
    assert (tmp_path / "secret").read_text() == "a secret"
    assert {found[name] for name in KEPT[:3]} == {"done"}
    assert found["privileges"] == "1"
    if os.geteuid() == 0:
        assert found["capabilities"] == 0


def test_without_the_sandbox_it_would(tmp_path: Path) -> None:
    """What is tried above can be done at all: each shows that its refusal is the sandbox's."""
    found = tried("free", tmp_path)
    assert found["signal a sibling"] == found["limit it"] == found["share memory"] == "done"
    assert found["outlive the parent"] == found["fork"] == found["hold it"] == "done"
    assert found["delete one"] == found["have it signalled"] == found["show one to all"] == "done"
    assert not (tmp_path / "secret").exists()
    if os.geteuid() == 0:
        assert found["read the parent"] == "done"


AS_NOBODY = """
import ctypes, os, sys
os.setgid(65534)
os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # as after an exec
exec(sys.argv[1])
print(os.stat("/proc/self/environ").st_uid)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_hidden_memory_belongs_to_root() -> None:
    """The kernel gives the files of a process that is not dumpable to root (proc(5))."""
    function = inspect.getsource(own_process.hide_memory)
    hide = f"PR_SET_DUMPABLE = {own_process.PR_SET_DUMPABLE}\n{function}\nhide_memory()"
    for program, owner in (("", "65534"), (hide, "0")):
        command = [sys.executable, "-I", "-c", AS_NOBODY, program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == owner


def test_all_that_hold_secrets_hide_their_memory() -> None:
    def source(name: str) -> str:
        return inspect.getsource(importlib.import_module(f"photo_api.{name}"))

    for name in ("supervisor.serving", "supervisor.worker_process"):
        assert "    hide_memory()\n" in source(name)
    for name in ("web_worker", "job_worker"):
        assert "    with worker_process() as worker:\n" in source(name)

"""A decoder that was taken over reaches no other process, and decodes on."""

import ctypes
import importlib
import inspect
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from photo_api.lifecycle import memory
from photo_api.renditions import sandbox

HOSTILE = """
import ctypes, errno, json, os, resource, sys, threading
from photo_api.renditions import sandbox

libc = ctypes.CDLL(None, use_errno=True)
column = list(sandbox.MACHINES).index(os.uname().machine)
numbers = {
    name: both[column]
    for table in (sandbox.DENIED, sandbox.CONDITIONAL, sandbox.OF_ITSELF)
    for name, both in table.items()
    if both[column] is not None
}
parent, sibling = os.getppid(), int(sys.argv[2])
early = threading.Event(), threading.Event()

def try_(name, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(numbers[name], *map(ctypes.c_long, arguments))
    number = ctypes.get_errno() if result < 0 else 0
    return errno.errorcode.get(number, "done") if number else "done"

there = []
def of_before():
    # A thread that was there before, as those of libvips are.
    early[0].wait()
    there.append(try_("kill", sibling, 0))
    early[1].set()

threading.Thread(target=of_before, daemon=True).start()
if sys.argv[1] == "confined":
    sandbox.confine()
early[0].set()
early[1].wait()

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
    "outlive the parent": try_("prctl", sandbox.PR_SET_PDEATHSIG, 0, 0, 0, 0),
    "exec": try_("execve", 0, 0, 0),
    "share memory": try_("shmget", 0, 4096, 0o1600),
    "a namespace": try_("unshare", 0x04000000),
    "signal, from a thread of before": there[0],
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
with open("/proc/self/status") as file:
    lines = dict(line.split(":", 1) for line in file.read().splitlines())
found["capabilities"] = int(lines["CapEff"], 16) | int(lines["CapBnd"], 16)
found["privileges"] = lines["NoNewPrivs"].strip()
print(json.dumps(found))
"""

KEPT = ("a thread", "its own limits", "its own end", "capabilities", "privileges")
pytestmark = pytest.mark.skipif(
    os.uname().machine not in sandbox.MACHINES, reason="no filter for this machine"
)


def tried(how: str) -> dict[str, Any]:
    """What a child did, by name, and what became of it."""
    secret = ctypes.create_string_buffer(b"a secret")
    sibling = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        arguments = [how, str(sibling.pid), str(ctypes.addressof(secret))]
        done = subprocess.run(
            [sys.executable, "-c", HOSTILE, *arguments],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        sibling.kill()
        sibling.wait()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_child_that_was_taken_over_reaches_nothing() -> None:
    found = tried("confined")
    reached = {
        name: how
        for name, how in found.items()
        if name not in KEPT and how not in ("EPERM", "ENOSYS")
    }
    assert reached == {}
    assert {found[name] for name in KEPT[:3]} == {"done"}
    assert found["privileges"] == "1"
    if os.geteuid() == 0:
        assert found["capabilities"] == 0


def test_without_the_sandbox_it_would() -> None:
    """What is tried above can be done at all: each shows that its refusal is the sandbox's."""
    found = tried("free")
    assert found["signal a sibling"] == found["limit it"] == found["share memory"] == "done"
    assert found["outlive the parent"] == found["fork"] == found["hold it"] == "done"
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
    hide = inspect.getsource(memory) + "\nhide_memory()"
    for program, owner in (("", "65534"), (hide, "0")):
        command = [sys.executable, "-I", "-c", AS_NOBODY, program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == owner


def test_all_that_hold_secrets_hide_their_memory() -> None:
    for name in (
        "photo_api.lifecycle.serving",
        "photo_api.lifecycle.worker",
        "photo_api.jobs.process",
    ):
        assert "    hide_memory()\n" in inspect.getsource(importlib.import_module(name))

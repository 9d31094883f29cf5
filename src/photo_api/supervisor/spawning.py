"""How the supervisor's children begin: with a command line, or ahead of it.

One web worker of an instance starts ahead, before the supervisor has loaded what it takes to read
its own command line and settings: both import at the same time, and the worker hears the rest of
its command line over the channel. What this module imports holds up that start.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from socket import AF_UNIX, SOCK_SEQPACKET, send_fds, socket, socketpair

from photo_api.contract import WEB_WORKER

MALLOC = {
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "524288",
    "MALLOC_TRIM_THRESHOLD_": "8388608",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""For glibc (mallopt(3)) of a web worker, unless the environment has others: what uploads took goes
back to the machine, but not what a page of 1,000 photos takes, which the next would have to fetch
again. Large blocks ask for huge pages: a password's hash takes 19 MiB, which are 4,864 pages of the
others. musl knows none of these, and gives large blocks back by itself."""


def socket_pair() -> tuple[socket, socket]:
    """(the supervisor's end, the worker's end), non-blocking."""
    ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


def program(module: str, name: str) -> list[str]:
    """The beginning of a child's command line."""
    return [sys.executable, "-m", module, "--name", name]


def spawn(
    command: Sequence[str], environ: Mapping[str, str], inherited: Sequence[int], theirs: socket
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that a Ctrl-C or a group signal does not reach it
    beside its supervisor's commands. `theirs` is its end of the channel. Raises OSError."""
    descriptor = theirs.fileno()
    return subprocess.Popen(
        [*command, "--control", str(descriptor)],
        stdin=subprocess.DEVNULL,
        env=environ,
        pass_fds=(*inherited, descriptor),
        start_new_session=True,
    )


class Ahead:
    """A web worker that imports, and then waits for the rest of its command line."""

    def __init__(self, process: subprocess.Popen[bytes], channel: socket) -> None:
        self.process = process
        self.channel = channel
        self._environ = MALLOC | os.environ
        self._begun = False

    @classmethod
    def start(cls) -> "Ahead | None":
        """As the first that an instance does. None where no process can be started for now: the
        supervisor will try again."""
        ours, theirs = socket_pair()
        command = [*program(WEB_WORKER, "web-1"), "--ahead"]
        with theirs:
            try:
                return cls(spawn(command, MALLOC | os.environ, (), theirs), ours)
            except OSError:
                ours.close()
                return None

    def begin(
        self, arguments: Sequence[str], environ: Mapping[str, str], inherited: Sequence[int]
    ) -> None:
        """Tell it the rest: what differs in `environ` from its own, and copies of the descriptors
        that its arguments name."""
        import json  # not while it starts

        self._begun = True
        changed = {name: value for name, value in environ.items() if self._differs(name, value)}
        told = {"arguments": arguments, "environ": changed, "descriptors": inherited}
        with suppress(OSError):  # it is gone, and its end is awaited
            send_fds(self.channel, [json.dumps(told).encode()], inherited)

    def _differs(self, name: str, value: str) -> bool:
        return self._environ.get(name) != value

    def drop(self) -> None:
        """Kill it if it never began: the instance's settings cannot be used, say."""
        if not self._begun:
            self.process.kill()
            self.process.wait()
            self.channel.close()

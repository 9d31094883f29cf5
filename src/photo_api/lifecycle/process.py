"""The supervisor's side of one child process: start, order, watch, restart."""

import asyncio
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

log = logging.getLogger(__name__)

FIRST_BACKOFF, LONGEST_BACKOFF = 0.1, 5.0
LONGEST_HEAD_START = 3.0
STABLE = 10.0
"""Seconds after which a process that dies is taken to have died for a new reason."""


@contextmanager
def _ignored_from_birth() -> Iterator[None]:
    """A child inherits which signals are blocked, so that none can end it before it has got as far
    as ignoring them. Those that come for us meanwhile are delivered afterwards."""
    numbers = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        # Not the mask from before: several starts overlap. Each forks before it first waits.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


class Process:
    """A child that is kept alive until it is stopped. It lives in a session of its own, so that a
    Ctrl-C or a group signal does not reach it beside its supervisor's orders."""

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        inherited: Sequence[int] = (),
        after: "Sequence[Process]" = (),
    ) -> None:
        self.name = name
        self.pid: int | None = None
        self.ready = asyncio.Event()
        self.in_flight = 0
        self._command = [sys.executable, "-m", module, "--name", name, *arguments]
        self._environ = dict(environ)
        self._inherited = tuple(inherited)
        self._orders: socket.socket | None = None
        self._after = after
        self._stopping = False
        self._woken = asyncio.Event()

    async def keep_running(self) -> None:
        """Run it, and again whenever it dies, until `stop` was ordered. Cancelling kills it. The
        first start waits until those it comes `after` have had the processor to be ready."""
        if self._after:
            waiting = [
                asyncio.create_task(self._woken.wait()),
                asyncio.create_task(_all_ready(self._after)),
            ]
            await asyncio.wait(
                waiting, timeout=LONGEST_HEAD_START, return_when=asyncio.FIRST_COMPLETED
            )
            for task in waiting:
                task.cancel()
        backoff = FIRST_BACKOFF
        while not self._stopping:
            started = time.monotonic()
            code = await self._run_once()
            if self._stopping:
                return
            backoff = FIRST_BACKOFF if time.monotonic() - started > STABLE else backoff
            log.error(
                "process died; restarting",
                extra={"fields": {"name": self.name, "exit": code, "backoff_s": backoff}},
            )
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF)

    async def _run_once(self) -> int:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            descriptor = theirs.fileno()
            with _ignored_from_birth():
                child = await asyncio.create_subprocess_exec(
                    *self._command,
                    "--orders",
                    str(descriptor),
                    stdin=subprocess.DEVNULL,
                    env=self._environ,
                    pass_fds=(*self._inherited, descriptor),
                    start_new_session=True,
                )
        self.pid, self._orders = child.pid, ours
        listening = asyncio.create_task(self._listen(ours))
        try:
            return await child.wait()
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
            listening.cancel()
            self.ready.clear()
            self.in_flight = 0
            self.pid, self._orders = None, None
            ours.close()

    async def _listen(self, ours: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        pending = b""
        with suppress(OSError):
            while received := await loop.sock_recv(ours, 256):
                *lines, pending = (pending + received).split(b"\n")
                for line in lines:
                    self._take_report(line.decode())

    def _take_report(self, report: str) -> None:
        event, _, value = report.partition(" ")
        if event == "ready":
            self.ready.set()
        elif event == "in-flight":
            self.in_flight = int(value)

    def order(self, order: str) -> None:
        """Send an order; after `stop` the process is not restarted."""
        if order == "stop":
            self._stopping = True
            self._woken.set()
        if self._orders is not None:
            with suppress(OSError):
                self._orders.send(order.encode() + b"\n")


async def _all_ready(processes: Sequence[Process]) -> bool:
    for process in processes:
        await process.ready.wait()
    return True

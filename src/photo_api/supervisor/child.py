"""One child process of the supervisor: started once, sent commands, listened to until it ends."""

import asyncio
import logging
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from photo_api.supervisor.control_channel import messages
from photo_api.supervisor.load import WorkerLoad
from photo_api.supervisor.spawning import Ahead, socket_pair, spawn
from photo_base.tasks import beside, first

log = logging.getLogger(__name__)

OF_PYTHON = 3
"""Words of a command line before the module's own: the interpreter, -m and the module."""


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """A child inherits which signals are blocked, so that none can end it before it has got as far
    as ignoring them. Those that come for us meanwhile are delivered afterwards."""
    numbers = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        # Not the mask from before: several starts overlap. Each forks before it first waits.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


class Child:
    """A process, or the one that has started `ahead`. `on_event` gets what it sends, `end` gives
    its exit code, or OSError when it could not be started, or there is no thread to wait for it;
    cancelling `end` kills it."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        inherited: Sequence[int],
        on_event: Callable[["Child", str, str], None],
        ahead: Ahead | None = None,
    ) -> None:
        self.pid: int | None = None
        self.ready = asyncio.Event()
        self.load = WorkerLoad()
        self.was_ready = False
        self.finished_at: float | None = None
        """When it said that it carries no request any more (monotonic)."""
        self.has_told = False
        """Whether it has said its last word, after which its numbers do not change."""
        self._on_event = on_event
        self._channel: socket.socket | None = None
        self._unsent: dict[str, str] = {}
        self.end = asyncio.create_task(self._run(command, environ, inherited, ahead))

    async def _run(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        inherited: Sequence[int],
        ahead: Ahead | None,
    ) -> int:
        """What was sent before this begins is there at the start of the process."""
        if ahead is None:
            process, ours = self._spawn(command, environ, inherited)
        else:
            process, ours = ahead.process, ahead.channel
            ahead.begin(command[OF_PYTHON:], environ, inherited)
            self._open(ours)
        with ours:
            self.pid = process.pid
            listening = asyncio.create_task(self._listen(ours))
            ended = asyncio.create_task(beside(process.wait, f"end of {process.pid}"))
            try:
                return await asyncio.shield(ended)
            finally:
                if process.returncode is None:
                    process.kill()
                    with suppress(OSError):  # no thread waits for it
                        await ended
                # What it said last may still be on its way.
                await first(listening, timeout=1)
                listening.cancel()
                asyncio.get_running_loop().remove_writer(ours)
                self.pid = None

    def _spawn(
        self, command: Sequence[str], environ: Mapping[str, str], inherited: Sequence[int]
    ) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket_pair()
        with theirs, _signals_blocked():
            self._open(ours)
            try:
                return spawn(command, environ, inherited, theirs), ours
            except OSError:
                ours.close()
                raise

    def _open(self, channel: socket.socket) -> None:
        self._channel = channel
        self._flush()

    async def _listen(self, channel: socket.socket) -> None:
        async for message in messages(channel):
            try:
                self._take(message)
            except Exception:  # one event less, and the next is heard
                log.exception("an event cannot be taken", extra={"fields": {"pid": self.pid}})

    def _take(self, message: str) -> None:
        event, _, value = message.partition(" ")
        if event == "ready":
            self.was_ready = True
            self.ready.set()
        elif event == "load":
            self.load = WorkerLoad.told(value)
        elif event == "finished":
            self.finished_at = time.monotonic()
        elif event == "told":
            self.has_told = True
        self._on_event(self, event, value)

    def send(self, command: str) -> None:
        """Send a command. While a process that hangs takes none, the last of each kind waits; one
        to a process that is gone is dropped."""
        kind = command.partition(" ")[0]
        if self._channel is not None:  # before its start each keeps its place: secrets are first
            self._unsent.pop(kind, None)
        self._unsent[kind] = command
        self._flush()

    def _flush(self) -> None:
        if self._channel is None:
            return
        loop = asyncio.get_running_loop()
        while self._unsent:
            kind = next(iter(self._unsent))
            try:
                self._channel.send(self._unsent[kind].encode())
            except BlockingIOError:
                loop.add_writer(self._channel, self._flush)
                return
            except OSError:
                self._unsent.clear()
            else:
                del self._unsent[kind]
        if self._channel.fileno() >= 0:
            loop.remove_writer(self._channel)


def told_exit(code: int) -> str:
    """How a process ended, for people."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"

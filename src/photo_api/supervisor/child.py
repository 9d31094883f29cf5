"""One child process of the supervisor: started once, sent commands, listened to until it ends."""

import asyncio
import logging
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from photo_api.supervisor.control_channel import messages, socket_pair
from photo_api.supervisor.load import WorkerLoad
from photo_base.tasks import first

log = logging.getLogger(__name__)


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
    """A process in a session of its own, so that a Ctrl-C or a group signal does not reach it
    beside its supervisor's commands. `on_event` gets what it sends, `end` gives its exit code, or
    OSError when it could not be started; cancelling `end` kills it."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        inherited: Sequence[int],
        on_event: Callable[["Child", str, str], None],
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
        self.end = asyncio.create_task(self._run(command, environ, inherited))

    async def _run(
        self, command: Sequence[str], environ: Mapping[str, str], inherited: Sequence[int]
    ) -> int:
        """What was sent before this begins is there at the start of the process."""
        ours, theirs = socket_pair()
        with ours:
            with theirs, _signals_blocked():
                self._channel = ours
                self._flush()
                descriptor = theirs.fileno()
                try:
                    process = await asyncio.create_subprocess_exec(
                        *command,
                        "--control",
                        str(descriptor),
                        stdin=subprocess.DEVNULL,
                        env=environ,
                        pass_fds=(*inherited, descriptor),
                        start_new_session=True,
                    )
                except RuntimeError as error:
                    # Python 3.11 waits for each child in a thread, and there is none to be had. The
                    # child hears that its supervisor is gone, and ends.
                    raise OSError(str(error)) from error
            self.pid = process.pid
            listening = asyncio.create_task(self._listen(ours))
            try:
                return await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
                # What it said last may still be on its way.
                await first(listening, timeout=1)
                listening.cancel()
                asyncio.get_running_loop().remove_writer(ours)
                self.pid = None

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

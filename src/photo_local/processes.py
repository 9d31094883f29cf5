"""One child process that never outlives this one."""

import asyncio
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import BinaryIO

LOG_LIMIT = 10 * 1024 * 1024

# The kernel sends the death signal only for a parent that dies after it was asked for, so the
# child looks once whether its parent is still there before it becomes the program.
_STARTED_BY_A_LIVING_PARENT = 'test "$PPID" = "$0" && umask 077 && exec "$@"'


class EmbeddedError(Exception):
    """An embedded part cannot run; the message tells a developer what to do."""


class ManagedProcess:
    """A running program in a session of its own, with its output in a log file."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @classmethod
    async def start(
        cls,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        death_signal: str,
        environment: Mapping[str, str] | None = None,
        privileges: Sequence[str] = (),
        feed: bytes = b"",
        folder: Path = Path("/"),
    ) -> "ManagedProcess":
        """Start `command`, which gets `death_signal` (a name such as KILL) when this process dies.

        What it makes only its own user reads. `privileges` are further options of setpriv(1),
        `feed` is what it reads as its input, `folder` its working directory. Call it on the main
        thread: the death signal is sent when the *thread* that forked ends. Raises
        `EmbeddedError` without setpriv.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(f"{name} must be started from the main thread")
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise EmbeddedError("setpriv is missing; install the package util-linux")
        tied = [setpriv, *privileges, "--pdeathsig", death_signal, "--"]
        tied += ["/bin/sh", "-c", _STARTED_BY_A_LIVING_PARENT, str(os.getpid())]
        with _open_log(log) as output, tempfile.TemporaryFile() as source:
            source.write(feed)
            source.seek(0)
            process = await asyncio.create_subprocess_exec(
                *tied,
                *command,
                stdin=source,
                stdout=output,
                stderr=output,
                env=None if environment is None else dict(environment),
                cwd=folder,
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for its end; a negative result is the signal that ended it."""
        return await self._process.wait()

    async def stop(self, steps: Sequence[tuple[signal.Signals, float]]) -> None:
        """Send each signal and wait so many seconds for the end; at last kill the whole group."""
        for number, patience in steps:
            if not self.alive:
                break
            with suppress(ProcessLookupError):
                self._process.send_signal(number)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), patience)
        # Also when the leader is gone already: what it started may be left in its group.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, for an error message."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


def _open_log(log: Path) -> BinaryIO:
    log.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            log.rename(log.with_name(log.name + ".1"))
    # Private: statements in PostgreSQL's log may hold people's data.
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def processes_in(folder: Path) -> list[int]:
    """Process ids whose working directory is `folder`; those of other users are not seen."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if Path(os.readlink(entry / "cwd")) == folder:
                    found.append(int(entry.name))
    return found


def kill(pids: Sequence[int]) -> None:
    """Send SIGKILL to each that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def end_processes_in(folder: Path, *, patience: float) -> None:
    """Wait up to `patience` seconds until nothing works in `folder`, then kill what does."""
    deadline = monotonic() + patience
    while left := processes_in(folder):
        if monotonic() > deadline:
            kill(left)
        await asyncio.sleep(0.02)

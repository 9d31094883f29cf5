"""Programs that this process starts: each in a session of its own, and none outlives it."""

import asyncio
import os
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, Signals
from typing import BinaryIO

from photo_base.whole_file import replace

LOG_LIMIT = 20 * 1024 * 1024
"""Bytes of a log; a longer one is put aside when its program starts."""

# The kernel sends the death signal only for a parent that dies after it was asked for, so the
# child looks once whether its parent is still there before it becomes the program.
_STARTED_BY_A_LIVING_PARENT = 'test "$PPID" = "$0" && exec "$@"'
_AND_PRIVATE = 'test "$PPID" = "$0" && umask 077 && exec "$@"'


class CannotStart(Exception):
    """Something cannot run; the message tells what to do."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program to start. `death_signal` (a name such as KILL) is sent to it when this process
    dies; what a `private` one makes only its own user reads. `privileges` are further options of
    setpriv(1), `feed` is what it reads as its input."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    folder: Path = Path("/")
    death_signal: str = "KILL"
    private: bool = False
    privileges: Sequence[str] = ()
    feed: bytes = b""


class Running:
    """A started program; `log` has what it says. With `piped`, its input and output are ours."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self._process = process

    @classmethod
    async def start(cls, program: Program, *, piped: bool = False) -> "Running":
        """Start it, with nothing inherited but its environment.

        Call it on the main thread: the death signal is sent when the *thread* that forked ends.
        Raises `CannotStart`.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(f"{program.name} must be started from the main thread")
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise CannotStart("setpriv is missing; install the Debian package util-linux")
        tied = [setpriv, *program.privileges, "--pdeathsig", program.death_signal, "--"]
        start = _AND_PRIVATE if program.private else _STARTED_BY_A_LIVING_PARENT
        tied += ["/bin/sh", "-c", start, str(os.getpid())]
        pipe = asyncio.subprocess.PIPE
        with _open_log(program.log) as output, _input(program.feed) as source:
            try:
                process = await asyncio.create_subprocess_exec(
                    *tied,
                    *program.command,
                    stdin=pipe if piped else source,
                    stdout=pipe if piped else output,
                    stderr=output,
                    env=dict(program.environ),
                    cwd=program.folder,
                    start_new_session=True,
                )
            except OSError as error:
                raise CannotStart(f"cannot start {program.name}: {error}") from error
        return cls(program, process)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Wait for its end; a negative result is the signal that ended it."""
        return await self._process.wait()

    async def first_line(self) -> bytes:
        """What a piped program says first; empty when it ends without a word."""
        assert self._process.stdout is not None
        return await self._process.stdout.readline()

    def signal(self, number: Signals) -> None:
        """Send it, unless the program is gone."""
        if self.alive:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self, *steps: tuple[Signals, float]) -> bool:
        """Send each signal and wait so many seconds for the end, then kill what is left; whether
        it ended before that."""
        try:
            for number, patience in steps:
                self.signal(number)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._process.wait(), patience)
            return not self.alive
        finally:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """SIGKILL for it and what is left in its session's first group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, SIGKILL)

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, for an error message."""
        return "\n".join(last_lines(self.program.log, lines))


def _open_log(path: Path) -> BinaryIO:
    """Append to a private log, which is put aside first when it is long."""
    path.parent.mkdir(parents=True, exist_ok=True)
    put_aside(path)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _input(feed: bytes) -> BinaryIO:
    source = os.fdopen(os.memfd_create("input"), "w+b")
    source.write(feed)
    source.seek(0)
    return source


def write(path: Path, text: str, mode: int = 0o666) -> None:
    """A file that a process is started with, whole. Raises `CannotStart`; an old one stays then."""
    try:
        replace(path, text, mode)
    except OSError as error:
        raise CannotStart(f"{path} cannot be written: {error.strerror}") from None


def put_aside(path: Path) -> None:
    """Rename a log that is long; the one that was put aside before goes."""
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_LIMIT:
            path.rename(path.with_name(path.name + ".1"))


def last_lines(path: Path, lines: int, within: int = 16 * 1024) -> list[str]:
    """The last lines of a file, none of a missing one; at most `within` bytes are read."""
    with suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - within))
        return file.read().decode(errors="replace").splitlines()[-lines:]
    return []


def find_program(name: str) -> str | None:
    """Its path; also in the folders of servers, which are not always on PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


def send(pids: Iterable[int], number: Signals) -> None:
    """The signal to each of them that is still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)

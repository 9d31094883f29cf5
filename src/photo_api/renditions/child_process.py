"""The decoder's child as a process: started confined, asked, and ended so that nothing is left."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from photo_api.own_process import resident_bytes
from photo_api.renditions import wire

_MAX_STDERR = 4096
_MEMORY_WORDS = re.compile(r"failed to allocate|bad_alloc|out of memory|MemoryError")


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one child may use. Sizes in bytes; `cpu_seconds` and `wall_seconds` are per file.

    `memory_bytes` is address space, of which an idle child takes 90 to 110 MiB. The child is
    replaced after `jobs_per_child` files, or when more than `keep_bytes` are resident after a file:
    40 MiB when idle, and what `limits.RESERVE` allows for.
    """

    memory_bytes: int = 1 << 30
    cpu_seconds: float = 30.0
    wall_seconds: float = 90.0
    jobs_per_child: int = 50
    keep_bytes: int = 100 << 20


class DecoderDied(Exception):
    """The child ended before it answered: by a limit, by a crash or by someone's signal.

    `reason` is memory, cpu, timeout, crashed or killed: by the kernel, when the machine's memory
    ran out, or by somebody. The file may be at fault or not.
    """

    def __init__(self, reason: str, last_words: str = "") -> None:
        super().__init__(f"decoder ended: {reason}" + (f" ({last_words})" if last_words else ""))
        self.reason = reason


class NoProcess(Exception):
    """No child can be started now: too many processes or files, no memory, no interpreter. No file
    is at fault."""


class ChildProcess:
    """A running child; use `start`. After `end` it is gone and reaped."""

    def __init__(
        self,
        limits: DecodeLimits,
        process: subprocess.Popen[bytes],
        stderr: int,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._limits = limits
        self._process = process
        self._stderr = stderr
        self._reader = reader
        self._writer = writer
        self._last_words = ""
        self._jobs = 0

    @classmethod
    async def start(cls, limits: DecodeLimits) -> Self:
        """Returns before the child has loaded its libraries; the first request waits for that.
        Raises `NoProcess`."""
        with ExitStack() as opened:
            try:
                ours, theirs = socket.socketpair()
                opened.enter_context(ours)
                with theirs:
                    # A file in memory, not a pipe: nobody has to read it while the child runs.
                    stderr = os.memfd_create("decoder-stderr", os.MFD_CLOEXEC)
                    opened.callback(os.close, stderr)
                    process = _spawn(limits, theirs, stderr)
            except OSError as error:
                raise NoProcess(str(error)) from error
            opened.callback(process.wait)
            opened.callback(process.kill)
            reader, writer = await asyncio.open_connection(sock=ours)
            opened.pop_all()
        return cls(limits, process, stderr, reader, writer)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, wanted: wire.Wanted, data: bytes) -> list[bytes]:
        """Raises OSError, EOFError or `wire.ProtocolError` when the child is not to be used
        again."""
        self._jobs += 1
        await wire.send_request(self._writer, wanted, data)
        return await wire.receive_answer(self._reader, len(data))

    def is_filtered(self) -> bool:
        """Whether the kernel refuses it what its sandbox forbids; known after its first answer."""
        try:
            return "Seccomp:\t2" in Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return True  # gone, with whatever it had

    def worn(self) -> bool:
        """Whether it should be replaced before another file."""
        if self._process.poll() is not None or self._jobs >= self._limits.jobs_per_child:
            return True
        return resident_bytes(self.pid) > self._limits.keep_bytes

    async def end(self) -> str:
        """Kill and reap; answers why it had ended if it had: memory, cpu, killed or crashed."""
        # A child that closed its socket is about to end by itself, with a status worth knowing.
        gone = self._reader.at_eof() or self._writer.is_closing()
        self._writer.transport.abort()
        status = await asyncio.to_thread(_reap, self._process, 2.0 if gone else 0.0)
        self._last_words = _tail(self._stderr)
        os.close(self._stderr)
        return _cause(status, self._last_words)

    def last_words(self) -> str:
        """The last line that the child wrote to standard error; known after `end`."""
        return self._last_words.rpartition("\n")[2]


def _spawn(limits: DecodeLimits, pipe: socket.socket, stderr: int) -> subprocess.Popen[bytes]:
    arguments = (os.getpid(), limits.memory_bytes, limits.cpu_seconds)
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "photo_api.renditions.child", *map(str, arguments)],
        stdin=pipe.fileno(),
        stdout=pipe.fileno(),
        stderr=stderr,
        env=_environment(),
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """Nothing of the parent's environment but what finds the program: secrets live there."""
    found = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return found | {
        "LC_ALL": "C.UTF-8",
        "MALLOC_ARENA_MAX": "1",
        # Larger blocks go back to the kernel when they are free. A file finds what it is promised.
        "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
        # They are fetched by huge pages: of 4 KiB it would be thousands for each picture.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "VIPS_CONCURRENCY": "1",
        "VIPS_DISC_THRESHOLD": "16g",
        "VIPS_MAX_COORD": "1100000",  # above what is accepted: a resampler looks beyond the edge
    }


def _reap(process: subprocess.Popen[bytes], patience: float) -> int:
    """Its status, 0 when it had to be killed here."""
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return 0


def _tail(file: int) -> str:
    start = max(0, os.fstat(file).st_size - _MAX_STDERR)
    return os.pread(file, _MAX_STDERR, start).decode("utf-8", "replace").strip()


def _cause(status: int, last_words: str) -> str:
    if status == wire.OUT_OF_MEMORY or _MEMORY_WORDS.search(last_words):
        return "memory"
    by_signal = {-signal.SIGPROF: "cpu", -signal.SIGKILL: "killed"}
    return by_signal.get(status, "crashed")

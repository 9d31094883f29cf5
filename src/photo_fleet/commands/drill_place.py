"""Where drills run and what they say meanwhile."""

import asyncio
import os
import platform
import signal
import sys
import tempfile
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from photo_fleet.drill.runner import Say


class Running(Protocol):
    """What ends things later: an `ExitStack`, of either kind."""

    def enter_context(self, cm: AbstractContextManager[Any]) -> Any:
        """Enter it now, and leave it at the end."""


def saying() -> Say:
    """Writes to standard error, with the seconds since now."""
    start = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {text}", file=sys.stderr, flush=True)

    return say


def forget_interrupt() -> None:
    """What `asyncio.run` cancels on Ctrl-C may end in peace; a second one ends it at once."""
    task = asyncio.current_task()
    assert task is not None
    task.uncancel()


def interrupted_by_sigterm() -> None:
    """The first SIGTERM, of `timeout` or of a job that was cancelled, does what Ctrl-C does: what a
    drill has on the disk goes with it. A second one ends it at once."""

    def interrupt(_: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):  # a shell's background job, which knows no Ctrl-C
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    signal.signal(signal.SIGTERM, interrupt)


def kept_or_temporary(kept: Path | None, running: Running) -> Path:
    """The folder of what a drill writes."""
    if kept is None:
        return Path(running.enter_context(tempfile.TemporaryDirectory(prefix="photo-drill-")))
    kept.mkdir(parents=True, exist_ok=True)
    return kept.absolute()


def machine() -> str:
    """On what a drill ran."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"

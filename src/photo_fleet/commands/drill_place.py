"""Where drills run and what they say meanwhile."""

import asyncio
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol, TypeVar

from photo_fleet.drill.own_folder import own_folder, remove_left
from photo_fleet.drill.runner import Say

Result = TypeVar("Result")

PREFIX = "photo-drill-"

SECOND_SIGNAL = 1.0
"""A signal this many seconds after the first is a second one: `timeout` sends two at once."""


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


def run_until_told(work: Coroutine[Any, Any, Result]) -> Result:
    """`asyncio.run`, which SIGTERM, of `timeout` or of a job that was cancelled, ends as Ctrl-C
    does, so that what a drill has on the disk goes with it. A second one ends it at once. Raises
    KeyboardInterrupt for both."""

    async def listening() -> Result:
        _cancelled_by_sigterm()
        return await work

    try:
        return asyncio.run(listening())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _cancelled_by_sigterm() -> None:
    task, loop, began = asyncio.current_task(), asyncio.get_running_loop(), list[float]()
    assert task is not None

    def interrupt(number: int, _: FrameType | None) -> None:
        if began and time.monotonic() - began[0] < SECOND_SIGNAL:
            return
        if began:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        began.append(time.monotonic())
        loop.call_soon_threadsafe(task.cancel)

    signal.signal(signal.SIGTERM, interrupt)


def kept_or_temporary(kept: Path | None, running: Running) -> Path:
    """The folder of what a drill writes. What drills that were killed have left goes."""
    here = Path(tempfile.gettempdir())
    for folder in remove_left(here, PREFIX):
        print(f"removed {folder}, of a drill that was killed", file=sys.stderr)
    if kept is None:
        return Path(running.enter_context(own_folder(here, PREFIX)))
    kept.mkdir(parents=True, exist_ok=True)
    return kept.absolute()


def machine() -> str:
    """On what a drill ran."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"

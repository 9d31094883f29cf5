"""What still works in a folder, such as the servers of a run before."""

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from time import monotonic

from photo_base.processes import send


def processes_in(folder: Path) -> list[int]:
    """Process ids whose working directory is `folder`; those of other users are not seen."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if Path(os.readlink(entry / "cwd")) == folder:
                    found.append(int(entry.name))
    return found


async def end_processes_in(folder: Path, *, patience: float) -> None:
    """Wait up to `patience` seconds until nothing works in `folder`, then kill what does."""
    deadline = monotonic() + patience
    while left := processes_in(folder):
        if monotonic() > deadline:
            send(left, SIGKILL)
        await asyncio.sleep(0.02)

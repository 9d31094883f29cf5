"""A database and a store for tests."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

POSTGRES = Path(named) if (named := os.environ.get("TEST_POSTGRES_BIN")) else None
"""The folder of the PostgreSQL with which to test; None for the embedded one."""


def passable(folder: Path) -> None:
    """Programs of PostgreSQL 15 go back to their working directory by its path, as no root."""
    for parent in folder.absolute().parents if POSTGRES else ():
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)


@contextmanager
def running_stack(data: Path, *options: str) -> Iterator[dict[str, Any]]:
    """Addresses of an embedded database and store that end with this process; `options` are those
    of `photo-api embedded`."""
    if POSTGRES:
        passable(data / "postgres")
        options = ("--postgres", str(POSTGRES), *options)
    with (data / "stack.log").open("w") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "photo_local.command"),
                *("--data", str(data), "--test", "--with-parent", *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], 60)
    line = process.stdout.readline() if ready else ""
    assert line, f"the embedded stack did not start: {(data / 'stack.log').read_text()}"
    try:
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(10)

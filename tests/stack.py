"""A database and a store for tests."""

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def running_stack(data: Path, *options: str) -> Iterator[dict[str, Any]]:
    """Addresses of an embedded database and store that end with this process; `options` are those
    of `photo-api embedded`."""
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

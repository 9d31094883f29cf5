"""A file that is replaced as a whole or not at all, whatever the disk does."""

import os
from contextlib import suppress
from pathlib import Path

PRIVATE = 0o600


def replace(path: Path, text: str, mode: int = 0o666) -> None:
    """Have `text` in `path`, on the disk. `mode` is narrowed by the umask. Raises OSError, as on a
    full disk; what was there before is untouched then."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    try:
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(opened)
        beside.rename(path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise

"""A file that is replaced as a whole or not at all, whatever the disk does."""

import os
from contextlib import suppress
from pathlib import Path

PRIVATE = 0o600


def _keep_names(folder: Path) -> None:
    """Have the folder on the disk, too: a rename may be lost with the power otherwise."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def replace(path: Path, text: str, mode: int = 0o666) -> None:
    """Have `text` in `path`, on the disk. `mode` is narrowed by the umask. Raises OSError, as on a
    full disk; what was there before is untouched then, unless the folder alone was not written."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    try:
        opened = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(opened)
        beside.rename(path)
        _keep_names(path.parent)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise

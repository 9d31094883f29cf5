"""A file that is replaced as a whole or not at all, whatever the disk does."""

import os
from contextlib import suppress
from errno import EEXIST
from pathlib import Path

PRIVATE = 0o600
NO_FILE = "it is no file"


def _keep_names(folder: Path) -> None:
    """Have the folder on the disk, too: a rename may be lost with the power otherwise."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def unwritable(path: Path) -> str:
    """Why a file of an operator's choice is not put there, before it is made; empty if nothing
    speaks against it. A link would be replaced, and not what it leads to."""
    try:
        if path.is_symlink():
            return "it is a link: name what it leads to"
        if path.exists() and not path.is_file():
            return NO_FILE
        there = os.access(path.absolute().parent, os.W_OK)
    except OSError as error:
        return str(error.strerror)
    return "" if there else "its folder is not there, or not to be written to"


def replace(path: Path, text: str, mode: int = 0o666) -> None:
    """Have `text` in `path`, on the disk. `mode` is narrowed by the umask. Raises OSError, as on a
    full disk; what was there before is untouched then, unless the folder alone was not written. A
    device, a pipe or a folder is no file to be replaced, and no link to one is."""
    if path.exists() and not path.is_file():
        raise OSError(EEXIST, NO_FILE, str(path))
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
    except OSError as error:
        error.filename = str(path)  # a write that fails tells none
        with suppress(OSError):
            beside.unlink()
        raise

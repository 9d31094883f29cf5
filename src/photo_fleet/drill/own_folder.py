"""The folder of a run that keeps none, such as a drill's, among others with the same prefix.

Runs that are killed leave theirs, 60 MB and more, and the next one removes them: those of its own
user in which a file is that nobody holds a lock of. The kernel lets go of a lock with its process.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

ALIVE = "alive.lock"
MOST_REMOVED = 8
"""Folders at one start; the next one goes on."""


@contextmanager
def own_folder(within: Path, prefix: str) -> Iterator[Path]:
    """A new one in the folder `within`; removed at the end."""
    temporary = tempfile.TemporaryDirectory(prefix=prefix, dir=within)
    # Under its name the file is locked from the first moment on.
    new = Path(temporary.name) / f"{ALIVE}.new"
    held = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with temporary:
            fcntl.flock(held, fcntl.LOCK_EX)
            new.rename(new.with_name(ALIVE))
            yield Path(temporary.name)
    finally:
        os.close(held)


def remove_left(within: Path, prefix: str) -> list[Path]:
    """Those of this user's runs that are no longer alive, which are gone now. What cannot be
    removed stays, for the next time."""
    dead = (folder for folder in sorted(within.glob(f"{prefix}*")) if _is_own(folder))
    return list(islice(filter(_removed, dead), MOST_REMOVED))


def _is_own(folder: Path) -> bool:
    with suppress(OSError):
        about = folder.lstat()
        return stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()
    return False


def _removed(folder: Path) -> bool:
    """Whether nobody held it, and all of it is gone. Its lock goes last: where something cannot be
    removed, the folder is still known as a run's."""
    lock = folder / ALIVE
    try:
        held = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:  # as one that was not made here, or is being made
        return False
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for item in list(folder.iterdir()):
            if item != lock and item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            elif item != lock:
                item.unlink()
        lock.unlink()
        folder.rmdir()
    except OSError:  # of which BlockingIOError says that its run is alive
        return False
    finally:
        os.close(held)
    return True

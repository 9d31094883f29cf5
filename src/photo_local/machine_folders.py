"""The machine's folders that root's servers have: one with their sockets, where their account gets
to, and one with copies of programs that lie where only root enters.

What servers that are gone have left there is removed once it is certain that nobody uses it: a lock
or a process id tells. What is not known stays.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from photo_base.processes import CannotStart

ACCOUNT = "photo-api-embedded"
RUNTIME = Path("/run") / ACCOUNT
"""Folder of folders of sockets and of a lock. Only root makes anything in it."""
PROGRAMS = Path("/var/lib") / ACCOUNT
SOURCE = "source"
"""File beside a copy that names what it is a copy of."""
LONGEST_START = 600.0
"""Seconds after which a server of the release before, which took no lock, has made its socket."""


@contextmanager
def machine_lock() -> Iterator[None]:
    """Held by one process of root's at a time."""
    RUNTIME.mkdir(mode=0o711, parents=True, exist_ok=True)
    RUNTIME.chmod(0o711)
    file = os.open(RUNTIME / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def runtime_folder(name: str) -> Path:
    """Where a server of root's has its sockets."""
    return RUNTIME / name


def hold(folder: Path) -> int:
    """Keep `folder` from being removed, under the machine's lock, until the descriptor is closed:
    by its owner, or by the kernel when that ends."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(held, fcntl.LOCK_SH)
    return held


def clear_away() -> None:
    """Remove what nobody uses any more, under the machine's lock."""
    for folder in _folders(RUNTIME):
        with suppress(FileNotFoundError):  # its owner has just removed it
            if _abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
    for copy in _folders(PROGRAMS):
        if _outdated(copy):
            shutil.rmtree(copy, ignore_errors=True)


def reachable(program: Path) -> Path:
    """`program`, a file or a folder with `bin`, or for root its copy if it lies where other
    accounts do not get to.

    Raises `CannotStart` when it cannot be copied.
    """
    program = program.resolve()
    if os.geteuid() != 0 or _open_to_all(program):
        return program
    copy = PROGRAMS / _copy_name(program)
    with machine_lock():
        if not copy.exists():
            print(f"{program} is copied to {copy}", file=sys.stderr, flush=True)
            _copy(program, copy)
    return copy / program.name


def _folders(parent: Path) -> list[Path]:
    if not parent.exists():
        return []
    return [Path(entry) for entry in os.scandir(parent) if entry.is_dir(follow_symlinks=False)]


def _abandoned(folder: Path) -> bool:
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(held)
    # A server may outlive its parent for a while, or be one of the release before.
    servers = [_server(lock) for lock in folder.glob(".s.PGSQL.*.lock")]
    if not servers:
        return time.time() - folder.stat().st_mtime > LONGEST_START
    return not any(pid is None or Path(f"/proc/{pid}").exists() for pid in servers)


def _server(lock: Path) -> int | None:
    try:
        return abs(int(lock.read_text().partition("\n")[0])) or None
    except (OSError, ValueError):
        return None


def _outdated(copy: Path) -> bool:
    """Whether it was never finished, or what it is a copy of is gone or another, and none runs."""
    if copy.suffix == ".new":
        return True
    try:
        source = Path((copy / SOURCE).read_text())
        if source.exists() and _copy_name(source) == copy.name:
            return False
        return not any(Path(running).is_relative_to(copy) for running in _running())
    except (OSError, KeyError):  # without the account too nothing is known
        return False


def _running() -> Iterator[str]:
    """Programs that run. Raises `OSError` when that of a server cannot be told."""
    servers = f"Uid:\t{pwd.getpwnam(ACCOUNT).pw_uid}\t"
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                yield os.readlink(entry / "exe")
            except (FileNotFoundError, ProcessLookupError):  # the kernel's, or ended meanwhile
                continue
            except PermissionError:
                if servers in (entry / "status").read_text():
                    raise


def _copy_name(program: Path) -> str:
    found = _entered(program)[0].stat()
    # The first layout had no libraries.
    digest = hashlib.sha256(f"2:{program}:{found.st_mtime_ns}".encode()).hexdigest()[:16]
    return f"{program.name}.{digest}"


def _entered(program: Path) -> list[Path]:
    inside = [program / "bin"] if program.is_dir() else []
    return [*inside, program, *program.parents]


def _open_to_all(program: Path) -> bool:
    return all(place.stat().st_mode & stat.S_IXOTH for place in _entered(program))


def _copy_folder(program: Path, to: Path) -> None:
    """With the libraries that a wheel keeps beside its package, where programs look for them."""
    package = program.parent
    shutil.copytree(program, to / package.name / program.name, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, to / libraries.name, symlinks=True)
    (to / program.name).symlink_to(Path(package.name, program.name))


def _copy(program: Path, copy: Path) -> None:
    unfinished = copy.with_name(f"{copy.name}.new")
    try:
        PROGRAMS.mkdir(mode=0o755, parents=True, exist_ok=True)
        PROGRAMS.chmod(0o755)
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if program.is_dir():
            _copy_folder(program, unfinished)
        else:
            shutil.copy2(program, unfinished / program.name)
        (unfinished / SOURCE).write_text(str(program))
        for place in (unfinished, *unfinished.rglob("*")):
            if not place.is_symlink():
                mode = stat.S_IMODE(place.stat().st_mode)
                place.chmod((mode | (mode & 0o500) >> 6) & ~0o022)
        unfinished.rename(copy)
    except OSError as error:
        raise CannotStart(f"{program} cannot be copied to {copy}: {error}") from error

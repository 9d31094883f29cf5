"""Which user PostgreSQL runs as: it refuses root, for whom an account is made that owns nothing
else. That account needs no capability, also below folders that only root enters."""

import fcntl
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from photo_api.embedded.processes import EmbeddedError

ACCOUNT = "photo-api-embedded"
RUNTIME = Path("/run") / ACCOUNT
"""Folder of sockets and of a lock. Only root makes anything in it."""
PROGRAMS = Path("/var/lib") / ACCOUNT
"""Folder of copies of programs that lie where only root enters."""
HERE = "/proc/self/cwd"
"""The working directory by a name that needs no right to what is above it."""
SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"
CREATE = (
    ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"),
    ("adduser", "--system", "--group", "--no-create-home", "--home", "/nonexistent"),
)
FORMER = "nobody"
"""Whom the files belonged to before there was an account."""


@dataclass(frozen=True, slots=True)
class Account:
    """Owner of a server's files, and the options of setpriv(1) that make a process run as it."""

    uid: int
    gid: int
    setpriv: tuple[str, ...]

    def own(self, path: Path) -> None:
        """Give `path` to this account; a no-op for one's own."""
        if path.stat().st_uid != self.uid:
            os.chown(path, self.uid, self.gid)

    def make_folder(self, path: Path) -> None:
        """Make a folder that only this account enters.

        Raises `EmbeddedError` if another user was there first, or put a link in its place.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        known = {os.geteuid(), self.uid, *self._former(path)}
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in known:
            raise EmbeddedError(f"{path} belongs to another user; remove it")
        self.own(path)
        path.chmod(0o700)

    def adopt(self, folder: Path) -> None:
        """Take over what the release before left there to `nobody`, and say so."""
        former = self._former(folder)
        if not folder.exists() or folder.stat().st_uid not in former:
            return
        print(f"{folder} belongs to the account {ACCOUNT} from now on", file=sys.stderr, flush=True)
        for place, folders, files, descriptor in os.fwalk(folder, topdown=False):
            for name in (*folders, *files):
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if found.st_uid in former:
                    how = {"dir_fd": descriptor, "follow_symlinks": False}
                    os.chown(name, self.uid, self.gid, **how)  # type: ignore[arg-type]
            if place == str(folder):  # at last, so that an interrupted one is begun again
                os.fchown(descriptor, self.uid, self.gid)

    def _former(self, path: Path) -> set[int]:
        """Whose a folder may be besides: nobody's, where nobody could not have put it."""
        if os.geteuid() != 0 or path.parent.stat().st_mode & 0o022:
            return set()
        with suppress(KeyError):
            return {pwd.getpwnam(FORMER).pw_uid}
        return set()


def server_account() -> Account:
    """One's own account, or for root `photo-api-embedded`, which is made if there is none.

    Raises `EmbeddedError` when it cannot be made.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), ())
    with _lock():
        try:
            found = pwd.getpwnam(ACCOUNT)
        except KeyError:
            found = _create()
    if found.pw_uid == 0:
        raise EmbeddedError(f"the account {ACCOUNT} is root's; remove it from /etc/passwd")
    options = (f"--reuid={found.pw_uid}", f"--regid={found.pw_gid}", "--clear-groups")
    closed = ("--inh-caps=-all", "--no-new-privs")
    return Account(found.pw_uid, found.pw_gid, (*options, *closed))


def runtime_folder(name: str) -> Path:
    """Where root's servers have their sockets: reachable for the account, made by root alone."""
    return RUNTIME / name


def reachable(install: Path) -> Path:
    """`install`, or for root its copy if it lies where other accounts do not get to.

    Raises `EmbeddedError` when it cannot be copied.
    """
    install = install.resolve()
    if os.geteuid() != 0 or _open_to_all(install):
        return install
    found = (install / "bin").stat()
    digest = hashlib.sha256(f"{install}:{found.st_mtime_ns}".encode()).hexdigest()[:16]
    copy = PROGRAMS / f"{install.name}-{digest}"
    with _lock():
        if not copy.exists():
            print(f"{install} is copied to {copy}", file=sys.stderr, flush=True)
            _copy(install, copy)
    return copy


def _open_to_all(install: Path) -> bool:
    entered = [install / "bin", install, *install.parents]
    return all(place.stat().st_mode & stat.S_IXOTH for place in entered)


def _copy(install: Path, copy: Path) -> None:
    unfinished = copy.with_name(f"{copy.name}.new")
    try:
        PROGRAMS.mkdir(mode=0o755, parents=True, exist_ok=True)
        PROGRAMS.chmod(0o755)
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(install, unfinished, symlinks=True)
        for place in (unfinished, *unfinished.rglob("*")):
            if not place.is_symlink():
                mode = stat.S_IMODE(place.stat().st_mode)
                place.chmod((mode | (mode & 0o500) >> 6) & ~0o022)
        unfinished.rename(copy)
    except OSError as error:
        raise EmbeddedError(f"{install} cannot be copied to {copy}: {error}") from error


def _create() -> pwd.struct_passwd:
    for program, *options in CREATE:
        found = shutil.which(program, path=SBIN)
        if found is None:
            continue
        done = subprocess.run([found, *options, ACCOUNT], capture_output=True, text=True)
        if done.returncode == 0:
            print(f"made the system account {ACCOUNT} for PostgreSQL", file=sys.stderr, flush=True)
            return pwd.getpwnam(ACCOUNT)
        raise EmbeddedError(f"{program} cannot make the account {ACCOUNT}: {done.stderr.strip()}")
    raise EmbeddedError(
        f"PostgreSQL does not run as root, and neither useradd nor adduser is there to make an"
        f" account for it: add the user and the group {ACCOUNT}, or run this as another user"
    )


@contextmanager
def _lock() -> Iterator[None]:
    """Held by one process of root's at a time."""
    RUNTIME.mkdir(mode=0o711, parents=True, exist_ok=True)
    RUNTIME.chmod(0o711)
    file = os.open(RUNTIME / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)

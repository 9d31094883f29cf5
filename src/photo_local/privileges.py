"""Which user PostgreSQL and SeaweedFS run as: for root an account is made that owns nothing else.
It needs no capability, also below folders that only root enters."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from photo_base.processes import CannotStart
from photo_local.machine_folders import ACCOUNT, machine_lock

HERE = "/proc/self/cwd"
"""The working directory by a name that needs no right to what is above it."""
SBIN = "/usr/sbin:/sbin:/usr/bin:/bin"
CREATE = (
    ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"),
    ("adduser", "--system", "--group", "--no-create-home", "--home", "/nonexistent"),
)
FORMER = "nobody"
"""The files' owner before there was an account."""


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

        Raises `CannotStart` if another user was there first, or put a link in its place.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        known = {os.geteuid(), self.uid, *self._former(path)}
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in known:
            raise CannotStart(f"{path} belongs to another user; remove it")
        self.own(path)
        path.chmod(0o700)

    def share_folder(self, path: Path) -> None:
        """Make a folder that this account enters and only we change. Raises `CannotStart`."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise CannotStart(f"{path} belongs to another user; remove it")
        self.let_read(path)

    def let_read(self, path: Path) -> None:
        """Let this account read what is ours in a folder that it does not change."""
        if os.geteuid() != self.uid:
            os.chown(path, -1, self.gid)
            path.chmod(0o750 if path.is_dir() else 0o640)

    def adopt(self, folder: Path, former: Collection[int] | None = None) -> None:
        """Take over what the release before left there to `former`, or to nobody; and say so."""
        former = self._former(folder) if former is None else former
        if self.uid in former or not folder.exists() or folder.stat().st_uid not in former:
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
        """Other owners that a folder may have: `nobody`, where that user could not have made it."""
        if os.geteuid() != 0 or path.parent.stat().st_mode & 0o022:
            return set()
        with suppress(KeyError):
            return {pwd.getpwnam(FORMER).pw_uid}
        return set()


def server_account() -> Account:
    """One's own account, or for root `photo-api-embedded`, which is made if there is none.

    Raises `CannotStart` when it cannot be made.
    """
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), ())
    with machine_lock():
        try:
            found = pwd.getpwnam(ACCOUNT)
        except KeyError:
            found = _create()
    if found.pw_uid == 0:
        raise CannotStart(f"the account {ACCOUNT} is root's; remove it from /etc/passwd")
    options = (f"--reuid={found.pw_uid}", f"--regid={found.pw_gid}", "--clear-groups")
    closed = ("--inh-caps=-all", "--no-new-privs")
    return Account(found.pw_uid, found.pw_gid, (*options, *closed))


def _create() -> pwd.struct_passwd:
    for program, *options in CREATE:
        found = shutil.which(program, path=SBIN)
        if found is None:
            continue
        done = subprocess.run([found, *options, ACCOUNT], capture_output=True, text=True)
        if done.returncode == 0:
            print(f"made the system account {ACCOUNT}", file=sys.stderr, flush=True)
            return pwd.getpwnam(ACCOUNT)
        raise CannotStart(f"{program} cannot make the account {ACCOUNT}: {done.stderr.strip()}")
    raise CannotStart(
        f"Nothing embedded runs as root, and neither useradd nor adduser is there to make it an"
        f" account: add the user and the group {ACCOUNT}, or run this as another user"
    )

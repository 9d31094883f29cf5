"""Which user PostgreSQL runs as: it refuses root."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from photo_api.embedded.processes import EmbeddedError

# Number of CAP_DAC_OVERRIDE in capabilities(7): read, write and traverse whatever the mode says.
DAC_OVERRIDE = 1


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
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), self.uid):
            raise EmbeddedError(f"{path} belongs to another user; remove it")
        self.own(path)
        path.chmod(0o700)


def server_account() -> Account:
    """One's own account, or nobody's for root."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), ())
    nobody = pwd.getpwnam("nobody")
    options = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    if _permitted() & 1 << DAC_OVERRIDE:
        # The data may lie below folders that only root enters, such as root's home.
        options += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    return Account(nobody.pw_uid, nobody.pw_gid, tuple(options))


def _permitted() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm:"):
            return int(line.split()[1], 16)
    return 0

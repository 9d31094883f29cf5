"""A machine that boots: systemd as process 1 of a container of systemd-nspawn, on its own changes
over an image that nobody changes. It shares the network of the tests, so that the servers beside it
on loopback are its servers. It ends with its parent, however that one ends.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import psutil

from tests.service import eventually

# Where no systemd runs, nspawn makes groups of processes in the group that it is itself in, with
# names that two of them would share.
_BOOT = """
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/changes,workdir=$2/work" "$2/root"
scope=
if [ ! -d /run/systemd/system ]; then
  scope=--keep-unit
  for tree in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -e "$tree/cgroup.procs" ] || continue
    mkdir "$tree/$3"
    echo $$ >"$tree/$3/cgroup.procs"
  done
fi
exec systemd-nspawn --boot --quiet --register=no $scope --directory="$2/root" --machine="$3" \
  --link-journal=no --resolv-conf=copy-host --console=pipe
"""
_STARTED = "running", "degraded"
_END = 90
"""Seconds that a machine may take to power off: the grace of its instance, and some."""


@dataclass
class Booted:
    """One that runs, until it is powered off."""

    name: str
    process: subprocess.Popen[bytes]

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """As root on it."""
        return subprocess.run(
            self._entered(command), capture_output=True, text=True, timeout=timeout, check=False
        )

    def begin(self, *command: str) -> subprocess.Popen[bytes]:
        """The same, without waiting for its end; nobody hears what it says."""
        nobody = subprocess.DEVNULL
        return subprocess.Popen(self._entered(command), stdout=nobody, stderr=nobody)

    def says(self, *command: str) -> str:
        """What it prints; it must succeed."""
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def log_of_cloud_init(self) -> str:
        """The end of what its modules and their programs have printed."""
        return self.run("tail", "-n", "50", "/var/log/cloud-init-output.log").stdout

    def has_started(self) -> bool:
        """Whether nothing is left to do of its boot; asked early, it cannot even be entered."""
        assert self.process.poll() is None, "the machine has ended"
        return (
            self._init() != 0
            and self.run("systemctl", "is-system-running").stdout.strip() in _STARTED
        )

    def power_off(self) -> None:
        """As its owner's console does: systemd stops all units in their order."""
        [nspawn] = psutil.Process(self.process.pid).children()
        nspawn.send_signal(signal.SIGTERM)

    def _entered(self, command: tuple[str, ...]) -> list[str]:
        enter = ["nsenter", f"--target={self._init()}", "--mount", "--uts", "--ipc", "--pid"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return [*enter, "env", "-i", path, "LC_ALL=C.UTF-8", *command]

    def _init(self) -> int:
        """Its process 1, as seen from here; 0 while there is none."""
        for child in psutil.Process(self.process.pid).children(recursive=True):
            status = Path(f"/proc/{child.pid}/status").read_text()
            [names] = [line.split()[1:] for line in status.splitlines() if line[:6] == "NSpid:"]
            if len(names) == 3 and names[2] == "1":
                return child.pid
        return 0


class Machine:
    """Its disk: what `write` and `copy` put onto it before it boots, and what it then changes."""

    def __init__(self, image: Path, folder: Path) -> None:
        self._image = image
        self._folder = folder
        for part in ("changes", "work", "root"):
            (folder / part).mkdir(parents=True)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        place = self._place(path)
        place.write_text(text)
        place.chmod(mode)

    def copy(self, source: Path, path: str) -> None:
        """A file, or a folder with all that is in it."""
        if source.is_dir():
            shutil.copytree(source, self._place(path), dirs_exist_ok=True)
        else:
            shutil.copy(source, self._place(path))

    def changed(self, pattern: str) -> list[Path]:
        """What matches, of what differs from the image."""
        return list((self._folder / "changes").glob(pattern.lstrip("/")))

    @contextmanager
    def booted(self) -> Iterator[Booted]:
        """From its power button on; at the end its power is cut, unless it is off."""
        name = f"photo-api-test-{token_hex(4)}"
        # nspawn is the first process of a namespace: without it, nothing of the machine stays.
        own = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--propagation=private"]
        command = [*own, "--pid", "--fork", "--kill-child", "--mount-proc"]
        arguments = [str(self._image), str(self._folder), name]
        with (self._folder / "console.log").open("ab") as console:
            process = subprocess.Popen(
                [*command, "sh", "-euc", _BOOT, "boot", *arguments],
                env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        try:
            yield Booted(name, process)
        finally:
            process.kill()
            process.wait()
            eventually(lambda: _is_clean(name), 20)

    def console(self) -> str:
        """What nspawn had to say."""
        return (self._folder / "console.log").read_text(errors="replace")

    def _place(self, path: str) -> Path:
        place = self._folder / "changes" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        return place


def _is_clean(name: str) -> bool:
    """Whether the groups of its processes could be removed, which is when these are gone."""
    try:
        for tree in Path("/sys/fs/cgroup").glob(f"**/{name}"):
            for folder, _, _ in os.walk(tree, topdown=False):
                Path(folder).rmdir()
    except OSError:
        return False
    return True

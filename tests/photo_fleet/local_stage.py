"""`photo-fleet up` as a process, and what belongs to it."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import photo_api
from photo_fleet.commands.fleet import UNFINISHED
from tests.service import User, eventually, free_port

NO_PROXY_IS_THERE = "http://127.0.0.1:9"

SPEC = """
name = "stage"
[service]
pool = 4
[health_check]
interval = "30s"
[balancer.rate_limits]
read = {{ rate = "10000/s", burst = 10000 }}
edit = {{ rate = "10000/s", burst = 10000 }}
image = {{ rate = "10000/s", burst = 10000 }}
upload = {{ rate = "10000/s", burst = 10000 }}
share = {{ rate = "10000/s", burst = 10000 }}
auth = {{ rate = "1000/s", burst = 1000 }}
[group]
min = {low}
max = {high}
desired = {desired}
warm_up = "60s"
[[group.policies]]
metric = "cpu"
threshold = 70
duration = "5m"
step = 1
cooldown = "5m"
[[group.policies]]
metric = "cpu"
threshold = {remove_below}
duration = "10m"
step = -1
cooldown = "5m"
[group.local]
cores_per_instance = {cores}
"""


@dataclass
class Up:
    """A running fleet."""

    url: str
    data: Path
    process: subprocess.Popen[bytes]
    log: Path

    def command(self, *arguments: str, expect: int = 0) -> str:
        """What `photo-fleet …` prints, said from another terminal."""
        done = fleet_command(*arguments, "--data", str(self.data))
        assert done.returncode == expect, f"{arguments}: {done.stdout}{done.stderr}\n{self.said}"
        return done.stdout if expect == 0 else done.stderr

    def status(self) -> dict[str, Any]:
        done = fleet_command("status", "--json", "--data", str(self.data))
        assert done.returncode in (0, UNFINISHED), f"{done.stdout}{done.stderr}\n{self.said}"
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def serving(self) -> list[dict[str, Any]]:
        """Its instances that are ready and get requests."""
        instances: list[dict[str, Any]] = self.status()["instances"]
        return [item for item in instances if item["state"] == "ready" and item["member"]]

    def wait_for(self, size: int, seconds: float = 90) -> list[dict[str, Any]]:
        """Its instances, once so many serve and no other is left."""

        def arrived() -> list[dict[str, Any]]:
            assert self.process.poll() is None, self.said
            status = self.status()
            settled = status["settled"] and len(status["instances"]) == size
            return self.serving() if settled and len(self.serving()) == size else []

        return eventually(arrived, seconds, 0.3)

    def new_user(self) -> User:
        return User(self.url)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def processes(self) -> list[psutil.Process]:
        """All that belong to it, itself included."""
        return [item for item in psutil.process_iter() if self._owns(item)]

    def _owns(self, process: psutil.Process) -> bool:
        mark = str(self.data)
        with suppress(psutil.Error):
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            told = [*process.cmdline(), process.cwd(), *process.environ().values()]
            # A process that merely asks it something is not part of it.
            asks = any(word.startswith("photo_fleet") for word in told) and "up" not in told
            return not asks and any(mark in word for word in told)
        return False


def release_tree(
    folder: Path,
    *,
    cli: str = "",
    release: str = "",
    upgrades_from: Sequence[str] | None = None,
    migrations: Mapping[str, str] | None = None,
) -> Path:
    """This tree's sources as a release of their own: with these lines before those of its command,
    this number, these releases to come from, and these migrations besides."""
    package, known = folder / "src/photo_api", Path(photo_api.__file__).parent
    shutil.copytree(known, package, ignore=shutil.ignore_patterns("__pycache__"))
    contract, command = package / "contract.py", package / "cli.py"
    command.write_text(cli + command.read_text())
    said = [f"RELEASE = {release!r}"] if release else []
    said += [] if upgrades_from is None else [f"UPGRADES_FROM = {tuple(upgrades_from)!r}"]
    contract.write_text("\n".join([contract.read_text(), *said, ""]))
    for name, sql in (migrations or {}).items():
        (package / f"db/sql/{name}.sql").write_text(sql)
    return folder


def fleet_command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run `photo-fleet …` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "photo_fleet.cli", *arguments],
        env={**_environ(), **environ},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@contextmanager
def fleet_up(
    folder: Path,
    *,
    low: int = 2,
    high: int = 4,
    desired: int = 2,
    cores: float = 2,
    remove_below: float = 0.1,
    more: str = "",
    whole: str = "",
    options: Sequence[str] = (),
    stdout: int | None = None,
) -> Iterator[Up]:
    """A fleet in `folder`, all its instances serving. By default it never changes its size.
    `more` is the rest of its spec, `whole` all of it, for `desired` instances; `stdout` in place of
    the log, which then has no events."""
    folder.mkdir(parents=True, exist_ok=True)
    spec = folder / "fleet.toml"
    numbers = {"low": low, "high": high, "desired": desired}
    made = SPEC.format(**numbers, cores=cores, remove_below=remove_below) + more
    spec.write_text(whole or made)
    port, log, data = free_port(), folder / "up.log", folder / "data"
    command = [sys.executable, "-m", "photo_fleet.cli", "up", str(spec), "--data", str(data)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--no-view", *options],
            env=_environ(),
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
    up = Up(f"http://127.0.0.1:{port}", data, process, log)
    try:
        eventually(lambda: _listens(up), 90, 0.2)
        up.wait_for(desired)
        yield up
    finally:
        _end(up)


def _listens(up: Up) -> bool:
    assert up.process.poll() is None, up.said
    return fleet_command("status", "--data", str(up.data)).returncode in (0, UNFINISHED)


def _end(up: Up) -> None:
    if up.process.poll() is None:
        up.process.send_signal(signal.SIGINT)
        try:
            up.process.wait(30)
        except subprocess.TimeoutExpired:
            up.process.kill()
            up.process.wait()


def _environ() -> dict[str, str]:
    """With proxies where nobody is: all of a fleet is on this machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PHOTO_API_")}
    return kept | {"HTTP_PROXY": NO_PROXY_IS_THERE, "ALL_PROXY": NO_PROXY_IS_THERE}


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)

"""Real servers in real processes. Whatever a test starts ends with it: servers by their death
signal, `photo-api embedded` by the end of its input."""

import grp
import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from photo_api.cloud.sigv4 import Credentials, presign
from photo_base.embedded import EmbeddedAddresses


@dataclass(frozen=True)
class Bucket:
    """Signed requests to the embedded store."""

    addresses: EmbeddedAddresses

    def url(self, method: str, key: str, *, public: bool = False) -> str:
        where = self.addresses.s3_public_endpoint if public else self.addresses.s3_endpoint
        return presign(
            method,
            f"{where}/{self.addresses.bucket}/{key}",
            credentials=Credentials(self.addresses.access_key, self.addresses.secret_key),
            region=self.addresses.region,
            now=time.time(),
            expires_in=60,
        )

    def put(self, key: str, body: bytes) -> None:
        assert httpx.put(self.url("PUT", key), content=body).status_code == 200

    def get(self, key: str) -> bytes:
        answer = httpx.get(self.url("GET", key))
        assert answer.status_code == 200, answer.text
        return answer.content


@dataclass(frozen=True)
class Command:
    """A running `photo-api embedded`."""

    process: subprocess.Popen[bytes]
    addresses: dict[str, Any]

    def family(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


def run_embedded(
    data: Path, *options: str, prefix: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start it with pipes, by which it notices the end of the test."""
    arguments = ["--data", str(data), "--test", *options]
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "photo_api.cli", "embedded", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@contextmanager
def embedded(data: Path, *options: str, prefix: tuple[str, ...] = ()) -> Iterator[Command]:
    process = run_embedded(data, "--with-parent", *options, prefix=prefix)
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read().decode()
    try:
        yield Command(process, json.loads(line))
    finally:
        process.communicate(timeout=10)


def all_gone(processes: list[psutil.Process], within: float) -> bool:
    """Whether every one has ended, and been reaped or become a zombie, in so many seconds."""
    _, alive = psutil.wait_procs(processes, timeout=within)
    return all(_is_zombie(item) for item in alive)


def _is_zombie(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def working_below(data: Path) -> list[psutil.Process]:
    """Processes that have `data` in their command line or as their working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            places = [process.cwd(), *process.cmdline()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
            continue
        if process.pid != os.getpid() and any(str(data) in place for place in places):
            found.append(process)
    return found


def eventually(condition: Callable[[], bool], within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def confinement(pid: int) -> tuple[set[str], set[int], str]:
    """The users and groups that it runs as, its capabilities, and whether it can get new ones."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = {name: rest.split() for name, _, rest in (line.partition(":") for line in lines)}
    users = {pwd.getpwuid(int(uid)).pw_name for uid in status["Uid"]}
    users |= {grp.getgrgid(int(gid)).gr_name for gid in (*status["Gid"], *status["Groups"])}
    capabilities = {int(status[f"Cap{kind}"][0], 16) for kind in ("Inh", "Prm", "Eff", "Amb")}
    return users, capabilities, status["NoNewPrivs"][0]

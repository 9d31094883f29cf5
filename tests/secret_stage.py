"""A role of the database and keys of the store that a test may change, and a folder of secrets."""

import asyncio
import json
import secrets as random_secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psutil

from photo_api.storage.base import StoreUnavailable
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store
from photo_base.whole_file import replace
from tests.own_stage import execute
from tests.service import eventually

FILES = {
    "DATABASE_URL": "database-url",
    "S3_ACCESS_KEY": "s3-access-key",
    "S3_SECRET_KEY": "s3-secret-key",
    "JWT_KEYS": "jwt-keys",
    "SECRET_KEYS": "secret-keys",
    "OPS_TOKEN": "ops-token",
}


class Keys:
    """The access keys that a SeaweedFS takes, besides those that it had."""

    def __init__(self, stack: Mapping[str, Any]) -> None:
        self._stack = stack
        self._weed = psutil.Process(stack["pids"]["seaweed"])
        option = "-s3.config="
        [config] = [item for item in self._weed.cmdline() if item.startswith(option)]
        self._config = Path(f"/proc/{self._weed.pid}/cwd") / config.removeprefix(option)
        self._first = self._config.read_text()

    def set(self, *pairs: tuple[str, str]) -> None:
        """Take these and the first ones, and no other, from now on."""
        config = json.loads(self._first)
        [identity] = config["identities"]
        added = [{"accessKey": access, "secretKey": secret} for access, secret in pairs]
        identity["credentials"] += added
        # In its place, so that its owner and its readers stay what they were.
        self._config.write_text(json.dumps(config))
        self._weed.send_signal(signal.SIGHUP)

    def taken(self, access: str, secret: str) -> bool:
        """Whether the store takes these."""

        async def ask() -> bool:
            credentials = StaticCredentials(access, secret)
            place = (self._stack["s3_endpoint"], self._stack["bucket"], self._stack["region"])
            store = S3Store(*place, credentials)
            with suppress(StoreUnavailable):
                await store.ping()
                return True
            return False

        return asyncio.run(ask())

    def restore(self) -> None:
        """Only the first ones are taken."""
        self.set()


def new_pair() -> tuple[str, str]:
    return f"access{random_secrets.token_hex(8)}", f"hidden{random_secrets.token_hex(16)}"


class Role:
    """A login role beside the service's own, with its rights."""

    def __init__(self, stack: Mapping[str, Any], settings: Mapping[str, str]) -> None:
        self._superuser = stack["superuser_url"]
        self._url = settings["PHOTO_API_DATABASE_URL"]
        self.name = f"role_{random_secrets.token_hex(6)}"
        self.password = ""
        self.do(f"CREATE ROLE {self.name} LOGIN IN ROLE photo_api")
        self.do(f"ALTER ROLE {self.name} SET role = 'photo_api'")
        self.change_password()

    def do(self, statement: str) -> None:
        asyncio.run(execute(self._superuser, statement))

    def change_password(self) -> None:
        """Those of new connections alone: sessions that there are go on."""
        self.password = f"pass{random_secrets.token_hex(12)}"
        self.do(f"ALTER ROLE {self.name} PASSWORD '{self.password}'")

    def cut_off(self) -> None:
        """End its sessions, as a failover does."""
        self.do(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.name}'"
        )

    @property
    def url(self) -> str:
        parts = urlsplit(self._url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{self.name}:{quote(self.password)}@{host}"))


class Folder:
    """Secrets as files, as the rendered units have them."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.settings = dict(settings)
        for name, file in FILES.items():
            self.write(name, self.settings.pop(f"PHOTO_API_{name}"))
            self.settings[f"PHOTO_API_{name}_FILE"] = str(folder / file)

    def write(self, name: str, text: str) -> None:
        replace(self.folder / FILES[name], text + "\n", 0o640)

    def path(self, name: str) -> Path:
        return self.folder / FILES[name]


@contextmanager
def rotating(
    stack: dict[str, Any], settings: dict[str, str], folder: Path
) -> Iterator[tuple[Folder, Role, Keys, tuple[str, str]]]:
    """(the files, the role and the store's keys that they begin with, and the first pair). The
    store is as before afterwards."""
    role, keys, pair = Role(stack, settings), Keys(stack), new_pair()
    try:
        keys.set(pair)
        eventually(lambda: keys.taken(*pair), 20)
        changed = {
            "PHOTO_API_DATABASE_URL": role.url,
            "PHOTO_API_S3_ACCESS_KEY": pair[0],
            "PHOTO_API_S3_SECRET_KEY": pair[1],
        }
        yield Folder(folder, settings | changed), role, keys, pair
    finally:
        keys.restore()
        role.cut_off()
        with suppress(Exception):
            role.do(f"DROP OWNED BY {role.name}; DROP ROLE {role.name}")

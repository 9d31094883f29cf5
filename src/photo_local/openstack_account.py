"""The account of one data folder: a Keystone, a Swift that takes its tokens, and the containers of
a service in it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from photo_api.cloud.keystone import Account
from photo_api.provisioning.swift_init import init_container
from photo_api.provisioning.swift_rules import Wanted
from photo_api.storage.base import StoreUnavailable
from photo_api.storage.keystone import Keystone
from photo_api.storage.swift_requests import SwiftRequests
from photo_api.storage.tokens import Tokens
from photo_base import kept_secrets
from photo_base.embedded import EmbeddedSwift
from photo_base.origins import ANY, ANY_PORT
from photo_base.processes import CannotStart
from photo_local import keystone
from photo_local.keystone import ADMIN, PROJECT, USER, Passwords
from photo_local.ports import free_port
from photo_local.swift import START_SECONDS, Swift
from photo_local.swift_files import Identity

PHOTOS, STAGING = "photos", "photos-staging"


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """All of them."""

    admin_password: str
    password: str
    url_key: str
    staging_url_key: str


class OpenStack:
    """Both servers with their files under `folder`. Browsers may GET from any origin, and PUT from
    `cors_origins`. `port` None takes a free one; tokens live for `token_life` seconds."""

    def __init__(
        self,
        folder: Path,
        logs: Path,
        *,
        port: int | None = None,
        cors_origins: Sequence[str] = (),
        token_life: int = 3600,
    ) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._secrets = kept_secrets.load_or_create(
            Secrets,
            folder / "secrets.json",
            "Keystone opens only with the passwords in it, so put back a copy of the file",
        )
        self._origins = cors_origins
        passwords = Passwords(self._secrets.admin_password, self._secrets.password)
        port = free_port() if port is None else port
        self._account_url = f"http://127.0.0.1:{port}/v1/AUTH_{PROJECT}"
        self._keystone = keystone.Keystone(
            folder / "keystone",
            passwords,
            life=token_life,
            log=logs / "keystone.log",
            store=self._account_url,
        )
        identity = Identity(self._keystone.url, ADMIN, passwords.admin, ADMIN)
        self._swift = Swift(folder / "swift", identity, port=port, logs=logs)
        self.services = (self._keystone, self._swift)

    @property
    def port(self) -> int:
        """The store's port on loopback; known once it was started."""
        return self._swift.port

    @property
    def endpoint(self) -> str:
        """The store's address; known once it was started."""
        return self._swift.url

    @property
    def pids(self) -> dict[str, int]:
        """Of Keystone and of each of Swift's servers."""
        swift = {f"swift-{name}": item.pid for name, item in self._swift.processes.items()}
        return {"keystone": self._keystone.process.pid} | swift

    async def prepare(self) -> None:
        """Make the containers, once both run. Raises `CannotStart`."""
        account = Account(f"{self._keystone.url}/v3", USER, self._secrets.password, PROJECT)
        asking = Keystone(account)
        tokens = Tokens(asking.fetch)
        requests = SwiftRequests(self._account_url, tokens)
        # No container knows origins on any port.
        any_port = any(origin.endswith(ANY_PORT) for origin in self._origins)
        uploaders = [ANY] if any_port else self._origins
        try:
            await _make_container(requests, PHOTOS, self._secrets.url_key, [ANY])
            await _make_container(requests, STAGING, self._secrets.staging_url_key, uploaders)
        finally:
            await requests.aclose()
            await tokens.aclose()

    def found(self, public_endpoint: str) -> EmbeddedSwift:
        """Where it is for a service, whose clients reach it at `public_endpoint`."""
        return EmbeddedSwift(
            url=self._account_url,
            public_endpoint=public_endpoint,
            auth_url=f"{self._keystone.url}/v3",
            user=USER,
            project=PROJECT,
            container=PHOTOS,
            staging_container=STAGING,
            password=self._secrets.password,
            url_key=self._secrets.url_key,
            staging_url_key=self._secrets.staging_url_key,
        )


async def _make_container(
    requests: SwiftRequests, name: str, key: str, origins: Sequence[str]
) -> None:
    """Also where the servers, which listen before they can do all, take their time."""
    deadline = monotonic() + START_SECONDS
    while True:
        try:
            found = await init_container(requests, Wanted(name, [key], origins, exact=True))
            if wrong := [one.told for one in found if one.state == "wrong"]:
                raise CannotStart(f"Swift does not take a container: {wrong[0]}")
            return
        except StoreUnavailable as error:
            if monotonic() > deadline:
                raise CannotStart(f"Swift does not take a container: {error}") from error
        await asyncio.sleep(0.2)

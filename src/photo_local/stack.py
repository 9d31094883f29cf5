"""PostgreSQL and an object store together, under one data directory, kept running."""

import asyncio
import fcntl
import logging
import os
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, Protocol

from photo_base.embedded import EmbeddedAddresses
from photo_base.processes import CannotStart
from photo_base.tasks import cancel
from photo_local.ports import PortTaken, free_port, is_free
from photo_local.postgres import Postgres
from photo_local.relay import Relay
from photo_local.seaweed import BUCKET, REGION, Seaweed
from photo_local.secrets import Secrets, load_or_create

if TYPE_CHECKING:
    from photo_local.openstack_account import OpenStack

log = logging.getLogger(__name__)

Kind = Literal["s3", "swift"]
NAMES: Mapping[Kind, str] = {"s3": "SeaweedFS", "swift": "OpenStack Swift"}
FOLDERS: Mapping[Kind, str] = {"s3": "seaweed", "swift": "openstack"}
PORT_VARIABLES: Mapping[Kind, str] = {"s3": "S3_PORT", "swift": "SWIFT_PORT"}

LOOPBACK = ("127.0.0.1", "localhost")
DEATHS_ALLOWED = 5
DEATHS_WINDOW = 60.0
LONGEST_BACKOFF = 5.0


class Service(Protocol):
    """A server that can be started again after it died."""

    name: str

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def died(self) -> int: ...


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """`port` None takes a free one. Browsers may GET from any origin and PUT from `cors_origins`.
    Keystone's tokens, of a Swift, live for `token_life` seconds."""

    kind: Kind = "s3"
    port: int | None = None
    cors_origins: Sequence[str] = ()
    token_life: int = 3600


class EmbeddedStack:
    """All servers with their files under `data`, which one stack at a time may use, always with the
    same kind of `store`: the database names what is in it.

    With another `host` than 127.0.0.1 the store alone is reached there too, under the name
    `public_host`. `database_port` adds a TCP port on loopback; `postgres` is the folder of another
    PostgreSQL's programs.
    """

    def __init__(
        self,
        data: Path,
        *,
        store: StoreOptions | None = None,
        host: str = "127.0.0.1",
        public_host: str | None = None,
        database_port: int | None = None,
        durable: bool = True,
        database_options: Mapping[str, str] | None = None,
        postgres: Path | None = None,
    ) -> None:
        self._data = data.absolute()
        self._host = host
        self._store = store or StoreOptions()
        self._public_host = public_host or host
        self._database_port = database_port
        self._durable = durable
        self._database_options = database_options
        self._postgres = postgres
        self._lock: int | None = None
        self._services: list[Service] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._relay: Relay | None = None
        self._failed: asyncio.Future[str] | None = None

    @property
    def secrets(self) -> Secrets:
        """The data directory's secrets, made at its first use."""
        self._make_folder()
        return load_or_create(self._data / "secrets.json")

    @property
    def failed(self) -> "asyncio.Future[str]":
        """Done, with the reason, when a server cannot be kept running."""
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        return self._failed

    async def start(self) -> EmbeddedAddresses:
        """Start both at the same time and keep them running until `stop`.

        Raises `CannotStart`, among others when another stack uses the data directory.
        """
        self._take_lock()
        try:
            return await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End everything within a second. Safe to repeat."""
        await cancel(*self._keepers)
        if self._relay is not None:
            await self._relay.stop()
        await asyncio.gather(*(service.stop() for service in self._services))
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def _start(self) -> EmbeddedAddresses:
        secrets, logs, variable = (
            self.secrets,
            self._data / "logs",
            PORT_VARIABLES[self._store.kind],
        )
        relayed = self._host not in LOOPBACK
        if relayed and self._store.port is not None and not is_free(self._store.port, self._host):
            raise PortTaken(variable, self._store.port)
        self._refuse_other_store()
        postgres = Postgres(
            self._data / "postgres",
            secrets.database_password,
            durable=self._durable,
            port=self._database_port,
            options=self._database_options,
            log=logs / "postgres.log",
            programs=self._postgres,
        )
        store = await self._make_store(None if relayed else self._store.port, secrets)
        own = [store] if isinstance(store, Seaweed) else store.services
        self._services = [postgres, *own]
        await _together(*(service.start() for service in self._services))
        self._keepers = [asyncio.create_task(self._keep(item)) for item in self._services]
        public = await self._open_relay(store.port) if relayed else store.endpoint
        places: dict[str, Any] = {
            "database_url": postgres.url,
            "superuser_url": postgres.superuser_url,
        }
        if not isinstance(store, Seaweed):
            await store.prepare()
            pids = {"postgres": postgres.pid, **store.pids}
            return EmbeddedAddresses(**places, pids=pids, swift=store.found(public))
        return EmbeddedAddresses(
            **places,
            s3_endpoint=store.endpoint,
            s3_public_endpoint=public,
            bucket=BUCKET,
            region=REGION,
            access_key=secrets.s3_access_key,
            secret_key=secrets.s3_secret_key,
            pids={"postgres": postgres.pid, "seaweed": store.pid},
        )

    async def _make_store(self, port: int | None, secrets: Secrets) -> "Seaweed | OpenStack":
        folder, logs = self._data / FOLDERS[self._store.kind], self._data / "logs"
        self._refuse_other_store()
        # Before there is a folder, which would say what the data is in. Where there is one, a
        # former server may have the port, and is ended first.
        if port and not folder.exists() and not is_free(port):
            raise PortTaken(PORT_VARIABLES[self._store.kind], port)
        if self._store.kind == "s3":
            return Seaweed(
                folder,
                secrets.s3_access_key,
                secrets.s3_secret_key,
                s3_port=port,
                cors_origins=self._store.cors_origins,
                log=logs / "seaweed.log",
            )
        from photo_local.openstack_account import OpenStack
        from photo_local.openstack_programs import programs

        await programs()  # before there is a folder, too
        return OpenStack(
            folder,
            logs,
            port=port,
            cors_origins=self._store.cors_origins,
            token_life=self._store.token_life,
        )

    def _refuse_other_store(self) -> None:
        """The database names what is in one store only."""
        for kind, folder in FOLDERS.items():
            if kind != self._store.kind and (self._data / folder).exists():
                raise CannotStart(
                    f"the photos of {self._data} are in its {NAMES[kind]}: start it with"
                    f" STORE={kind} again, or take another DATA folder for STORE={self._store.kind}"
                )

    async def _open_relay(self, target: int) -> str:
        """Start the relay; the address under which others reach the store."""
        port = self._store.port or free_port()
        relay = Relay(self._host, port, target)
        try:
            await relay.start()
        except OSError as error:
            variable = PORT_VARIABLES[self._store.kind]
            raise CannotStart(
                f"cannot listen on HOST {self._host}, {variable} {port}: {error}"
            ) from error
        self._relay = relay
        name = f"[{self._public_host}]" if ":" in self._public_host else self._public_host
        return f"http://{name}:{port}"

    async def _keep(self, service: Service) -> None:
        """Start a server again whenever it dies, until it dies too often."""
        deaths: deque[float] = deque(maxlen=DEATHS_ALLOWED)
        backoff = 0.0
        while True:
            code = await service.died()
            now = monotonic()
            if len(deaths) == DEATHS_ALLOWED and now - deaths[0] < DEATHS_WINDOW:
                self._give_up(f"{service.name} ended {DEATHS_ALLOWED + 1} times in a minute")
                return
            recent = bool(deaths) and now - deaths[-1] < DEATHS_WINDOW
            backoff = min(backoff * 2 or 0.1, LONGEST_BACKOFF) if recent else 0.0
            deaths.append(now)
            log.warning("%s ended with %s, starting it again", service.name, code)
            await asyncio.sleep(backoff)
            try:
                await service.start()
                log.warning("%s runs again after %.1f s", service.name, monotonic() - now)
            except CannotStart as error:
                log.warning("%s", error)
            except Exception:  # nobody awaits this: without another try it would stay away
                log.exception("%s cannot be started; trying again", service.name)

    def _give_up(self, reason: str) -> None:
        if not self.failed.done():
            self.failed.set_result(f"{reason}; see {self._data / 'logs'}")

    def _make_folder(self) -> None:
        try:
            self._data.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            text = f"{self._data} cannot be a data folder: {error.strerror}; choose another"
            raise CannotStart(text) from None

    def _take_lock(self) -> None:
        self._make_folder()
        descriptor = os.open(self._data / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise CannotStart(
                f"another photo-api runs on {self._data}; end it, or run with another DATA=…"
            ) from None
        self._lock = descriptor


async def _together(*starts: Coroutine[Any, Any, None]) -> None:
    """Run all; the first failure ends the others, each of which cleans up after itself."""
    tasks = [asyncio.ensure_future(start) for start in starts]
    try:
        await asyncio.gather(*tasks)
    finally:
        with suppress(asyncio.CancelledError):
            await cancel(*tasks)

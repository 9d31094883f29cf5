"""PostgreSQL and SeaweedFS together, under one data directory, kept running."""

import asyncio
import fcntl
import logging
import os
from collections import deque
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from photo_base.embedded import EmbeddedAddresses
from photo_base.processes import CannotStart
from photo_base.tasks import cancel
from photo_local.ports import PortTaken, free_port, is_free
from photo_local.postgres import Postgres
from photo_local.relay import Relay
from photo_local.seaweed import BUCKET, REGION, Seaweed
from photo_local.secrets import Secrets, load_or_create

log = logging.getLogger(__name__)

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


class EmbeddedStack:
    """Both servers with their files under `data`, which one stack at a time may use.

    With another `host` than 127.0.0.1 the store alone is reached there too, under the name
    `public_host`. `s3_port` None takes a free port. `database_port` adds a TCP port on loopback.
    """

    def __init__(
        self,
        data: Path,
        *,
        host: str = "127.0.0.1",
        s3_port: int | None = None,
        cors_origins: Sequence[str] = (),
        public_host: str | None = None,
        database_port: int | None = None,
        durable: bool = True,
        database_options: Mapping[str, str] | None = None,
    ) -> None:
        self._data = data.absolute()
        self._host = host
        self._s3_port = s3_port
        self._cors_origins = cors_origins
        self._public_host = public_host or host
        self._database_port = database_port
        self._durable = durable
        self._database_options = database_options
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
        secrets, logs = self.secrets, self._data / "logs"
        relayed = self._host not in LOOPBACK
        if relayed and self._s3_port is not None and not is_free(self._s3_port, self._host):
            raise PortTaken("S3_PORT", self._s3_port)
        postgres = Postgres(
            self._data / "postgres",
            secrets.database_password,
            durable=self._durable,
            port=self._database_port,
            options=self._database_options,
            log=logs / "postgres.log",
        )
        seaweed = Seaweed(
            self._data / "seaweed",
            secrets.s3_access_key,
            secrets.s3_secret_key,
            s3_port=None if relayed else self._s3_port,
            cors_origins=self._cors_origins,
            log=logs / "seaweed.log",
        )
        self._services = [postgres, seaweed]
        await _together(postgres.start(), seaweed.start())
        self._keepers = [asyncio.create_task(self._keep(item)) for item in self._services]
        public = await self._open_relay(seaweed) if relayed else seaweed.endpoint
        return EmbeddedAddresses(
            database_url=postgres.url,
            superuser_url=postgres.superuser_url,
            s3_endpoint=seaweed.endpoint,
            s3_public_endpoint=public,
            bucket=BUCKET,
            region=REGION,
            access_key=secrets.s3_access_key,
            secret_key=secrets.s3_secret_key,
            pids={"postgres": postgres.pid, "seaweed": seaweed.pid},
        )

    async def _open_relay(self, seaweed: Seaweed) -> str:
        """Start the relay; the address under which others reach the store."""
        port = self._s3_port or free_port()
        relay = Relay(self._host, port, seaweed.port)
        try:
            await relay.start()
        except OSError as error:
            raise CannotStart(
                f"cannot listen on HOST {self._host}, S3_PORT {port}: {error}"
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

"""The stage of a drill: a real fleet on this machine, every part of which can be hurt."""

import asyncio
import json
import os
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import asyncpg

from photo_fleet.drill.store_relay import StoreRelay
from photo_fleet.group.local import Refused
from photo_fleet.local_fleet.control import NoFleet, ask
from photo_fleet.local_fleet.embedded import Addresses
from photo_fleet.local_fleet.fleet import LocalFleet
from photo_fleet.local_fleet.layout import Layout
from photo_fleet.processes import CannotStart
from photo_fleet.spec import (
    Balancer,
    Database,
    Drain,
    Fleet,
    Group,
    HealthCheck,
    RateLimit,
    RateLimits,
    Service,
)

LOOK = 0.2
LONGEST_START = 180.0
LONGEST_SETTLING = 120.0
LONGEST_SWEEP = 60.0
NO_LIMIT = RateLimit(100_000, 100_000)

SETTINGS = {"SWEEP_INTERVAL": "1", "DATABASE_POOL_WAIT": "3"}
"""What differs from a production's settings, besides what the spec says."""

AGED = (
    "UPDATE photos SET upload_expires_at = upload_expires_at - interval '1 day'"
    " WHERE status = 'pending'",
    "UPDATE unreferenced_objects SET delete_after = delete_after - interval '1 day'"
    " WHERE delete_after > now()",
)
LEFT_TO_SWEEP = (
    "SELECT (SELECT count(*) FROM photos WHERE status = 'pending')"
    " + (SELECT count(*) FROM unreferenced_objects)"
)
WORK_LEFT = "SELECT count(*) FROM jobs WHERE state <> 'dead'"


@dataclass(frozen=True, slots=True)
class Demands:
    """What a scenario wants of its stage: instances at its beginning, and at most; how the balancer
    learns that one leaves; seconds between its probes."""

    size: int = 3
    largest: int = 6
    removal: Literal["deregister-first", "health-only"] = "deregister-first"
    probe_interval: float = 5.0


def stage_spec(demands: Demands) -> Fleet:
    """A fleet whose size changes only when told to, whose limits are in nobody's way, and whose
    instances leave as soon as every balancer has let go of them."""
    return Fleet(
        name="drill",
        service=Service(pool=4),
        health_check=HealthCheck(interval=demands.probe_interval, timeout=3),
        balancer=Balancer(rate_limits=RateLimits(NO_LIMIT, NO_LIMIT, NO_LIMIT, NO_LIMIT)),
        drain=Drain(removal=demands.removal, lame_duck=3, log_flush=1, grace=60),
        group=Group(
            min=min(2, demands.size),
            max=demands.largest,
            desired=demands.size,
            warm_up=0,
            policies=(),
        ),
        database=Database(max_connections=max(60, 12 * (demands.largest + 1) + 20)),
    )


class Stage:
    """A running fleet in `folder`, reached at `url`; `addresses` lead to what all share."""

    def __init__(self, folder: Path, demands: Demands) -> None:
        self.folder = folder
        self.demands = demands
        self.relay = StoreRelay(_free_port())
        self._layout = Layout(folder)
        self._found: Addresses | None = None
        environ = {**_environ(), **{f"PHOTO_API_{name}": value for name, value in SETTINGS.items()}}
        self._fleet = LocalFleet(
            stage_spec(demands),
            self._layout,
            _free_port(),
            environ=environ,
            between=self._put_relay_between,
        )
        self.url = self._fleet.url

    @classmethod
    @asynccontextmanager
    async def open(
        cls, folder: Path, demands: Demands, say: Callable[[str], None]
    ) -> AsyncIterator["Stage"]:
        """Build it, with all instances serving. Raises `CannotStart`."""
        stage, stop = cls(folder, demands), asyncio.Event()
        stage._fleet.journal.heard = lambda item: say(str(item))
        await stage.relay.start()
        running = asyncio.create_task(stage._fleet.run(stop))
        try:
            settling = asyncio.create_task(stage.settled(LONGEST_START))
            await asyncio.wait([running, settling], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                settling.cancel()
                running.result()
                raise CannotStart("the fleet ended before it served")
            settling.result()
            yield stage
        finally:
            stop.set()
            stage._fleet.hurry.set()  # nobody uses it any more
            with suppress(CannotStart):
                await running
            await stage.relay.stop()

    @property
    def addresses(self) -> Addresses:
        """Where the database and the store are; the store behind its relay."""
        if self._found is None:
            raise CannotStart("the stage has no database yet")
        return self._found

    @property
    def database_url(self) -> str:
        """With the password in it."""
        return self.addresses.database_url

    @property
    def access_log(self) -> Path:
        """nginx's, a line of JSON for each request."""
        return self._layout.logs / "access.log"

    @property
    def instance_logs(self) -> list[Path]:
        """Those of all instances that there were."""
        return sorted(self._layout.logs.glob("127.*.log"))

    @property
    def nginx_pid(self) -> int:
        """That of nginx's master process. Raises `OSError` while there is none."""
        return int((self._layout.run / "nginx.pid").read_text())

    @property
    def database_pid(self) -> int:
        """That of PostgreSQL's first process. Raises `OSError` while there is none."""
        file = self._layout.embedded / "postgres" / "postmaster.pid"
        return int(file.read_text().splitlines()[0])

    @property
    def keeper_pid(self) -> int:
        """That of the process which starts the database and the store again when they end."""
        # The database is its child, and the store too.
        stat = Path(f"/proc/{self.database_pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[1])

    def instances(self) -> list[dict[str, Any]]:
        """As `photo-fleet status` shows them, the oldest first."""
        found: list[dict[str, Any]] = self._fleet.status()["instances"]
        return found

    def serving(self) -> list[dict[str, Any]]:
        """Those that are ready and get requests."""
        return [item for item in self.instances() if item["state"] == "ready" and item["member"]]

    def states(self) -> dict[str, int]:
        """How many instances are in which state."""
        return dict(Counter(str(item["state"]) for item in self.instances()))

    async def order(self, **request: object) -> dict[str, Any]:
        """Have the fleet do something, as `photo-fleet scale | deploy | drain` would; returns when
        it is done. Raises `Refused`."""
        answer = await ask(self._layout.control, request, lambda _: None)
        if not answer["done"]:
            raise Refused(str(answer["error"]))
        return answer

    async def settled(self, seconds: float = LONGEST_SETTLING) -> None:
        """Wait until as many serve as are desired, and no other is left. Raises `TimeoutError`."""
        async with asyncio.timeout(seconds):
            while not self._is_settled():
                await asyncio.sleep(LOOK)

    async def resized(self, size: int) -> None:
        """Bring it to `size` instances, if it has another number. Raises `Refused`, `NoFleet`."""
        if self._fleet.status()["desired"] != size:
            await self.order(do="scale", size=size)
        await self.settled()

    async def query(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Rows of one statement, on a connection of its own."""
        connection = await asyncpg.connect(self.database_url, timeout=10)
        try:
            return list(await connection.fetch(statement, *arguments, timeout=30))
        finally:
            await connection.close()

    async def swept(self) -> bool:
        """Let a day pass for what nobody claims any more, and wait until the sweep has cleared it
        away; False when it has not within a minute. Only for a stage that nobody uses."""
        async with _patience(LONGEST_SWEEP / 2):
            while (await self.query(WORK_LEFT))[0][0]:
                await asyncio.sleep(LOOK)
        for statement in AGED:
            await self.query(statement)
        async with _patience(LONGEST_SWEEP):
            while (await self.query(LEFT_TO_SWEEP))[0][0]:
                await asyncio.sleep(LOOK)
            return True
        return False

    def environ(self) -> Mapping[str, str]:
        """Settings with which a `photo-api` command reads this stage's database and store; secrets
        among them."""
        addresses = self.addresses
        secrets = self.secrets()
        ours = {
            "MODE": "production",
            "DATABASE_URL": addresses.database_url,
            "S3_ENDPOINT": addresses.s3_endpoint,
            "S3_BUCKET": addresses.bucket,
            "S3_REGION": addresses.region,
            "S3_ACCESS_KEY": addresses.access_key,
            "S3_SECRET_KEY": addresses.secret_key,
            "JWT_KEYS": f"fleet:{secrets['jwt_key']}",
            "SECRET_KEYS": f"fleet:{secrets['secret_key']}",
            "METADATA_URL": "",
        }
        return {**_environ(), **{f"PHOTO_API_{name}": value for name, value in ours.items()}}

    def secrets(self) -> Mapping[str, str]:
        """Those that all instances share."""
        found: dict[str, str] = json.loads(self._layout.secrets.read_text())
        return found

    def _is_settled(self) -> bool:
        status = self._fleet.status()
        everybody = len(status["instances"]) == status["desired"] == len(self.serving())
        return bool(status["settled"]) and everybody and self._found is not None

    def _put_relay_between(self, addresses: Addresses) -> Addresses:
        self.relay.endpoint = addresses.s3_endpoint
        self._found = replace(addresses, s3_endpoint=self.relay.url)
        return self._found


@asynccontextmanager
async def _patience(seconds: float) -> AsyncIterator[None]:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            yield


def _environ() -> dict[str, str]:
    """Nothing of the caller's reaches the service under test."""
    kept = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    return {name: value for name, value in kept.items() if not name.startswith("PHOTO_API_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


__all__ = ["Demands", "NoFleet", "Stage", "stage_spec"]

"""What every row is measured with, opened once."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.capture import plan_for
from bench.compare import progress
from bench.load import LoadFailed
from bench.other import Base, Other, fill
from bench.processes import Launcher, Server
from bench.traffic import Traffic
from bench.world import Sizes, World, create_world
from photo_api.db.migrations import migrate
from photo_api.db.pool import Database, open_database
from photo_api.settings.loading import Settings, load
from photo_api.storage.opening import open_credentials
from photo_api.storage.s3 import S3Store
from photo_base.embedded import EmbeddedAddresses
from photo_local.stack import EmbeddedStack


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to measure: rounds, seconds a stretch, starts, and uploads or confirmations."""

    rounds: int
    seconds: float
    starts: int
    batch: int


@dataclass(frozen=True, slots=True)
class Ground:
    """An empty service that is not running: enough to measure its start. Files go into `folder`."""

    folder: Path
    settings: Settings
    launcher: Launcher
    db: Database
    store: S3Store


@dataclass(frozen=True, slots=True)
class Bench:
    """Both sides running on a filled database, and another server if one is to be compared."""

    ground: Ground
    world: World
    traffic: Traffic
    service: Server
    limit: Server
    other: Other | None


@asynccontextmanager
async def open_ground(folder: Path) -> AsyncIterator[Ground]:
    """PostgreSQL and the store, as durable as in real use, under `folder`."""
    progress("starting PostgreSQL and SeaweedFS")
    stack = EmbeddedStack(folder / "data")
    try:
        environ = environ_of(await stack.start(), stack.secrets.jwt_key, stack.secrets.secret_key)
        settings = load(environ)
        await migrate(settings.database)
        async with (
            open_database(settings.database, "bench") as db,
            open_credentials(settings.s3, settings.cloud) as credentials,
        ):
            s3 = settings.s3
            store = S3Store(s3.endpoint, s3.bucket, s3.region, credentials)
            yield Ground(folder, settings, Launcher(environ, folder), db, store)
    finally:
        await stack.stop()


@asynccontextmanager
async def open_bench(ground: Ground, sizes: Sizes, base: Base | None) -> AsyncIterator[Bench]:
    """Fill the database and start both servers; `base` is another one, which is filled too."""
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(ground.launcher.service())
        progress("filling the database")
        world = await create_world(ground.db, service.address, sizes)
        traffic = Traffic(ground.settings, ground.db, ground.store, world)
        plan = await plan_for(traffic, service.address)
        limit = await stack.enter_async_context(ground.launcher.limit(plan))
        other = await _filled(base, sizes) if base else None
        yield Bench(ground, world, traffic, service, limit, other)


async def _filled(base: Base, sizes: Sizes) -> Other | None:
    """The other server; none where it does not do what it must, so that all rows are without."""
    try:
        return await fill(base, sizes)
    except (httpx.HTTPError, OSError, LoadFailed, LookupError, ValueError) as error:
        progress(f"{base.url} cannot be filled, so there is no figure of it: {error!r}")
        return None


def environ_of(addresses: EmbeddedAddresses, jwt_key: str, secret_key: str) -> dict[str, str]:
    """The environment of an instance on this database and store."""
    settings = {
        "MODE": "production",
        "DATABASE_URL": addresses.database_url,
        "S3_ENDPOINT": addresses.s3_endpoint,
        "S3_BUCKET": addresses.bucket,
        "S3_REGION": addresses.region,
        "S3_ACCESS_KEY": addresses.access_key,
        "S3_SECRET_KEY": addresses.secret_key,
        "JWT_KEYS": f"k1:{jwt_key}",
        "SECRET_KEYS": f"s1:{secret_key}",
        "PUBLIC_URL": "https://photos.example.org",
        "CORS_ORIGINS": "https://photos.example.org",
        "LAME_DUCK": "0",
        "DRAIN_WAIT": "3",
        "UPLOAD_MAX_PENDING": "1000000",
        "ACCESS_TTL": "86400",  # of the tokens of a whole run
    }
    return {
        "PATH": os.environ["PATH"],
        **{f"PHOTO_API_{name}": value for name, value in settings.items()},
    }

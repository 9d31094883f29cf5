"""A database (and a look into the store) that no other test shares."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from photo_api.db.pool import open_database
from photo_api.settings.loading import load
from photo_api.storage.base import ObjectMissing
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store
from photo_local.bucket import BucketAdmin
from tests.service import cli


@contextmanager
def own_database(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """The service's settings with a database that no other test uses, migrated."""
    with empty_database(stack, environ) as settings:
        migrated = cli(settings, "migrate")
        assert migrated.returncode == 0, migrated.stderr
        yield settings


@contextmanager
def empty_database(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """The service's settings with a database that nobody has migrated yet."""
    name = f"own_{secrets.token_hex(8)}"
    settings = environ | {"PHOTO_API_DATABASE_URL": _with_path(stack["database_url"], name)}
    asyncio.run(execute(stack["superuser_url"], f"CREATE DATABASE {name} OWNER photo_api"))
    try:
        yield settings
    finally:
        asyncio.run(execute(stack["superuser_url"], f"DROP DATABASE {name} WITH (FORCE)"))


def own_bucket(stack: dict[str, Any], environ: dict[str, str]) -> dict[str, str]:
    """The service's settings with a bucket that no other test uses."""
    bucket = f"own-{secrets.token_hex(16)}"
    keys = (stack["access_key"], stack["secret_key"])
    BucketAdmin(stack["s3_endpoint"], bucket, stack["region"], *keys).prepare([])
    return environ | {"PHOTO_API_S3_BUCKET": bucket}


def _with_path(url: str, database: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


async def execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def ask(settings: dict[str, str], query: str, *args: object) -> list[Any]:
    """Rows of one statement, on a connection of its own."""

    async def fetch() -> list[Any]:
        connection = await asyncpg.connect(settings["PHOTO_API_DATABASE_URL"])
        try:
            return list(await connection.fetch(query, *args))
        finally:
            await connection.close()

    return asyncio.run(fetch())


def store_of(settings: dict[str, str]) -> S3Store:
    """The store that a service with these settings uses."""
    s3 = load(settings).s3
    return S3Store(
        s3.endpoint, s3.bucket, s3.region, StaticCredentials(s3.access_key, s3.secret_key)
    )


def database_of(settings: dict[str, str]) -> Any:
    """The database that a service with these settings uses."""
    return open_database(load(settings).database, "tests")


@asynccontextmanager
async def at_work(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """While this is open it runs in this process; then it is cancelled. What it raises is told."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def holds(settings: dict[str, str], key: str) -> bool:
    """Whether the store has this object."""

    async def exists() -> bool:
        with suppress(ObjectMissing):
            await store_of(settings).head(key)
            return True
        return False

    return asyncio.run(exists())

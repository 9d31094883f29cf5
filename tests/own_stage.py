"""A database (and a look into the store) that no other test shares."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from photo_api.db.pool import open_database
from photo_api.settings.loading import load
from photo_api.storage.base import ObjectMissing
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store
from photo_local.bucket import BucketAdmin
from tests.service import MIGRATED, migrate_once


@contextmanager
def own_database(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """The service's settings with a database that no other test uses, migrated."""
    with _database(stack, environ, f"TEMPLATE {_migrated(stack, environ)}") as settings:
        MIGRATED.add((settings["PHOTO_API_DATABASE_URL"], os.environ.get("MIGRATE_WITH")))
        yield settings


@contextmanager
def empty_database(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """The service's settings with a database that nobody has migrated yet."""
    with _database(stack, environ, "") as settings:
        yield settings


@contextmanager
def _database(
    stack: dict[str, Any], environ: dict[str, str], made_from: str
) -> Iterator[dict[str, str]]:
    name = f"own_{secrets.token_hex(8)}"
    settings = environ | {"PHOTO_API_DATABASE_URL": _with_path(stack["database_url"], name)}
    create = f"CREATE DATABASE {name} OWNER photo_api {made_from}"
    asyncio.run(execute(stack["superuser_url"], create))
    try:
        yield settings
    finally:
        asyncio.run(execute(stack["superuser_url"], f"DROP DATABASE {name} WITH (FORCE)"))


def _migrated(stack: dict[str, Any], environ: dict[str, str]) -> str:
    """A database with all migrations and nothing else: a copy takes a fraction of their time."""
    sources = os.environ.get("MIGRATE_WITH")
    name = f"migrated_{sha256((sources or '').encode()).hexdigest()[:16]}"
    own = environ | {"PHOTO_API_DATABASE_URL": _with_path(stack["database_url"], name)}
    if (own["PHOTO_API_DATABASE_URL"], sources) not in MIGRATED:
        create = f"CREATE DATABASE {name} OWNER photo_api"
        asyncio.run(execute(stack["superuser_url"], create))
        migrate_once(own)
    return name


def forget_all(settings: dict[str, str]) -> None:
    """Empty the database, but for the instances that serve it: far less work than another database,
    and another service on it. Who would write into it must have ended."""
    tables = ask(
        settings,
        "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename NOT IN ('schema_migrations', 'instances')",
    )
    ask(settings, f"TRUNCATE {', '.join(name for (name,) in tables)}")


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

"""A database (and a look into the store) that no other test shares."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from photo_api.db.pool import open_database
from photo_api.settings.loading import load
from photo_api.storage.base import ObjectMissing, ObjectStore
from photo_api.storage.credentials import StaticCredentials
from photo_api.storage.s3 import S3Store
from photo_local.bucket import BucketAdmin
from tests.openstack.account import on_account, own_containers
from tests.service import MIGRATED, fits, migrate_once


@contextmanager
def own_database(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """The service's settings with a database that no other test uses, migrated."""
    with _database(stack, environ, f"TEMPLATE {_migrated(stack, environ)}") as settings:
        MIGRATED.add((settings["PHOTO_API_DATABASE_URL"], os.environ.get("MIGRATE_WITH")))
        yield settings


@contextmanager
def beside(
    stack: dict[str, Any], environ: dict[str, str], changes: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """The settings of a service beside the common one, with `changes` (without prefix). One with
    another store has a database of its own."""
    settings = environ | {f"PHOTO_API_{name}": value for name, value in changes.items()}
    with nullcontext(settings) if fits(settings) else own_database(stack, settings) as own:
        yield own


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
    """The service's settings with a bucket, or containers, that no other test uses."""
    if environ.get("PHOTO_API_STORE") == "swift":
        return own_containers(environ)
    bucket = f"own-{secrets.token_hex(16)}"
    keys = (stack["access_key"], stack["secret_key"])
    BucketAdmin(stack["s3_endpoint"], bucket, stack["region"], *keys).prepare([])
    return environ | {"PHOTO_API_S3_BUCKET": bucket}


def bucket_in(settings: dict[str, str]) -> str:
    """The bucket, or container, of the photos."""
    loaded = load(settings)
    return loaded.swift.container if loaded.store == "swift" else loaded.s3.bucket


def endpoint_in(settings: dict[str, str]) -> str:
    """Where the service finds its store; the address of the server."""
    if settings.get("PHOTO_API_STORE") != "swift":
        return settings["PHOTO_API_S3_ENDPOINT"]
    return urlunsplit(urlsplit(settings["PHOTO_API_SWIFT_URL"])._replace(path=""))


def reached_at(settings: dict[str, str], endpoint: str) -> dict[str, str]:
    """The settings of a service that finds the same store there."""
    changed = store_at(settings, endpoint)
    return settings | {f"PHOTO_API_{name}": value for name, value in changed.items()}


def store_at(settings: dict[str, str], endpoint: str) -> dict[str, str]:
    """What changes where a service finds its store there (without prefix). Its clients go where
    they went before."""
    before = endpoint_in(settings)
    if settings.get("PHOTO_API_STORE") != "swift":
        return {"S3_ENDPOINT": endpoint, "S3_PUBLIC_ENDPOINT": before}
    url = endpoint + urlsplit(settings["PHOTO_API_SWIFT_URL"]).path
    return {"SWIFT_URL": url, "SWIFT_PUBLIC_ENDPOINT": before}


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


class OpenStore(ObjectStore, Protocol):
    """A store whose connections are to be closed."""

    async def aclose(self) -> None: ...


def store_of(settings: dict[str, str]) -> OpenStore:
    """The store that a service with these settings uses."""
    loaded = load(settings)
    if loaded.store == "swift":
        return on_account(loaded)
    s3 = loaded.s3
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

"""Settings of what the service stands on: the database and the object store."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from photo_base.environment import (
    PREFIX,
    choice,
    database_url,
    integer,
    number,
    optional_authorities,
    optional_database_url,
    optional_url,
    setting,
)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    url: str = setting(
        "DATABASE_URL",
        "PostgreSQL address, `postgresql://user:password@host:5432/name`",
        parse=database_url,
        secret=True,
    )
    direct_url: str = setting(
        "DATABASE_DIRECT_URL",
        "address past a transaction pooler, for LISTEN and locks; empty: DATABASE_URL",
        default="",
        parse=optional_database_url,
        secret=True,
    )
    pooler: Literal["none", "transaction"] = setting(
        "DATABASE_POOLER",
        "`transaction` when DATABASE_URL is a pooler that gives a connection per transaction"
        " (PgBouncer, …): nothing is prepared then, and DATABASE_DIRECT_URL must be set",
        default="none",
        parse=choice("none", "transaction"),
    )
    pool_size: int = setting(
        "DATABASE_POOL", "connections per worker", default="10", parse=integer(1, 500)
    )
    pool_wait: float = setting(
        "DATABASE_POOL_WAIT",
        "seconds a request waits for a connection before it gets 503",
        default="3",
        parse=number(0.1, 60),
    )
    statement_timeout: float = setting(
        "DATABASE_STATEMENT_TIMEOUT",
        "seconds one statement may take",
        default="10",
        parse=number(0.5, 600),
    )
    filter_timeout: float = setting(
        "DATABASE_FILTER_TIMEOUT",
        "seconds that the database may look for a text in photos, or for photos by several filters;"
        " then 422",
        default="0.2",
        parse=number(0.01, 60),
    )
    max_instances: int = setting(
        "MAX_INSTANCES",
        "instances that the group may grow to; at start they, and one more for a deploy, are"
        " compared with the database's `max_connections`",
        default="10",
        parse=integer(1, 10_000),
    )

    @property
    def session_url(self) -> str:
        """Where a session lasts: for LISTEN, advisory locks and migrations."""
        return self.direct_url or self.url

    @property
    def past_pooler(self) -> "DatabaseSettings":
        """The same with sessions that last: for locks and temporary tables that outlive their
        transaction."""
        return replace(self, url=self.session_url, pooler="none")


def bucket_name(value: str) -> str:
    """Also old names, and those of Ceph's tenants."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.:-]{1,254}", value):
        raise ValueError("must be a bucket's name: ASCII letters, digits, hyphens and dots")
    return value


@dataclass(frozen=True, slots=True)
class S3Settings:
    endpoint: str = setting(
        "S3_ENDPOINT",
        "the store's address as this server uses it; needed where PHOTO_API_STORE is s3",
        default="",
        parse=optional_url,
    )
    public_endpoint: str = setting(
        "S3_PUBLIC_ENDPOINT",
        "the store's address in the URLs that clients get; empty: the same",
        default="",
        parse=optional_url,
    )
    bucket: str = setting(
        "S3_BUCKET", "the bucket that holds everything", default="photos", parse=bucket_name
    )
    authorities: str = setting(
        "S3_CA_FILE",
        "PEM file of the authorities whose certificates the store may have besides those that the"
        " system believes; read at the start",
        default="",
        parse=optional_authorities,
    )
    region: str = setting("S3_REGION", "the region that is signed", default="us-east-1")
    access_key: str = setting(
        "S3_ACCESS_KEY",
        "access key; empty: credentials of the provider's instance role",
        default="",
        secret=True,
    )
    secret_key: str = setting("S3_SECRET_KEY", "its secret key", default="", secret=True)


def with_the_bucket(values: Mapping[str, Any]) -> Iterator[str]:
    """Addresses that name the bucket, as consoles show them: it would be there twice, and what is
    meant for the bucket would make an object in it."""
    bucket = values["s3.bucket"]
    for name in ("S3_ENDPOINT", "S3_PUBLIC_ENDPOINT"):
        parts = urlsplit(values[name.lower().replace("_", ".", 1)])
        in_host = (parts.hostname or "").startswith((f"{bucket}.s3.", f"{bucket}.s3-"))
        if in_host or parts.path.endswith(f"/{bucket}"):
            yield f"{PREFIX}{name} must not name the bucket: {PREFIX}S3_BUCKET does"

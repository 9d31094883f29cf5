"""All settings of the serving plane: declared once, read from the environment once, frozen.

Each field says its variable (without the prefix PHOTO_API_), its meaning, its default and how its
text is read. `load` collects every fault before it refuses, so that an operator mends them in one
go. A secret may be given as a file instead: PHOTO_API_<NAME>_FILE.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, cast

from photo_api.environment import (
    PREFIX,
    Network,
    SettingsError,
    Variable,
    choice,
    database_url,
    integer,
    keys,
    networks,
    number,
    optional_url,
    origins,
    read,
    setting,
    url,
)


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    url: str = setting(
        "DATABASE_URL",
        "PostgreSQL address, `postgresql://user:password@host:5432/name`",
        parse=database_url,
        secret=True,
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


@dataclass(frozen=True, slots=True)
class S3Settings:
    endpoint: str = setting("S3_ENDPOINT", "the store's address as this server uses it", parse=url)
    public_endpoint: str = setting(
        "S3_PUBLIC_ENDPOINT",
        "the store's address in the URLs that clients get; empty: the same",
        default="",
        parse=optional_url,
    )
    bucket: str = setting("S3_BUCKET", "the bucket that holds everything", default="photos")
    region: str = setting("S3_REGION", "the region that is signed", default="us-east-1")
    access_key: str = setting(
        "S3_ACCESS_KEY",
        "access key; empty: credentials of the provider's instance role",
        default="",
        secret=True,
    )
    secret_key: str = setting("S3_SECRET_KEY", "its secret key", default="", secret=True)
    metadata_url: str = setting(
        "S3_METADATA_URL",
        "where the instance role's credentials come from (IMDSv2)",
        default="http://169.254.169.254",
        parse=url,
    )


@dataclass(frozen=True, slots=True)
class AuthSettings:
    jwt_keys: dict[str, str] = setting(
        "JWT_KEYS",
        "`kid:secret,…` for access tokens; the first signs, all verify; 32 characters or more each",
        parse=keys,
        secret=True,
    )
    secret_keys: dict[str, str] = setting(
        "SECRET_KEYS",
        "`kid:secret,…` that seal share tokens, derive refresh tokens and key the login throttle",
        parse=keys,
        secret=True,
    )
    access_ttl: int = setting(
        "ACCESS_TTL", "seconds an access token is valid", default="1800", parse=integer(30, 86_400)
    )
    refresh_ttl: int = setting(
        "REFRESH_TTL",
        "seconds an unused refresh token is valid",
        default="2592000",
        parse=integer(60, 31_536_000),
    )
    hash_concurrency: int = setting(
        "HASH_CONCURRENCY", "password hashes at once per worker", default="1", parse=integer(1, 32)
    )
    hash_queue: int = setting(
        "HASH_QUEUE",
        "password hashes that may wait per worker; more get 503",
        default="32",
        parse=integer(1, 1000),
    )
    user_cache: float = setting(
        "USER_CACHE",
        "seconds a worker trusts a verified token without asking the database whether its user is"
        " active",
        default="5",
        parse=number(0, 5),
    )


@dataclass(frozen=True, slots=True)
class HttpSettings:
    public_url: str = setting(
        "PUBLIC_URL",
        "address under which people reach the service; put in front of share pages",
        default="",
        parse=optional_url,
    )
    trusted_proxies: tuple[Network, ...] = setting(
        "TRUSTED_PROXIES",
        "networks whose X-Forwarded-For is believed, `10.0.0.0/8,…`",
        default="",
        parse=networks,
    )
    cors_origins: tuple[str, ...] = setting(
        "CORS_ORIGINS", "origins of web front ends, `https://…,…`", default="", parse=origins
    )
    max_in_flight: int = setting(
        "MAX_IN_FLIGHT",
        "requests in flight per worker; more get 503 at once",
        default="256",
        parse=integer(1, 100_000),
    )
    keep_alive: int = setting(
        "KEEP_ALIVE",
        "seconds an idle connection is kept; longer than the balancer keeps it",
        default="75",
        parse=integer(1, 3600),
    )


@dataclass(frozen=True, slots=True)
class UploadSettings:
    max_size: int = setting(
        "UPLOAD_MAX_SIZE",
        "largest photo in bytes",
        default=str(50 * 1024 * 1024),
        parse=integer(1, 5 * 1024**3),
    )
    url_ttl: int = setting(
        "UPLOAD_URL_TTL", "seconds an upload URL is valid", default="900", parse=integer(1, 86_400)
    )
    longest_put: int = setting(
        "UPLOAD_LONGEST_PUT",
        "seconds an upload may take that began just before its URL expired",
        default="3600",
        parse=integer(0, 86_400),
    )


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    mode: Literal["redirect", "stream"] = setting(
        "DELIVERY",
        "`redirect` to signed URLs, or `stream` the bytes through this server",
        default="redirect",
        parse=choice("redirect", "stream"),
    )
    window: int = setting(
        "URL_WINDOW",
        "seconds for which the same photo keeps the same signed URL; a URL works for one to two"
        " windows",
        default="3600",
        parse=integer(10, 86_400),
    )


@dataclass(frozen=True, slots=True)
class JobSettings:
    concurrency: int = setting(
        "JOB_CONCURRENCY", "renditions made at once", default="1", parse=integer(1, 64)
    )
    lease: float = setting(
        "JOB_LEASE",
        "seconds after which a silent worker's job is given to another",
        default="30",
        parse=number(1, 3600),
    )
    max_attempts: int = setting(
        "JOB_MAX_ATTEMPTS", "attempts before a job is dead", default="5", parse=integer(1, 100)
    )
    decode_seconds: int = setting(
        "DECODE_SECONDS", "CPU seconds for one photo", default="30", parse=integer(1, 600)
    )
    decode_memory: int = setting(
        "DECODE_MEMORY",
        "bytes of address space for one decoder",
        default=str(2 * 1024**3),
        parse=integer(256 * 1024**2, 64 * 1024**3),
    )
    max_pixels: int = setting(
        "MAX_PIXELS",
        "largest width × height that is decoded",
        default="100000000",
        parse=integer(1_000_000, 1_000_000_000),
    )
    sweep_interval: float = setting(
        "SWEEP_INTERVAL",
        "seconds between sweeps of abandoned uploads and deleted bytes",
        default="60",
        parse=number(0.2, 86_400),
    )


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    instance_ip: str = setting(
        "INSTANCE_IP",
        "the instance's name in answers and logs; empty: the address of the default route",
        default="",
    )
    node_name: str = setting(
        "NODE_NAME", "the machine's name in the registry; empty: its host name", default=""
    )
    region: str = setting("REGION", "where the machine stands, for the registry", default="")
    ops_token: str = setting(
        "OPS_TOKEN",
        "bearer token with which `/health/detailed` tells the configuration; empty: never",
        default="",
        secret=True,
    )
    lame_duck: float = setting(
        "LAME_DUCK",
        "seconds of serving on after readiness has failed, until balancers have noticed",
        default="15",
        parse=number(0, 600),
    )
    drain_wait: float = setting(
        "DRAIN_WAIT",
        "seconds that requests in flight get to finish",
        default="30",
        parse=number(0, 600),
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    format: Literal["json", "text"] = setting(
        "LOG_FORMAT",
        "`json` for machines or `text` for people",
        default="json",
        parse=choice("json", "text"),
    )
    level: str = setting(
        "LOG_LEVEL",
        "least level that is logged; access lines are INFO",
        default="INFO",
        parse=choice("DEBUG", "INFO", "WARNING", "ERROR"),
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `create_app` and its neighbours are made from."""

    database: DatabaseSettings
    s3: S3Settings
    auth: AuthSettings
    http: HttpSettings
    uploads: UploadSettings
    delivery: DeliverySettings
    jobs: JobSettings
    lifecycle: LifecycleSettings
    logs: LogSettings
    mode: Literal["production", "development"] = setting(
        "MODE",
        "`production` refuses absent and published secrets; `development` is for one's own machine",
        default="production",
        parse=choice("production", "development"),
    )


GROUPS: Mapping[str, type[Any]] = {
    item.name: cast(type[Any], item.type) for item in fields(Settings) if not item.metadata
}


def variables() -> Iterator[tuple[str, Variable]]:
    """Every setting as (path in `Settings`, its declaration), in the order of declaration."""
    for item in fields(Settings):
        if "variable" in item.metadata:
            yield item.name, item.metadata["variable"]
    for group, kind in GROUPS.items():
        for item in fields(kind):
            yield f"{group}.{item.name}", item.metadata["variable"]


def load(environ: Mapping[str, str]) -> Settings:
    """Settings from `environ`. Raises `SettingsError` with every fault at once, unknown
    PHOTO_API_ variables among them: a typo must not fall back to a default in silence."""
    problems = _unknown(environ)
    values = {path: read(variable, environ, problems) for path, variable in variables()}
    if not problems:
        problems += _contradictions(values)
    if problems:
        raise SettingsError(problems)
    groups = {
        group: kind(**{item.name: values[f"{group}.{item.name}"] for item in fields(kind)})
        for group, kind in GROUPS.items()
    }
    return Settings(mode=cast(Literal["production", "development"], values["mode"]), **groups)


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = {PREFIX + variable.name for _, variable in variables()}
    known |= {PREFIX + variable.name + "_FILE" for _, variable in variables() if variable.secret}
    return [
        f"{name} is not a setting; `photo-api config table` lists them"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known
    ]


PUBLISHED = ("change", "secret", "example", "password", "insecure", "test", "development")


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    problems = []
    if bool(values["s3.access_key"]) != bool(values["s3.secret_key"]):
        problems.append(f"{PREFIX}S3_ACCESS_KEY and {PREFIX}S3_SECRET_KEY must be set together")
    if values["mode"] == "production":
        for path, name in (("auth.jwt_keys", "JWT_KEYS"), ("auth.secret_keys", "SECRET_KEYS")):
            for kid, secret in values[path].items():
                if any(word in secret.lower() for word in PUBLISHED) or len(set(secret)) < 10:
                    problems.append(
                        f"{PREFIX}{name}: the secret of {kid!r} is not random; make one with"
                        " `openssl rand -hex 32`"
                    )
    return problems


def table() -> str:
    """The Markdown table of all settings that docs/settings.md holds."""
    lines = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for _, variable in variables():
        default = "(required)" if variable.default is None else variable.default or "(empty)"
        name = f"`{PREFIX}{variable.name}`"
        if variable.secret:
            name += f" or `{PREFIX}{variable.name}_FILE`"
        lines.append(f"| {name} | {default} | {variable.doc} |")
    return "\n".join(lines) + "\n"

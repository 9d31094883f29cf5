"""All settings of the serving plane: declared once, read from the environment once, frozen.

Each field says its variable (without the prefix PHOTO_API_), its meaning, its default and how its
text is read. `load` collects every fault before it refuses, so that an operator mends them in one
go. A secret may be given as a file instead: PHOTO_API_<NAME>_FILE.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Literal, cast
from urllib.parse import urlsplit

PREFIX = "PHOTO_API_"

Network = IPv4Network | IPv6Network


class SettingsError(Exception):
    """The environment does not make a usable configuration; `problems` has a line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _text(value: str) -> str:
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("must be an http:// or https:// address such as https://photos.example.org")
    return value.rstrip("/")


def _database_url(value: str) -> str:
    if urlsplit(value).scheme not in ("postgresql", "postgres"):
        raise ValueError("must begin with postgresql://")
    return value


def _number(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        number = float(value)
        if not low <= number <= high:
            raise ValueError(f"must be between {low:g} and {high:g}")
        return number

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = int(value)
        if not low <= number <= high:
            raise ValueError(f"must be a whole number between {low} and {high}")
        return number

    return parse


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return parse


def _keys(value: str) -> dict[str, str]:
    """`kid:secret,kid:secret`; the first one signs, all of them verify."""
    keys: dict[str, str] = {}
    for part in filter(None, (item.strip() for item in value.split(","))):
        kid, separator, secret = part.partition(":")
        if not separator or not kid or len(secret) < 32:
            raise ValueError("must read kid:secret,kid:secret with secrets of 32 characters or more")
        if kid in keys:
            raise ValueError(f"names the key id {kid!r} twice")
        keys[kid] = secret
    if not keys:
        raise ValueError("must hold at least one kid:secret")
    return keys


def _networks(value: str) -> tuple[Network, ...]:
    return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())


def _origins(value: str) -> tuple[str, ...]:
    origins = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
    for origin in origins:
        parts = urlsplit(origin)
        if origin != "*" and (parts.scheme not in ("http", "https") or parts.path or not parts.netloc):
            raise ValueError(f"{origin!r} is not an origin such as https://photos.example.org")
    return origins


@dataclass(frozen=True, slots=True)
class Variable:
    """What is declared of one setting; `default` None means that it must be given."""

    name: str
    doc: str
    default: str | None
    parse: Callable[[str], Any]
    secret: bool


def _setting(
    name: str,
    doc: str,
    *,
    default: str | None = None,
    parse: Callable[[str], Any] = _text,
    secret: bool = False,
) -> Any:
    return field(metadata={"variable": Variable(name, doc, default, parse, secret)})


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    url: str = _setting(
        "DATABASE_URL",
        "PostgreSQL address, `postgresql://user:password@host:5432/name`",
        parse=_database_url,
        secret=True,
    )
    pool_size: int = _setting(
        "DATABASE_POOL", "connections per worker", default="10", parse=_integer(1, 500)
    )
    pool_wait: float = _setting(
        "DATABASE_POOL_WAIT",
        "seconds a request waits for a connection before it gets 503",
        default="3",
        parse=_number(0.1, 60),
    )
    statement_timeout: float = _setting(
        "DATABASE_STATEMENT_TIMEOUT",
        "seconds one statement may take",
        default="10",
        parse=_number(0.5, 600),
    )


@dataclass(frozen=True, slots=True)
class S3Settings:
    endpoint: str = _setting("S3_ENDPOINT", "the store's address as this server uses it", parse=_url)
    public_endpoint: str = _setting(
        "S3_PUBLIC_ENDPOINT",
        "the store's address in the URLs that clients get; empty: the same",
        default="",
        parse=lambda value: _url(value) if value else "",
    )
    bucket: str = _setting("S3_BUCKET", "the bucket that holds everything", default="photos")
    region: str = _setting("S3_REGION", "the region that is signed", default="us-east-1")
    access_key: str = _setting(
        "S3_ACCESS_KEY",
        "access key; empty: credentials of the provider's instance role",
        default="",
        secret=True,
    )
    secret_key: str = _setting("S3_SECRET_KEY", "its secret key", default="", secret=True)
    metadata_url: str = _setting(
        "S3_METADATA_URL",
        "where the instance role's credentials come from (IMDSv2)",
        default="http://169.254.169.254",
        parse=_url,
    )


@dataclass(frozen=True, slots=True)
class AuthSettings:
    jwt_keys: dict[str, str] = _setting(
        "JWT_KEYS",
        "`kid:secret,…` for access tokens; the first signs, all verify; 32 characters or more each",
        parse=_keys,
        secret=True,
    )
    secret_keys: dict[str, str] = _setting(
        "SECRET_KEYS",
        "`kid:secret,…` that seal share tokens, derive refresh tokens and key the login throttle",
        parse=_keys,
        secret=True,
    )
    access_ttl: int = _setting(
        "ACCESS_TTL", "seconds an access token is valid", default="1800", parse=_integer(30, 86_400)
    )
    refresh_ttl: int = _setting(
        "REFRESH_TTL",
        "seconds an unused refresh token is valid",
        default="2592000",
        parse=_integer(60, 31_536_000),
    )
    hash_concurrency: int = _setting(
        "HASH_CONCURRENCY", "password hashes at once per worker", default="1", parse=_integer(1, 32)
    )
    hash_queue: int = _setting(
        "HASH_QUEUE",
        "password hashes that may wait per worker; more get 503",
        default="32",
        parse=_integer(1, 1000),
    )
    user_cache: float = _setting(
        "USER_CACHE",
        "seconds a worker trusts a verified token without asking the database whether its user is"
        " active",
        default="5",
        parse=_number(0, 5),
    )


@dataclass(frozen=True, slots=True)
class HttpSettings:
    public_url: str = _setting(
        "PUBLIC_URL",
        "address under which people reach the service; put in front of share pages",
        default="",
        parse=lambda value: _url(value) if value else "",
    )
    trusted_proxies: tuple[Network, ...] = _setting(
        "TRUSTED_PROXIES",
        "networks whose X-Forwarded-For is believed, `10.0.0.0/8,…`",
        default="",
        parse=_networks,
    )
    cors_origins: tuple[str, ...] = _setting(
        "CORS_ORIGINS", "origins of web front ends, `https://…,…`", default="", parse=_origins
    )
    keep_alive: int = _setting(
        "KEEP_ALIVE",
        "seconds an idle connection is kept; longer than the balancer keeps it",
        default="75",
        parse=_integer(1, 3600),
    )


@dataclass(frozen=True, slots=True)
class UploadSettings:
    max_size: int = _setting(
        "UPLOAD_MAX_SIZE",
        "largest photo in bytes",
        default=str(50 * 1024 * 1024),
        parse=_integer(1, 5 * 1024**3),
    )
    url_ttl: int = _setting(
        "UPLOAD_URL_TTL", "seconds an upload URL is valid", default="900", parse=_integer(1, 86_400)
    )
    longest_put: int = _setting(
        "UPLOAD_LONGEST_PUT",
        "seconds an upload may take that began just before its URL expired",
        default="3600",
        parse=_integer(0, 86_400),
    )


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    mode: Literal["redirect", "stream"] = _setting(
        "DELIVERY",
        "`redirect` to signed URLs, or `stream` the bytes through this server",
        default="redirect",
        parse=_choice("redirect", "stream"),
    )
    window: int = _setting(
        "URL_WINDOW",
        "seconds for which the same photo keeps the same signed URL; a URL works for one to two"
        " windows",
        default="3600",
        parse=_integer(10, 86_400),
    )


@dataclass(frozen=True, slots=True)
class JobSettings:
    concurrency: int = _setting(
        "JOB_CONCURRENCY", "renditions made at once", default="1", parse=_integer(1, 64)
    )
    lease: float = _setting(
        "JOB_LEASE",
        "seconds after which a silent worker's job is given to another",
        default="30",
        parse=_number(1, 3600),
    )
    max_attempts: int = _setting(
        "JOB_MAX_ATTEMPTS", "attempts before a job is dead", default="5", parse=_integer(1, 100)
    )
    decode_seconds: float = _setting(
        "DECODE_SECONDS", "CPU seconds for one photo", default="30", parse=_number(1, 600)
    )
    decode_memory: int = _setting(
        "DECODE_MEMORY",
        "bytes of address space for one decoder",
        default=str(2 * 1024**3),
        parse=_integer(256 * 1024**2, 64 * 1024**3),
    )
    max_pixels: int = _setting(
        "MAX_PIXELS",
        "largest width × height that is decoded",
        default="100000000",
        parse=_integer(1_000_000, 1_000_000_000),
    )
    sweep_interval: float = _setting(
        "SWEEP_INTERVAL",
        "seconds between sweeps of abandoned uploads and deleted bytes",
        default="60",
        parse=_number(0.2, 86_400),
    )


@dataclass(frozen=True, slots=True)
class LifecycleSettings:
    instance_ip: str = _setting(
        "INSTANCE_IP",
        "the instance's name in answers and logs; empty: the address of the default route",
        default="",
    )
    ops_token: str = _setting(
        "OPS_TOKEN",
        "bearer token with which `/health/detailed` tells the configuration; empty: never",
        default="",
        secret=True,
    )
    lame_duck: float = _setting(
        "LAME_DUCK",
        "seconds of serving on after readiness has failed, until balancers have noticed",
        default="15",
        parse=_number(0, 600),
    )
    drain_wait: float = _setting(
        "DRAIN_WAIT",
        "seconds that requests in flight get to finish",
        default="30",
        parse=_number(0, 600),
    )


@dataclass(frozen=True, slots=True)
class LogSettings:
    format: Literal["json", "text"] = _setting(
        "LOG_FORMAT", "`json` for machines or `text` for people", default="json",
        parse=_choice("json", "text"),
    )
    level: str = _setting(
        "LOG_LEVEL",
        "least level that is logged; access lines are INFO",
        default="INFO",
        parse=_choice("DEBUG", "INFO", "WARNING", "ERROR"),
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `create_app` and its neighbours are made from."""

    mode: Literal["production", "development"] = _setting(
        "MODE",
        "`production` refuses absent and published secrets; `development` is for one's own machine",
        default="production",
        parse=_choice("production", "development"),
    )
    database: DatabaseSettings
    s3: S3Settings
    auth: AuthSettings
    http: HttpSettings
    uploads: UploadSettings
    delivery: DeliverySettings
    jobs: JobSettings
    lifecycle: LifecycleSettings
    logs: LogSettings


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
    values = {path: _read(variable, environ, problems) for path, variable in variables()}
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


def _read(variable: Variable, environ: Mapping[str, str], problems: list[str]) -> Any:
    name = PREFIX + variable.name
    try:
        text = _raw(variable, environ)
        if text is None:
            raise ValueError(f"must be set: {variable.doc}")
        return variable.parse(text)
    except (ValueError, OSError) as error:
        # A secret's text must not reach a log by way of int()'s or float()'s message.
        problems.append(f"{name} {error}" if not variable.secret else f"{name} {_safe(error)}")
        return None


def _safe(error: Exception) -> str:
    return str(error) if str(error).startswith(("must", "names", "file")) else "cannot be read"


def _raw(variable: Variable, environ: Mapping[str, str]) -> str | None:
    name = PREFIX + variable.name
    if variable.secret and name + "_FILE" in environ:
        if environ.get(name):
            raise ValueError(f"must not be set together with {name}_FILE")
        path = Path(environ[name + "_FILE"])
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ValueError(f"file {path} cannot be read: {error.strerror}") from None
    return environ.get(name, variable.default)


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

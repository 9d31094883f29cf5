"""Settings of what is served: accounts, HTTP, uploads, delivery and jobs."""

from dataclasses import dataclass
from typing import Literal

from photo_api.contract import LARGEST_UPLOAD, UPLOAD_MEMORY
from photo_base.environment import (
    Network,
    choice,
    integer,
    keys,
    networks,
    number,
    optional_url,
    origins,
    setting,
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
    session_ttl: int = setting(
        "SESSION_TTL",
        "seconds after which a session ends, however often it is refreshed",
        default="7776000",
        parse=integer(60, 315_360_000),
    )
    registration: Literal["open", "closed", "invitation"] = setting(
        "REGISTRATION",
        "who may open an account: `open` anybody, `invitation` who has a link of"
        " `photo-api users invite`, `closed` nobody",
        default="open",
        parse=choice("open", "closed", "invitation"),
    )
    registrations_per_address: int = setting(
        "REGISTRATIONS_PER_ADDRESS",
        "accounts that may be opened from one address in an hour; more get 429",
        default="100",
        parse=integer(1, 1_000_000),
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
        "address under which people reach the service; put in front of share pages, and the origin"
        " whose page exchanges files with the store",
        default="",
        parse=optional_url,
    )
    gallery: Literal["on", "off"] = setting(
        "GALLERY",
        "`on`: the web page for people at `/` and the pages of share links; `off`: the API alone",
        default="on",
        parse=choice("on", "off"),
    )
    trusted_proxies: tuple[Network, ...] = setting(
        "TRUSTED_PROXIES",
        "networks whose X-Forwarded-For is believed, `10.0.0.0/8,…`",
        default="",
        parse=networks,
    )
    cors_origins: tuple[str, ...] = setting(
        "CORS_ORIGINS",
        "origins of web front ends, `https://…,…`; `http://localhost:*` is any port",
        default="",
        parse=origins,
    )
    max_in_flight: int = setting(
        "MAX_IN_FLIGHT",
        "requests that a worker works on at once; more get 503",
        default="256",
        parse=integer(1, 100_000),
    )
    max_in_flight_per_address: int = setting(
        "MAX_IN_FLIGHT_PER_ADDRESS",
        "requests of one client address that a worker holds at once; more get 429",
        default="128",
        parse=integer(1, 100_000),
    )
    max_unsent: int = setting(
        "MAX_UNSENT",
        "bytes of answers that may wait in a worker for slow clients; beyond them the address that"
        " holds the most loses its oldest connection",
        default="67108864",
        parse=integer(65_536, 2**40),
    )
    keep_alive: int = setting(
        "KEEP_ALIVE",
        "seconds an idle connection is kept; longer than the balancer keeps it",
        default="75",
        parse=integer(1, 3600),
    )
    header_timeout: float = setting(
        "HEADER_TIMEOUT",
        "seconds in which a request's head must have come; then the connection is closed",
        default="10",
        parse=number(0.1, 600),
    )
    body_timeout: float = setting(
        "BODY_TIMEOUT",
        "seconds that the next piece of an upload may take, and any other body as a whole; then"
        " 408",
        default="30",
        parse=number(0.1, 3600),
    )
    send_timeout: float = setting(
        "SEND_TIMEOUT",
        "seconds in which a client must take the next piece of an answer; then it is cut",
        default="60",
        parse=number(0.1, 3600),
    )
    recycle_after: int = setting(
        "RECYCLE_AFTER",
        "requests (give or take a tenth) after which a worker is replaced by a new one; 0: never",
        default="0",
        parse=integer(0, 1_000_000_000),
    )


@dataclass(frozen=True, slots=True)
class UploadSettings:
    max_size: int = setting(
        "UPLOAD_MAX_SIZE",
        "largest photo in bytes",
        default=str(LARGEST_UPLOAD),
        parse=integer(1, 5 * 1024**3),
    )
    memory: int = setting(
        "UPLOAD_MEMORY",
        "bytes that a worker holds at once of uploads through it, half of them of one address;"
        " others wait for their turn, at most 30 s",
        default=str(UPLOAD_MEMORY),
        parse=integer(16 * 1024**2, 2**40),
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
    max_pending: int = setting(
        "UPLOAD_MAX_PENDING",
        "uploads of one user whose URLs are valid and that are not confirmed yet; more get 429",
        default="1000",
        parse=integer(1, 1_000_000),
    )
    quota: int = setting(
        "QUOTA",
        "bytes that the originals of one user may take, where nothing else is set for them, those"
        " in the trash and those that are being uploaded included; more get 413; 0: no bound",
        default="0",
        parse=integer(0, 2**60),
    )
    trash_days: int = setting(
        "TRASH_DAYS",
        "days for which deleted photos can be restored; 0: they go at once, with their bytes",
        default="30",
        parse=integer(0, 3650),
    )


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    mode: Literal["redirect", "stream"] = setting(
        "DELIVERY",
        "`redirect` to signed URLs, or `stream` the bytes through this server",
        default="redirect",
        parse=choice("redirect", "stream"),
    )
    share_links: int = setting(
        "SHARE_LINKS",
        "share links of one user, neither revoked nor expired; more get 409",
        default="1000",
        parse=integer(1, 1_000_000),
    )
    max_streams: int = setting(
        "MAX_STREAMS",
        "images that a worker streams at once; more wait for 2 s and then get 503",
        default="64",
        parse=integer(1, 100_000),
    )
    window: int = setting(
        "URL_WINDOW",
        "seconds for which the same photo keeps the same signed URL; a URL works for one to two"
        " windows",
        default="3600",
        parse=integer(10, 86_400),
    )
    share_url_ttl: int = setting(
        "SHARE_URL_TTL",
        "seconds after which a URL that a visitor of a share link was given is dead at the latest,"
        " as once the link is revoked; the same photo keeps its URL for half of them less 300",
        default="900",
        parse=integer(620, 86_400),
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
        "bytes of address space for one decoder, which bounds the pixels of a photo",
        default=str(2 * 1024**3),
        parse=integer(256 * 1024**2, 64 * 1024**3),
    )
    sweep_interval: float = setting(
        "SWEEP_INTERVAL",
        "seconds between sweeps of abandoned uploads and deleted bytes",
        default="60",
        parse=number(0.2, 86_400),
    )

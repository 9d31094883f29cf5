"""AWS Signature Version 4 for S3: signed headers and presigned URLs, path style, no dependencies.

The algorithm is that of "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API
reference; the tests compare it with the examples published there and with botocore.
"""

import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from string import ascii_letters, digits
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, quote

ALGORITHM: Final = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
MAX_EXPIRY: Final = 604_800
_UNRESERVED: Final = f"{ascii_letters}{digits}-._~/".encode()
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_EMPTY: Final = hashlib.sha256()
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """An S3 access key. `expires_at` (epoch seconds) is None for keys that do not expire."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


class KeyedDigest:
    """HMAC (RFC 2104) of many texts by one key. What the key begins is made once and copied: a
    third of the time of `hmac.digest`, which prepares the key each time."""

    def __init__(self, key: bytes, digest: str = "sha256") -> None:
        inner, outer = hashlib.new(digest), hashlib.new(digest)
        if len(key) > inner.block_size:
            key = hashlib.new(digest, key).digest()
        block = key.ljust(inner.block_size, b"\0")
        inner.update(block.translate(_INNER))
        outer.update(block.translate(_OUTER))
        self.inner, self.outer = inner, outer

    def digest(self, text: bytes) -> bytes:
        """As `hmac.digest` gives it."""
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(text)
        outer.update(inner.digest())
        return outer.digest()


def quote_path(path: str) -> str:
    """Percent-encode a key or path once, as S3 does: everything but unreserved characters and /."""
    if not path.encode().translate(None, _UNRESERVED):  # as of all keys that we make
        return path
    return quote(path, safe="/")


def sign_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    payload: bytes | Literal["UNSIGNED-PAYLOAD"],
    credentials: Credentials,
    region: str,
    now: float,
    service: str = "s3",
) -> dict[str, str]:
    """The headers to send: those given and Authorization, with all of them and Host signed.

    `url` has its path already percent-encoded; `now` is in epoch seconds. Host is not among the
    answer unless it was given: every HTTP client sets it from the URL.
    """
    url, _, query = url.partition("?")
    host, path = host_and_path(url)
    date = amz_date(int(now))
    digest = payload if isinstance(payload, str) else hashlib.sha256(payload).hexdigest()
    sent = {**headers, "X-Amz-Date": date}
    if service == "s3":
        sent["X-Amz-Content-Sha256"] = digest
    if credentials.session_token is not None:
        sent["X-Amz-Security-Token"] = credentials.session_token
    names, canonical_headers = _canonical_headers({"Host": host, **sent})
    canonical = "\n".join(
        (
            method,
            path if service == "s3" else quote_path(path),
            canonical_query(parse_qsl(query, keep_blank_values=True)),
            canonical_headers,
            names,
            digest,
        )
    )
    scope = _scope(credentials.access_key, credentials.secret_key, date[:8], region, service)
    canonical_digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{date}\n{scope.name}\n{canonical_digest}"
    sent["Authorization"] = (
        f"{ALGORITHM} Credential={scope.credential},SignedHeaders={names},"
        f"Signature={scope.key.digest(text.encode()).hex()}"
    )
    return sent


def presign(
    method: str,
    url: str,
    *,
    credentials: Credentials,
    region: str,
    now: float,
    expires_in: int,
    headers: Mapping[str, str] | None = None,
    query: str = "",
) -> str:
    """`url` with a signature in its query, valid for `expires_in` (1 to 604800) seconds from `now`.

    `url` is scheme, host and percent-encoded path, without a query. Every one of `headers`, and
    Host, must then be sent exactly as signed. `query` holds further parameters (response-*) as
    `canonical_query` gives them; all that S3 knows begin in lower case and so sort last.
    Raises `ValueError` for an impossible expiry.
    """
    host, path = host_and_path(url)
    date = amz_date(int(now))
    moment = presigning(credentials, region, date[:8], host, expires_in, headers)
    return f"{url}?{moment.query(method, path, date, query and f'&{query}')}"


class Presigning(NamedTuple):
    """What presigned URLs of one day have in common that one key signs for one host, lifetime and
    set of further headers."""

    scope: "_Scope"
    lifetime: str
    rest: str

    def query(self, method: str, path: str, date: str, parameters: str = "") -> str:
        """A URL's query as of `date`, which `amz_date` gives. `path` is percent-encoded; so are
        `parameters`, each with & before it, which sort behind those of the signature."""
        scope, lifetime, rest = self
        query = f"{scope.query}&X-Amz-Date={date}{lifetime}{parameters}"
        request = _EMPTY.copy()  # a new one looks for its algorithm first
        request.update(f"{method}\n{path}\n{query}{rest}".encode())
        text = f"{ALGORITHM}\n{date}\n{scope.name}\n{request.hexdigest()}"
        # As `KeyedDigest.digest` does it: a list signs a hundred of these.
        inner, outer = scope.key.inner.copy(), scope.key.outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return f"{query}&X-Amz-Signature={outer.hexdigest()}"


def presigning(
    credentials: Credentials,
    region: str,
    day: str,
    host: str,
    expires_in: int,
    headers: Mapping[str, str] | None = None,
) -> Presigning:
    """For `presign`, and for many URLs at once. `day` is that of `amz_date`.

    Raises `ValueError` for an impossible expiry."""
    if not 1 <= expires_in <= MAX_EXPIRY:
        raise ValueError(f"a presigned URL lives 1 to {MAX_EXPIRY} seconds, not {expires_in}")
    if headers:
        names, canonical_headers = _canonical_headers({"Host": host, **headers})
    else:
        names, canonical_headers = "host", f"host:{host}\n"
    token = credentials.session_token
    lifetime = (
        f"&X-Amz-Expires={expires_in}"
        f"{'' if token is None else f'&X-Amz-Security-Token={_encode(token)}'}"
        f"&X-Amz-SignedHeaders={_encode(names)}"
    )
    scope = _scope(credentials.access_key, credentials.secret_key, day, region, "s3")
    return Presigning(scope, lifetime, f"\n{canonical_headers}\n{names}\n{UNSIGNED_PAYLOAD}")


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is the same for every signature of one key on one day."""

    name: str
    credential: str
    query: str
    key: KeyedDigest


@lru_cache(maxsize=16)
def _scope(access_key: str, secret_key: str, day: str, region: str, service: str) -> _Scope:
    key = b"AWS4" + secret_key.encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    name = f"{day}/{region}/{service}/aws4_request"
    credential = f"{access_key}/{name}"
    query = f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={quote(credential, safe='')}"
    return _Scope(name, credential, query, KeyedDigest(key))


def host_and_path(url: str) -> tuple[str, str]:
    """Host header and path of a URL without a query; clients leave a scheme's default port out."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return host.removesuffix(_DEFAULT_PORTS.get(scheme, "")), f"/{path}"


def _canonical_headers(headers: Mapping[str, str]) -> tuple[str, str]:
    """(names joined by ";", one "name:value\\n" a header), sorted by lower-case name."""
    lower = sorted((name.lower(), " ".join(value.split())) for name, value in headers.items())
    names = ";".join(name for name, _ in lower)
    return names, "".join(f"{name}:{value}\n" for name, value in lower)


def canonical_query(parameters: Iterable[tuple[str, str]]) -> str:
    """The parameters percent-encoded, sorted and joined."""
    encoded = sorted([(_encode(name), _encode(value)) for name, value in parameters])
    return "&".join([f"{name}={value}" for name, value in encoded])


@lru_cache(maxsize=256)
def _encode(value: str) -> str:
    return quote(value, safe="")


def amz_date(now: int) -> str:
    """X-Amz-Date, in UTC; `now` is in epoch seconds."""
    days, seconds = divmod(now, 86_400)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_day(days)}T{hour:02}{minute:02}{second:02}Z"


@lru_cache(maxsize=4)
def _day(days: int) -> str:
    return time.strftime("%Y%m%d", time.gmtime(days * 86_400))

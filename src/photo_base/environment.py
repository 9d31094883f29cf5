"""How settings are declared and read: typed values out of environment variables.

The parsers raise ValueError with words that complete the sentence "PHOTO_API_X …".
"""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from photo_base.given_file import read_given
from photo_base.origins import as_browsers_send

PREFIX = "PHOTO_API_"

Network = IPv4Network | IPv6Network
N = TypeVar("N", int, float)

LONGEST_SECRET = 64 * 1024
MOST_CERTIFICATES = 4 * 1024 * 1024
"""Bytes of a file; a device would never end."""


class SettingsError(Exception):
    """The environment makes no usable configuration; `problems` has a line for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def text(value: str) -> str:
    return value


def url(value: str) -> str:
    """With a host and a port that there can be, and without a secret, for addresses are shown."""
    no = ValueError("must be an http:// or https:// address such as https://photos.example.org")
    try:
        parts = urlsplit(value)
        host = (parts.hostname or "").encode("idna")
    except ValueError:
        raise no from None
    whole = parts.scheme in ("http", "https") and host and value.isprintable() and " " not in value
    if not whole or parts.query or parts.fragment:
        raise no
    if "@" in parts.netloc:
        raise ValueError("must not hold a secret: that has a setting of its own")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("must name a port from 1 to 65535")
    return value.rstrip("/")


def optional_url(value: str) -> str:
    return url(value) if value else ""


AS_BROWSERS_WRITE = (
    r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?"
    r"(?:/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)*"
)
"""An address that reaches a server as it is written: what is signed is what is asked for."""


def optional_signed_url(value: str) -> str:
    """Of what is signed together with its address."""
    address = optional_url(value)
    if address and not re.fullmatch(AS_BROWSERS_WRITE, address, re.ASCII):
        raise ValueError(
            "must be as browsers write it: the host in small letters (xn--… for others), and in the"
            " path letters, digits and ._~- alone, no part of it empty, . or .."
        )
    return re.sub(r"^(?:(https://[^/]+):443|(http://[^/]+):80)(?=/|$)", r"\1\2", address)


ADDED = ("/loki/api/v1/push", "/v1/logs", "/v1/traces", "/v2/log", "/metrics")
"""Paths of collectors, which are no part of their addresses."""


def collector(value: str) -> str:
    """Where something is sent whose secret, if any, is a setting of its own."""
    address = url(value)
    for path in ADDED:
        if address.endswith(path):
            raise ValueError(f"must not end with {path}, which is added to it")
    return address


def optional_collector(value: str) -> str:
    return collector(value) if value else ""


SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def database_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("must read postgresql://user:password@host:5432/name")
    for place in parts.netloc.rpartition("@")[2].split(","):
        _, colon, port = place.rpartition("]")[2].partition(":")
        if colon and not (port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError("must name ports from 1 to 65535")
    if dict(parse_qsl(parts.query)).get("sslmode", "prefer") not in SSL_MODES:
        raise ValueError(f"must have an sslmode of {', '.join(SSL_MODES)}")
    return value


def optional_database_url(value: str) -> str:
    return database_url(value) if value else ""


def database_password(address: str) -> str:
    """The one in it, empty without any."""
    parts = urlsplit(address)
    return unquote(parts.password or "") or dict(parse_qsl(parts.query)).get("password", "")


def optional_authorities(file: str) -> str:
    """The certificates in it."""
    try:
        body = read_given(file, MOST_CERTIFICATES) if file else b""
        if len(body) > MOST_CERTIFICATES:
            raise ValueError("more than it may have")
        found = body.decode("ascii")
        if file:
            ssl.create_default_context(cadata=found)
    except (OSError, ValueError) as error:  # of which ssl.SSLError is both
        raise ValueError("must name a PEM file of certificates that can be read") from error
    return found


def _as(kind: Callable[[str], N], value: str) -> N | None:
    try:
        return kind(value)
    except ValueError:
        return None


def number(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        number = _as(float, value)
        if number is None or not low <= number <= high:
            raise ValueError(f"must be a number between {low:g} and {high:g}")
        return number

    return parse


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        number = _as(int, value)
        if number is None or not low <= number <= high:
            raise ValueError(f"must be a whole number between {low} and {high}")
        return number

    return parse


def choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return parse


def several(*allowed: str) -> Callable[[str], tuple[str, ...]]:
    def parse(value: str) -> tuple[str, ...]:
        chosen = tuple(part.strip() for part in value.split(",") if part.strip())
        if not set(chosen) <= set(allowed):
            raise ValueError(f"must be a list of {', '.join(allowed)}")
        return chosen

    return parse


def keys(value: str) -> dict[str, str]:
    """`kid:secret,kid:secret`; the first one signs, all of them verify."""
    keys: dict[str, str] = {}
    for part in filter(None, (item.strip() for item in value.split(","))):
        kid, separator, secret = part.partition(":")
        if not separator or not kid or len(secret) < 32:
            raise ValueError(
                "must read kid:secret,kid:secret with secrets of 32 characters or more"
            )
        if kid in keys:
            raise ValueError(f"names the key id {kid!r} twice")
        keys[kid] = secret
    if not keys:
        raise ValueError("must hold at least one kid:secret")
    return keys


WIDEST = {4: 8, 6: 7}
"""The shortest prefixes that stand for one's own: 10.0.0.0/8 and fc00::/7."""


def network(value: str) -> Network:
    """Without a zone, in which Python takes any character, and which is of one machine only."""
    if "%" in value:
        raise ValueError(f"{value!r} has a zone: leave out % and what follows")
    return ip_network(value)


def networks(value: str) -> tuple[Network, ...]:
    found = tuple(network(part.strip()) for part in value.split(",") if part.strip())
    for one in found:
        if one.prefixlen < WIDEST[one.version]:
            raise ValueError(
                f"{one} is nearly everybody: name the networks that your balancers are in"
            )
    return found


def origins(value: str) -> tuple[str, ...]:
    given = (part.strip().rstrip("/") for part in value.split(",") if part.strip())
    return tuple(dict.fromkeys(as_browsers_send(origin) for origin in given))


@dataclass(frozen=True, slots=True)
class Variable:
    """What is declared of one setting; `default` None means that it must be given."""

    name: str
    doc: str
    default: str | None
    parse: Callable[[str], Any]
    secret: bool


def setting(
    name: str,
    doc: str,
    *,
    default: str | None = None,
    parse: Callable[[str], Any] = text,
    secret: bool = False,
) -> Any:
    return field(metadata={"variable": Variable(name, doc, default, parse, secret)})


def read(
    variable: Variable, environ: Mapping[str, str], problems: list[str], prefix: str = PREFIX
) -> Any:
    """Its value; None after a line in `problems`."""
    name = prefix + variable.name
    try:
        text = _raw(variable, name, environ)
        if not text and variable.default is None:
            raise ValueError(f"must be set: {variable.doc}")
        if not text.isprintable():
            pem = ": not PEM, but the base64 of its DER" if "-----BEGIN" in text else ""
            raise ValueError(f"must be one line, without control characters{pem}")
        return variable.parse(text)
    except (ValueError, OSError) as error:
        # A secret's text must not reach a log by way of int()'s or float()'s message.
        problems.append(f"{name} {error}" if not variable.secret else f"{name} {_safe(error)}")
        return None


def _safe(error: Exception) -> str:
    return str(error) if str(error).startswith(("must", "names", "file")) else "cannot be read"


def _raw(variable: Variable, name: str, environ: Mapping[str, str]) -> str:
    if variable.secret and name + "_FILE" in environ:
        if environ.get(name):
            raise ValueError(f"must not be set together with {name}_FILE")
        path = Path(environ[name + "_FILE"])
        try:
            body = read_given(path, LONGEST_SECRET)
            text = "" if len(body) > LONGEST_SECRET else body.decode()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ValueError(f"file {path} cannot be read: {reason}") from None
        if len(body) > LONGEST_SECRET:
            raise ValueError(f"file {path} cannot be read: more than {LONGEST_SECRET} bytes")
        return text.strip()
    return environ.get(name, variable.default or "")

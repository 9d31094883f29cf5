"""Origins of web front ends: how they are written, and which ones they mean.

`https://photos.example.org` is that origin, `http://localhost:*` that host on any port (which only
this machine's own names may have), `*` every origin.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

ANY = "*"
ANY_PORT = ":*"
LOOPBACK = tuple(f"http://{host}{ANY_PORT}" for host in ("localhost", "127.0.0.1", "[::1]"))
"""Front ends that are being developed on this machine."""


DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")


def as_browsers_send(origin: str) -> str:
    """The origin in the one spelling that browsers have: in lower case, a name of other scripts in
    Punycode, and without the port that its scheme has anyway. Raises ValueError for what is none.
    """
    if origin == ANY or origin in LOOPBACK:
        return origin
    if origin.endswith(ANY_PORT):
        raise ValueError(f"{origin!r} has any port: only {', '.join(LOOPBACK)} may")
    try:
        parts = urlsplit(origin)
        host = (parts.hostname or "").encode("idna").decode()
        port = parts.port
    except ValueError:
        raise _no_origin(origin) from None
    host = f"[{host}]" if ":" in host else host
    rest = parts.path or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in DEFAULT_PORTS or rest or not _HOST.fullmatch(host):
        raise _no_origin(origin)
    return f"{parts.scheme}://{host}" + (
        "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    )


def with_own(public_url: str, others: Iterable[str]) -> tuple[str, ...]:
    """Origins whose pages exchange bytes with the store: that of the service's own address, if it
    has one, and those `others`."""
    parts = urlsplit(public_url)
    own = [as_browsers_send(f"{parts.scheme}://{parts.netloc}")] if public_url else []
    return tuple(dict.fromkeys((*own, *others)))


def _no_origin(origin: str) -> ValueError:
    return ValueError(f"{origin!r} is not an origin such as https://photos.example.org")


def origins_on_any_port(origins: Iterable[str]) -> str | None:
    """A regular expression for those that are written with `:*`; None without any."""
    hosts = [origin.removesuffix(ANY_PORT) for origin in origins if origin.endswith(ANY_PORT)]
    return f"(?:{'|'.join(map(re.escape, hosts))})(?::[0-9]{{1,5}})?" if hosts else None


def allows(origins: Iterable[str], origin: str) -> bool:
    """Whether `origin`, as a browser names it, is among them."""
    known = tuple(origins)
    on_any_port = origins_on_any_port(known)
    is_one = bool(on_any_port and re.fullmatch(on_any_port, origin))
    return is_one or ANY in known or origin in known


def as_stores_know(origins: Sequence[str]) -> list[str]:
    """The same for a store, which knows no ports that may be any: everybody then, who has a signed
    URL."""
    return [ANY] if any(one.endswith(ANY_PORT) or one == ANY for one in origins) else list(origins)

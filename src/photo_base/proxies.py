"""Proxies that the environment names, which libraries obey by themselves."""

from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

OF_THIS_MACHINE = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
"""As one library or another reads it."""


def spare_loopback(environ: MutableMapping[str, str]) -> None:
    """Have no request to this machine go through a proxy, which would look for it on its own."""
    named = [part.strip() for name in ("no_proxy", "NO_PROXY") for part in _parts(environ, name)]
    text = ",".join(dict.fromkeys([*filter(None, named), *OF_THIS_MACHINE]))
    environ.update(no_proxy=text, NO_PROXY=text)


def proxy_of(url: str, environ: Mapping[str, str]) -> str | None:
    """The proxy of the environment through which requests to `url` go; None without any."""
    target = urlsplit(url)
    host = target.hostname or ""
    names = (f"{target.scheme}_proxy", "all_proxy")
    given = (environ.get(form) for name in names for form in (name, name.upper()))
    proxy = next(filter(None, given), None)
    if not proxy or is_loopback(host) or _is_excepted(host, environ):
        return None
    return proxy if "//" in proxy else f"http://{proxy}"


def without_password(proxy: str) -> str:
    """Its host and port, without what proves our identity to it."""
    return urlsplit(proxy).netloc.rpartition("@")[2]


def _is_excepted(host: str, environ: Mapping[str, str]) -> bool:
    excepted = _parts(environ, "no_proxy" if environ.get("no_proxy") else "NO_PROXY")
    return any(_means(part.strip(), host) for part in excepted)


def _means(part: str, host: str) -> bool:
    """`*`, an address or a network, or a domain with what is below it."""
    with suppress(ValueError):
        return ip_address(host) in ip_network(part, strict=False)
    domain = part.lower().lstrip(".")
    return part == "*" or (domain != "" and f".{host}".endswith(f".{domain}"))


def _parts(environ: Mapping[str, str], name: str) -> list[str]:
    return environ.get(name, "").split(",")


def is_loopback(host: str) -> bool:
    """Whether this name or address is certain to be this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

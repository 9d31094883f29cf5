"""Proxies that the environment names, which libraries obey by themselves."""

from collections.abc import Mapping, MutableMapping
from ipaddress import ip_address
from urllib.parse import urlsplit

OF_THIS_MACHINE = ("localhost", "127.0.0.1", "127.0.0.0/8", "::1")
"""As one library or another reads it."""


def spare_loopback(environ: MutableMapping[str, str]) -> None:
    """Have no request to this machine go through a proxy, which would look for it on its own."""
    named = [part.strip() for name in ("no_proxy", "NO_PROXY") for part in _parts(environ, name)]
    text = ",".join(dict.fromkeys([*filter(None, named), *OF_THIS_MACHINE]))
    environ.update(no_proxy=text, NO_PROXY=text)


def proxy_of(url: str, environ: Mapping[str, str]) -> str | None:
    """Host and port of the proxy through which requests to `url` go, without what proves our
    identity to it; None without any."""
    target = urlsplit(url)
    host = target.hostname or ""
    names = (f"{target.scheme}_proxy", "all_proxy")
    given = (environ.get(form) for name in names for form in (name, name.upper()))
    proxy = next(filter(None, given), None)
    if not proxy or _is_loopback(host) or _is_excepted(host, environ):
        return None
    return urlsplit(proxy if "//" in proxy else f"//{proxy}").netloc.rpartition("@")[2]


def _is_excepted(host: str, environ: Mapping[str, str]) -> bool:
    # Imported here, since it takes longer than all else of a start that knows no proxy.
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

    excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return bool(proxy_bypass_environment(host, {"no": excepted}))


def _parts(environ: Mapping[str, str], name: str) -> list[str]:
    return environ.get(name, "").split(",")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""How an nginx passes requests on to instances, as its directives say.

What is not set has nginx's default: ngx_http_proxy_module, ngx_http_upstream_module.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.looks.nginx_syntax import Directive
from photo_fleet.doctor.seen import Unseen
from photo_fleet.render.nginx_members import UPSTREAM
from photo_fleet.render.nginx_store import UPSTREAM as STORE
from photo_fleet.spec.fleet import Fleet

BLOCKS = ("server", "location", "if", "limit_except")
"""Into which a proxied request may lead, from `http` inwards."""

_TIME = re.compile(r"(\d{1,18})(ms|[smhdwMy]?)\s*")
_SECONDS = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SECONDS |= {"M": 2_592_000, "y": 31_536_000}
_SIZE = re.compile(r"(\d{1,18})([kmg]?)", re.IGNORECASE)
_BYTES = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def seconds(text: str) -> float | None:
    """A time as nginx writes it; None for what is none, such as a variable."""
    position, total = 0, 0.0
    while found := _TIME.match(text, position):
        total, position = total + int(found[1]) * _SECONDS[found[2]], found.end()
    return total if position and position == len(text) else None


def size(text: str) -> float | None:
    """Bytes; 0 means without a limit, and None is what is no size."""
    found = _SIZE.fullmatch(text)
    return (int(found[1]) * _BYTES[found[2].lower()] or math.inf) if found else None


@dataclass(frozen=True, slots=True)
class Way:
    """One `proxy_pass` to instances: the blocks around it, from `http` inwards, and the upstream
    that it names; None: an address."""

    passing: Directive
    around: tuple[Directive, ...]
    upstream: Directive | None

    def last(self, name: str) -> Directive | None:
        """The directive of this name that holds there: an inner one wins."""
        for block in reversed(self.around):
            if found := list(block.inner(name)):
                return found[-1]
        return None

    def kept(self, name: str) -> Directive | None:
        """The one in its upstream."""
        found = list(self.upstream.inner(name)) if self.upstream else []
        return found[-1] if found else None

    @property
    def header(self) -> Directive | None:
        """What is sent as the header Connection, if anything says so. A block with headers of its
        own has none of those around it."""
        for block in reversed(self.around):
            if headers := [one for one in block.inner("proxy_set_header") if len(one.args) > 1]:
                named = [one for one in headers if one.args[0].lower() == "connection"]
                return named[-1] if named else None
        return None

    @property
    def is_of_health(self) -> bool:
        """Whether probes alone come here: they have limits of their own."""
        return any("health" in path for path in self.locations)

    @property
    def locations(self) -> list[str]:
        """The paths or patterns of the locations around it, without a slash at the end."""
        return [
            one.args[-1].rstrip("/") for one in self.around if one.name == "location" and one.args
        ]


def ways(look: NginxLook, fleet: Fleet) -> tuple[Way, ...]:
    """All that lead to instances: to the upstream that we render, where there is one, otherwise to
    whatever uses the service's port, otherwise to all but the object store."""
    found = [
        way
        for top in look.tree
        if top.name == "http"
        for way in _ways((top,), look.upstreams)
        if not _is_store(way, fleet)
    ]
    ours = [way for way in found if way.upstream and way.upstream.first == UPSTREAM]
    by_port = [way for way in found if fleet.service.port in _ports(way)]
    return tuple(ours or by_port or found)


def to_instances(look: NginxLook, fleet: Fleet) -> list[Way]:
    """Those that carry requests: ways for probes alone do not count. Raises `Unseen` without any,
    as where an address is in a variable."""
    found = [way for way in ways(look, fleet) if not way.is_of_health]
    if not found:
        raise Unseen(
            f"{look.file} passes nothing on to instances, as far as it can be read",
            f"sudo nginx -T -c {look.file}",
        )
    return found


def _ways(around: tuple[Directive, ...], upstreams: dict[str, Directive]) -> Iterator[Way]:
    for one in around[-1].block or ():
        if one.name == "proxy_pass" and "$" not in one.first:
            yield Way(one, around, upstreams.get(_host(one)))
        elif one.name in BLOCKS and one.block is not None:
            yield from _ways((*around, one), upstreams)


def _host(passing: Directive) -> str:
    return passing.first.partition("://")[2].partition("/")[0]


def _is_store(way: Way, fleet: Fleet) -> bool:
    store = urlsplit(fleet.balancer.store).netloc
    return _host(way.passing) in (STORE, *([store] if store else []))


def _ports(way: Way) -> set[int]:
    servers = way.upstream.inner("server") if way.upstream else ()
    addresses = [_host(way.passing), *(one.first for one in servers)]
    ends = (address.rpartition(":")[2] for address in addresses)
    return {int(end) for end in ends if end.isascii() and end.isdigit() and len(end) < 6}

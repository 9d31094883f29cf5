"""The client's address, seen through proxies that we trust and not through others."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.types import Scope

from photo_base.environment import Network

FORWARDED_FOR = b"x-forwarded-for"
MOST_HOPS = 32

KEPT, LONGEST_KEPT = 2048, 64
"""So many addresses stay parsed, whose texts have so many characters at most: reading one takes
longer than all else that is done with it, and clients and proxies come again."""


def client_address(scope: Scope, trusted: Sequence[Network]) -> str:
    """The nearest address that is not a trusted proxy's: X-Forwarded-For is read from its right
    end, and only as far as each hop was added by a proxy we trust. A hop that is no address
    (`unknown`, `_hidden`) is a client of its own, `hop-` and a digest: never the proxy, or all of
    its clients would be one, and never what stands left of it, which the client may have written.
    """
    peer = _peer(scope)
    address = _parse(peer)
    if address is None:
        return peer
    hops = b",".join(_forwarded(scope)).decode("latin-1").split(",")
    named = [hop for hop in hops if hop.strip()]  # Lists may have empty elements (RFC 9110, 5.6.1).
    for hop in reversed(named[-MOST_HOPS:]):
        if not any(address in network for network in trusted):
            break
        nearer = _parse(hop)
        if nearer is None:
            return f"hop-{sha256(_host(hop).encode()).hexdigest()[:16]}"
        address = nearer
    return str(address)


def is_told_in_vain(scope: Scope, trusted: Sequence[Network]) -> bool:
    """Whether it names a client, and comes from a peer that is not believed."""
    if not _forwarded(scope):
        return False
    peer = _parse(_peer(scope))
    return peer is not None and not any(peer in network for network in trusted)


def throttle_group(address: str) -> str:
    """What one client can be expected to own: an IPv4 address, or an IPv6 network of 64 bits."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> 64 << 64)) + "/64"
    return address


def network_of(group: str) -> str:
    """Where a group's neighbours are, who may all be one: 24 bits of IPv4, 48 of IPv6."""
    parsed = _parse(group.partition("/")[0])
    if parsed is None:
        return group
    free = 80 if isinstance(parsed, IPv6Address) else 8
    return f"{type(parsed)(int(parsed) >> free << free)}/{parsed.max_prefixlen - free}"


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


def _forwarded(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == FORWARDED_FOR]


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    return _kept(text) if len(text) <= LONGEST_KEPT else _read(text)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(_host(text))
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


_kept = lru_cache(KEPT)(_read)


def _host(hop: str) -> str:
    """A hop without what proxies write around it: the parameters of RFC 7239 (`for="…";proto=…`),
    quotes, brackets, a port and an IPv6 scope. They may be anything, as they tell no clients apart;
    a port that did would give a new identity to each connection."""
    for part in hop.split(";"):
        name, _, value = part.partition("=")
        if name.strip().lower() == "for":
            hop = value
    host = hop.strip(' \t"').lower()
    if host.startswith("["):  # [2001:db8::1]:4711
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:  # 192.0.2.1:4711
        host = host.partition(":")[0]
    return host.partition("%")[0]

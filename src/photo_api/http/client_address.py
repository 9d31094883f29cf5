"""The client's address, seen through proxies that we trust and not through others."""

from collections.abc import Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.requests import Request

from photo_base.environment import Network

MOST_HOPS = 32


def client_address(request: Request, trusted: Sequence[Network]) -> str:
    """The nearest address that is not a trusted proxy's: X-Forwarded-For is read from its right
    end, and only as far as each hop was added by a proxy we trust. A hop that is no address
    (`unknown`, `_hidden`) is a client of its own, `hop-` and a digest: never the proxy, or all of
    its clients would be one, and never what stands left of it, which the client may have written.
    """
    peer = request.client.host if request.client else ""
    address = _parse(peer)
    if address is None:
        return peer
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    named = [hop for hop in hops if hop.strip()]  # Lists may have empty elements (RFC 9110, 5.6.1).
    for hop in reversed(named[-MOST_HOPS:]):
        if not any(address in network for network in trusted):
            break
        nearer = _parse(hop)
        if nearer is None:
            return f"hop-{sha256(_host(hop).encode()).hexdigest()[:16]}"
        address = nearer
    return str(address)


def is_told_in_vain(request: Request, trusted: Sequence[Network]) -> bool:
    """Whether it names a client, and comes from a peer that is not believed."""
    if "x-forwarded-for" not in request.headers or request.client is None:
        return False
    peer = _parse(request.client.host)
    return peer is not None and not any(peer in network for network in trusted)


def throttle_group(address: str) -> str:
    """What one client can be expected to own: an IPv4 address, or an IPv6 network of 64 bits."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> 64 << 64)) + "/64"
    return address


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(_host(text))
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


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

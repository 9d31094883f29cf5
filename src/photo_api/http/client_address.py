"""Who is calling, seen through proxies that we trust and not through others."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.requests import Request

from photo_api.settings.environment import Network


def client_address(request: Request, trusted: Sequence[Network]) -> str:
    """The nearest address that is not a trusted proxy's: X-Forwarded-For is read from its right
    end, and only as far as each hop was added by a proxy we trust."""
    peer = request.client.host if request.client else ""
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    address = _parse(peer)
    for hop in reversed(hops):
        if address is None or not any(address in network for network in trusted):
            break
        nearer = _parse(hop)
        if nearer is None:
            break
        address = nearer
    return str(address) if address is not None else peer


def throttle_group(address: str) -> str:
    """What one client can be expected to own: an IPv4 address, or an IPv6 network of 64 bits."""
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> 64 << 64)) + "/64"
    return address


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address

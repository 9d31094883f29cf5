"""Who is calling, seen through proxies that we trust and not through others."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.requests import Request

from photo_api.settings.environment import Network

MOST_HOPS = 32
PORT = re.compile(r":[0-9]{1,5}")


def client_address(request: Request, trusted: Sequence[Network]) -> str:
    """The nearest address that is not a trusted proxy's: X-Forwarded-For is read from its right
    end, and only as far as each hop was added by a proxy we trust. Some proxies add a port."""
    peer = request.client.host if request.client else ""
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    address = _parse(peer)
    for hop in reversed(hops[-MOST_HOPS:]):
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
    text = text.strip()
    if text.startswith("["):  # [2001:db8::1]:4711
        text, _, port = text[1:].partition("]")
        if port and not PORT.fullmatch(port):
            return None
    elif text.count(":") == 1:  # 192.0.2.1:4711
        text, _, port = text.partition(":")
        if not PORT.fullmatch(f":{port}"):
            return None
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address

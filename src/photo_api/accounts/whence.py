"""Where a session is used from, as its owner is told: enough to know one's own devices by."""

from ipaddress import ip_address, ip_network
from typing import NamedTuple, Self

from fastapi import Request

from photo_api.visible_text import line

IPV4_BITS, IPV6_BITS = 24, 48
"""Of an address: more of it would tell where somebody lives."""

LONGEST_AGENT = 200


class Whence(NamedTuple):
    """A request's network (CIDR) and what its program calls itself, one visible line; None is not
    known."""

    network: str | None
    agent: str | None

    @classmethod
    def of(cls, request: Request) -> Self:
        agent = line(request.headers.get("user-agent", "")[: 4 * LONGEST_AGENT]).strip()
        return cls(_network(request.state.client), agent[:LONGEST_AGENT] or None)


def _network(client: str) -> str | None:
    """Of a client that is known by its address: a hop behind an unknown proxy is not."""
    try:
        address = ip_address(client)
    except ValueError:
        return None
    bits = IPV4_BITS if address.version == 4 else IPV6_BITS
    return str(ip_network((address, bits), strict=False))

"""The client's address, seen through proxies that we trust and not through others."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address

from photo_base.environment import Network

FORWARDED_FOR = b"x-forwarded-for"
MOST_HOPS = 32

KEPT, LONGEST_KEPT = 2048, 128
"""So many clients stay known, by peers and headers of so many bytes at most: to read one takes
longer than all else that is done with it, and clients and proxies come again."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends a request, and the group whose limits count for it. `unbelieved` is one that is
    named by a peer that is not trusted."""

    address: str
    group: str
    unbelieved: bool


class Clients:
    """Those of a worker's requests, behind proxies that are `trusted`."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = trusted
        self._kept = lru_cache(KEPT)(self._find)

    def of(
        self, peer_and_port: tuple[str, int] | None, headers: Sequence[tuple[bytes, bytes]]
    ) -> Client:
        """The client of a request from there with these headers."""
        peer = peer_and_port[0] if peer_and_port else ""
        hops = [value for name, value in headers if name == FORWARDED_FOR]
        forwarded = b",".join(hops) if hops else None
        find = self._kept if forwarded is None or len(forwarded) <= LONGEST_KEPT else self._find
        return find(peer, forwarded)

    def _find(self, peer: str, forwarded: bytes | None) -> Client:
        address = client_address(peer, forwarded or b"", self._trusted)
        unbelieved = forwarded is not None and is_unbelieved(peer, self._trusted)
        return Client(address, _group(address), unbelieved)


def client_address(peer: str, forwarded: bytes, trusted: Sequence[Network]) -> str:
    """The nearest address that is not a trusted proxy's: X-Forwarded-For is read from its right
    end, and only as far as each hop was added by a proxy we trust. A hop that is no address
    (`unknown`, `_hidden`) is a client of its own, `hop-` and a digest: never the proxy, or all of
    its clients would be one, and never what stands left of it, which the client may have written.
    """
    address = _read(peer)
    if address is None:
        return peer
    hops = forwarded.decode("latin-1").split(",")
    named = [hop for hop in hops if hop.strip()]  # Lists may have empty elements (RFC 9110, 5.6.1).
    for hop in reversed(named[-MOST_HOPS:]):
        if not any(address in network for network in trusted):
            break
        nearer = _read(hop)
        if nearer is None:
            return f"hop-{sha256(_host(hop).encode()).hexdigest()[:16]}"
        address = nearer
    return str(address)


def is_unbelieved(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether what this peer says of its clients is not believed."""
    address = _read(peer)
    return address is not None and not any(address in network for network in trusted)


def _group(address: str) -> str:
    """What one client can be expected to own: an IPv4 address, or an IPv6 network of 64 bits."""
    parsed = _read(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Address(int(parsed) >> 64 << 64)) + "/64"
    return address


def network_of(group: str) -> str:
    """Where a group's neighbours are, who may all be one: 24 bits of IPv4, 48 of IPv6."""
    parsed = _read(group.partition("/")[0])
    if parsed is None:
        return group
    free = 80 if isinstance(parsed, IPv6Address) else 8
    return f"{type(parsed)(int(parsed) >> free << free)}/{parsed.max_prefixlen - free}"


def _read(text: str) -> IPv4Address | IPv6Address | None:
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

"""Whose request it is, by the proxies that are trusted, whatever X-Forwarded-For holds."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from photo_api.http.client_address import KEPT, LONGEST_KEPT, Client, Clients

PROXY = "10.0.0.1"
TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
CLIENTS = Clients(TRUSTED)


def client(*headers: str, peer: str = PROXY) -> Client:
    found = [(b"x-forwarded-for", header.encode("latin-1", "replace")) for header in headers]
    return CLIENTS.of((peer, 1), found)


def seen(*headers: str, peer: str = PROXY) -> str:
    return client(*headers, peer=peer).address


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (("192.0.2.7",), "192.0.2.7"),
        (("192.0.2.7:4711",), "192.0.2.7"),
        (("[2001:db8::7]:4711",), "2001:db8::7"),
        (("[2001:db8::7]",), "2001:db8::7"),
        (("2001:db8::7",), "2001:db8::7"),
        (("::ffff:192.0.2.7",), "192.0.2.7"),
        ((" 192.0.2.7 , 10.0.0.9",), "192.0.2.7"),
        (("192.0.2.7:1, 10.0.0.9:2",), "192.0.2.7"),
        (("203.0.113.1", "192.0.2.7"), "192.0.2.7"),
        (("203.0.113.1, 192.0.2.7",), "192.0.2.7"),
        (("garbage, 192.0.2.7",), "192.0.2.7"),
        (("10.0.0.3, 192.0.2.7, 10.0.0.9", "10.0.0.8"), "192.0.2.7"),
        (("192.0.2.7:port",), "192.0.2.7"),
        (("192.0.2.7:99999",), "192.0.2.7"),
        (("192.0.2.7:",), "192.0.2.7"),
        (("192.0.2.7:_hidden",), "192.0.2.7"),
        (("[2001:db8::7",), "2001:db8::7"),
        (("[2001:db8::7]:99999",), "2001:db8::7"),
        (("[2001:db8::7%25eth0]:1",), "2001:db8::7"),
        (("2001:db8::7%eth0",), "2001:db8::7"),
        (('"192.0.2.7"',), "192.0.2.7"),
        (('"[2001:db8::7]:4711"',), "2001:db8::7"),
        (("for=192.0.2.7",), "192.0.2.7"),
        (('proto=https; For="[2001:db8::7]:4711";by=10.0.0.2',), "2001:db8::7"),
        (("192.0.2.7,",), "192.0.2.7"),
        (("192.0.2.7", " , "), "192.0.2.7"),
        (("," * 100, "192.0.2.7"), "192.0.2.7"),
        (("",), PROXY),
        ((), PROXY),
    ],
)
def test_the_nearest_address_that_is_no_proxy(headers: tuple[str, ...], expected: str) -> None:
    assert seen(*headers) == expected


@pytest.mark.parametrize(
    ("headers", "peer", "in_vain"),
    [
        (("192.0.2.7",), "172.16.0.9", True),
        (("192.0.2.7",), "::ffff:172.16.0.9", True),
        (("192.0.2.7",), PROXY, False),
        (("192.0.2.7",), f"::ffff:{PROXY}", False),
        ((PROXY,), PROXY, False),  # who asks a balancer on its own machine
        ((), "172.16.0.9", False),
        (("192.0.2.7",), "", False),
    ],
)
def test_a_proxy_that_is_missing_among_the_trusted_is_noticed(
    headers: tuple[str, ...], peer: str, in_vain: bool
) -> None:
    assert client(*headers, peer=peer).unbelieved == in_vain


@pytest.mark.parametrize("hop", ["unknown", "_hidden", "unix:", "-", "1.2.3", "192.0.2.007", "ü"])
def test_a_hop_that_is_no_address_is_a_client_of_its_own(hop: str) -> None:
    named = client(f"192.0.2.7, {hop}")
    assert named.address.startswith("hop-")
    assert named == client(f"203.0.113.1, {hop}") == client(hop), "what stands left of it counts"
    assert named.address != seen("another")
    assert named.group == named.address
    assert seen(hop, peer="203.0.113.9") == "203.0.113.9"


@pytest.mark.parametrize("hop", ["192.0.2.7", "[2001:db8::7]", "_hidden"])
@pytest.mark.parametrize("port", ["2", "65536", "_x", ""])
def test_a_port_makes_nobody_somebody_else(hop: str, port: str) -> None:
    assert seen(f"{hop}:{port}") == seen(hop)


def test_a_peer_with_a_scope_is_its_address() -> None:
    assert seen("192.0.2.7", peer="fd00::1%eth0") == "192.0.2.7"
    assert client(peer="fe80::1%eth0").group == "fe80::/64"


def test_so_many_clients_are_kept_and_none_whose_header_is_long() -> None:
    clients = Clients(TRUSTED)
    for number in range(KEPT + 10):
        clients.of((f"192.0.{number // 256}.{number % 256}", 1), [])
    before = clients._kept.cache_info()
    assert before.currsize == KEPT
    long = b"192.0.2.7," * (LONGEST_KEPT // 10 + 1) + b"192.0.2.8"
    assert clients.of((PROXY, 1), [(b"x-forwarded-for", long)]).address == "192.0.2.8"
    assert clients._kept.cache_info() == before


def test_nobody_else_is_believed() -> None:
    assert seen("192.0.2.7", peer="203.0.113.9") == "203.0.113.9"


@given(st.text(max_size=200), st.ip_addresses(v=4))
def test_what_a_client_sends_never_counts_before_what_a_proxy_adds(text: str, own: object) -> None:
    expected = PROXY if any(own in network for network in TRUSTED) else str(own)
    assert seen(f"{text},{own}") == expected or expected == PROXY


@given(st.text(max_size=200), st.text("0123456789abcdef.:[]%\"'=;_ \t", min_size=1, max_size=80))
def test_whatever_a_proxy_adds_is_a_client_of_bounded_length(sent: str, hop: str) -> None:
    client = seen(f"{sent},{hop}")
    ours = seen(hop) == PROXY or any(_reads_as(seen(hop), network) for network in TRUSTED)
    assert not hop.strip() or ours or client == seen(hop) != PROXY
    assert len(client) <= 45


def _reads_as(client: str, network: object) -> bool:
    return not client.startswith("hop-") and ip_address(client) in network  # type: ignore[operator]

"""Whose request it is, by the proxies that are trusted, whatever X-Forwarded-For holds."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from photo_api.http.client_address import client_address

PROXY = "10.0.0.1"
TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def seen(*headers: str, peer: str = PROXY) -> str:
    found = [(b"x-forwarded-for", header.encode("latin-1", "replace")) for header in headers]
    return client_address(Request({"type": "http", "client": (peer, 1), "headers": found}), TRUSTED)


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
        (("unknown",), PROXY),
        (("192.0.2.7:port",), PROXY),
        (("[2001:db8::7",), "2001:db8::7"),
        (("",), PROXY),
        ((), PROXY),
    ],
)
def test_the_nearest_address_that_is_no_proxy(headers: tuple[str, ...], expected: str) -> None:
    assert seen(*headers) == expected


def test_nobody_else_is_believed() -> None:
    assert seen("192.0.2.7", peer="203.0.113.9") == "203.0.113.9"


@given(st.text(max_size=200), st.ip_addresses(v=4))
def test_what_a_client_sends_never_counts_before_what_a_proxy_adds(text: str, own: object) -> None:
    expected = PROXY if any(own in network for network in TRUSTED) else str(own)
    assert seen(f"{text},{own}") == expected or expected == PROXY

"""How nginx holds connections to instances, and what it tries twice."""

from collections.abc import Mapping

import pytest

from tests.doctor.cut_stage import NEW, host

PROXY: Mapping[str, tuple[str, str, str, str, str]] = {
    "HTTP/1.0": (
        "proxy_http_version 1.1;",
        "",
        "proxy-without-keep-alive",
        "no proxy_http_version: HTTP/1.0",
        "warning",
    ),
    "HTTP/1.0 that somebody wanted": (
        "proxy_http_version 1.1;",
        "proxy_http_version 1.0;",
        "proxy-without-keep-alive",
        "proxy_http_version 1.0 (",
        "warning",
    ),
    "close by default": (
        'proxy_set_header Connection "";',
        "",
        "proxy-without-keep-alive",
        "Connection: close by default",
        "warning",
    ),
    "close, since other headers hide it": (
        "location /api/ {",
        "location /api/ { proxy_set_header Host $host;",
        "proxy-without-keep-alive",
        "Connection: close by default",
        "warning",
    ),
    "no keepalive": (
        "keepalive 64;",
        "",
        "proxy-without-keep-alive",
        "upstream photo_members has no keepalive",
        "warning",
    ),
    "one request each": (
        "keepalive_requests 10000;\n        keepalive_timeout 60s;",
        "keepalive_requests 1;",
        "proxy-without-keep-alive",
        "keepalive_requests 1 (",
        "warning",
    ),
    "repeats writes": (
        "proxy_next_upstream error timeout;",
        "proxy_next_upstream error timeout non_idempotent;",
        "proxy-retries",
        "is done twice",
        "error",
    ),
    "repeats nothing": (
        "proxy_next_upstream error timeout;",
        "proxy_next_upstream off;",
        "proxy-retries",
        "ends with 502",
        "error",
    ),
    "tries once": (
        "proxy_next_upstream_tries 2;",
        "proxy_next_upstream_tries 1;",
        "proxy-retries",
        "no other instance is tried",
        "error",
    ),
    "tries all": (
        "proxy_next_upstream_tries 2;\n        proxy_next_upstream_timeout 30s;",
        "",
        "proxy-retries",
        "bounds repetitions",
        "warning",
    ),
    "has no time to try": (
        "proxy_next_upstream_timeout 30s;",
        "proxy_next_upstream_timeout 2s;",
        "proxy-retries",
        "no time left for another",
        "warning",
    ),
}


@pytest.mark.parametrize("name", PROXY)
def test_what_nginx_does_with_connections_is_told(name: str) -> None:
    old, new, code, evidence, level = PROXY[name]
    with host() as it:
        it.edit(it.nginx, old, new)
        found = it.only(code)
        assert evidence in found.evidence
        assert found.level == level
        assert f"{it.nginx}:" in found.evidence
        assert {one.code for one in it.found()} == {code}


def test_an_nginx_that_keeps_connections_by_itself_needs_no_word() -> None:
    with host() as it:
        for line in ("proxy_http_version 1.1;", 'proxy_set_header Connection "";', "keepalive 64;"):
            it.edit(it.nginx, line, "")
        it.version = NEW
        assert it.found() == []
        it.version = None
        findings, (unknown,) = it.said()
        assert (findings, unknown.code) == ([], "proxy-without-keep-alive")
        it.edit(it.nginx, "server 0.0.0.1;", "server 0.0.0.1; keepalive 0;")
        assert "has no keepalive" in it.said()[0][0].evidence


BY_HAND = """
events {}
http {
    upstream api { server 10.0.0.1:8000; server 10.0.0.2:8000 max_fails=3; KEEP }
    server {
        listen 80;
        client_max_body_size 60m;
        location / { root /srv/www; }
        location /other { proxy_pass http://10.0.0.9:9000; }
        location /api { proxy_pass http://api; proxy_read_timeout 30; proxy_send_timeout 30s;
            proxy_connect_timeout 3s; proxy_next_upstream_tries 2; HOW }
    }
}
"""


def test_a_configuration_of_an_operator_s_own_hand_is_judged_by_what_it_does() -> None:
    good = 'proxy_http_version 1.1; proxy_set_header Connection "";'
    with host() as it:
        it.nginx.write_text(BY_HAND.replace("KEEP", "keepalive 8;").replace("HOW", good))
        assert it.found() == []
        it.nginx.write_text(BY_HAND.replace("KEEP", "").replace("HOW", ""))
        findings = it.found()
        assert {one.code for one in findings} == {"proxy-without-keep-alive"}
        assert len(findings) == 3
        assert all(f"{it.nginx}:10" in one.evidence for one in findings)
        it.nginx.write_text("events {}")
        _, unknown = it.said()
        assert "passes nothing on to instances" in unknown[0].reason

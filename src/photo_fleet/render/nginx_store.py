"""The object store on the balancer's own origin: signed URLs lead through here."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from photo_fleet.render.nginx_text import Lines, block, plain, time
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer

UPSTREAM = "photo_store"

OURS = {
    "api",
    "cdn",
    "docs",
    "docs-assets",
    "edge",
    "health",
    "metrics",
    "openapi.json",
    "redoc",
    "share",
}
"""First parts of paths that are not the store's."""

HIDDEN = (
    *("Authorization", "Cookie", "Referer", "Proxy-Authorization"),
    *("Forwarded", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Proto"),
    "X-Forwarded-Prefix",
)
"""Of the request: what proves a user's identity to us, the address of a shared album, and what
stores take for the name that a URL was signed for in place of Host."""

SANDBOX = "\"default-src 'none'; style-src 'unsafe-inline'; sandbox\""
"""What somebody uploaded is on our origin, and must not act there."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A store as nginx reaches it: a host (bracketed for IPv6) and a port; and what it is called
    where a URL is signed for it."""

    host: str
    port: int
    is_tls: bool
    signed_for: str = ""

    @classmethod
    def parse(cls, text: str, key: str, signed_for: str = "") -> Self:
        """That of `text`, the value of `key` in the spec. Raises ValueError."""
        address = urlsplit(text)
        is_web = address.scheme in ("http", "https")
        if not is_web or not address.hostname or address.path.strip("/"):
            raise ValueError(f"{key} is {text!r}: write an address such as http://10.0.0.5:8333")
        host = plain(address.hostname, key)
        is_tls = address.scheme == "https"
        port = address.port or (443 if is_tls else 80)
        shown = f"[{host}]" if ":" in host else host
        return cls(shown, port, is_tls, plain(signed_for, key) if signed_for else "")

    def is_looked_up(self, places: Places) -> bool:
        """Whether nginx asks for its address again while it runs: that needs no upstream."""
        try:
            ip_address(self.host.strip("[]"))
        except ValueError:
            return bool(places.resolver)
        return False


def upstream(name: str, store: StoreAddress, balancer: Balancer, places: Places) -> Lines:
    """Nothing where it is looked up while running."""
    if store.is_looked_up(places):
        return []
    kept = ["keepalive 32;", f"keepalive_timeout {time(balancer.keep_alive)};"]
    return block(f"upstream {name}", [f"server {store.host}:{store.port};", *kept])


def store_upstream(balancer: Balancer, places: Places) -> Lines:
    """Of what passes as it came."""
    if not balancer.store:
        return []
    return upstream(UPSTREAM, _address(balancer), balancer, places)


def store_location(balancer: Balancer, places: Places, headers: Lines, not_for: str = "") -> Lines:
    """Signed reads and writes of one bucket. The signature covers path, query and Host, so these
    pass as they came, but for what was signed `not_for` clients: for the store by this name."""
    if not balancer.store:
        return []
    bucket = plain(balancer.bucket, "balancer.bucket")
    if bucket in OURS or "/" in bucket:
        raise ValueError(f"balancer.bucket is {bucket!r}: that address is not the store's")
    body = [
        "# As it was sent and as nginx understands it: otherwise `..` leads elsewhere.",
        f'if ($request_uri !~ "^/{re.escape(bucket)}/") {{ return 404; }}',
        "if ($is_signed = 0) { return 404; }",
        "if ($request_method !~ ^(?:GET|HEAD|PUT|OPTIONS)$) { return 405; }",
        *_unless_for(not_for),
        *headers,
        "# What somebody uploaded is on our origin now: it must not act there.",
        "add_header X-Content-Type-Options nosniff always;",
        'add_header X-Robots-Tag "noindex, nofollow" always;',
        f"add_header Content-Security-Policy {SANDBOX} always;",
        *(
            f"proxy_hide_header {name};"
            for name in ("X-Content-Type-Options", "Content-Security-Policy", "Set-Cookie")
        ),
        "proxy_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering;",
        'proxy_set_header Connection "";',
        "proxy_set_header Host $http_host;",
        *(f'proxy_set_header {name} "";' for name in HIDDEN),
        "# A copy of somebody else's object is no upload.",
        'proxy_set_header X-Amz-Copy-Source "";',
        "# No draining waits for the store: bytes go straight through, none to the disk.",
        "proxy_request_buffering off;",
        f"client_max_body_size {balancer.upload_limit};",
        "proxy_max_temp_file_size 0;",
        *destination(UPSTREAM, _address(balancer), balancer, places),
    ]
    return [f"location = /{bucket} {{ return 404; }}", *block(f"location ^~ /{bucket}/", body)]


def _unless_for(name: str) -> Lines:
    if not name:
        return []
    return [
        "# What the edge alone passes on, to whoever it has verified.",
        f'if ($http_host ~* "^{re.escape(name)}(?::80|:443)?$") {{ return 404; }}',
    ]


def destination(
    name: str, store: StoreAddress, balancer: Balancer, places: Places, target: str = ""
) -> Lines:
    """Where a request is passed to, `target` in place of its path and query, by the upstream of
    this name."""
    scheme = "https" if store.is_tls else "http"
    tls = [
        "proxy_ssl_server_name on;",
        f"proxy_ssl_name {store.host};",
        "proxy_ssl_verify on;",
        "proxy_ssl_verify_depth 4;",
        f"proxy_ssl_trusted_certificate {plain(balancer.store_ca, 'balancer.store_ca')};",
    ]
    lines = tls if store.is_tls else []
    if not store.is_looked_up(places):
        return [*lines, f"proxy_pass {scheme}://{name}{target};"]
    return [
        *lines,
        f"set $store {store.host}:{store.port};",
        f"proxy_pass {scheme}://$store{target};",
    ]


def _address(balancer: Balancer) -> StoreAddress:
    return StoreAddress.parse(balancer.store, "balancer.store")

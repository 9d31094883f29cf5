"""The object store on the balancer's own origin: signed URLs lead through here."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from photo_fleet.render.nginx_text import Lines, block, plain, time
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer

UPSTREAM = "photo_store"

OURS = {
    "api",
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

HIDDEN = ("Authorization", "Cookie", "Referer", "Proxy-Authorization")
"""Of the request: what proves a user's identity to us, and the address of a shared album."""


def store_upstream(balancer: Balancer, places: Places) -> Lines:
    """Nothing where it is looked up while running: that needs no upstream."""
    if not balancer.store or _is_looked_up(balancer, places):
        return []
    host, port, _ = _address(balancer)
    kept = ["keepalive 32;", f"keepalive_timeout {time(balancer.keep_alive)};"]
    return block(f"upstream {UPSTREAM}", [f"server {host}:{port};", *kept])


def store_location(balancer: Balancer, places: Places, headers: Lines) -> Lines:
    """Signed reads and writes of one bucket. The signature covers path, query and Host, so these
    pass as they came."""
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
        *headers,
        "# What somebody uploaded is on our origin now: it must not act there.",
        "add_header X-Content-Type-Options nosniff always;",
        'add_header X-Robots-Tag "noindex, nofollow" always;',
        "add_header Content-Security-Policy"
        " \"default-src 'none'; style-src 'unsafe-inline'; sandbox\" always;",
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
        *_destination(balancer, places),
    ]
    return [f"location = /{bucket} {{ return 404; }}", *block(f"location ^~ /{bucket}/", body)]


def _address(balancer: Balancer) -> tuple[str, int, bool]:
    """Host (bracketed for IPv6), port, and whether it speaks TLS."""
    address = urlsplit(balancer.store)
    if address.scheme not in ("http", "https") or not address.hostname or address.path.strip("/"):
        raise ValueError(
            f"balancer.store is {balancer.store!r}: write an address such as http://10.0.0.5:8333"
        )
    host = plain(address.hostname, "balancer.store")
    is_tls = address.scheme == "https"
    port = address.port or (443 if is_tls else 80)
    return f"[{host}]" if ":" in host else host, port, is_tls


def _is_looked_up(balancer: Balancer, places: Places) -> bool:
    host = _address(balancer)[0].strip("[]")
    try:
        ip_address(host)
    except ValueError:
        return bool(places.resolver)
    return False


def _destination(balancer: Balancer, places: Places) -> Lines:
    host, port, is_tls = _address(balancer)
    scheme = "https" if is_tls else "http"
    tls = [
        "proxy_ssl_server_name on;",
        f"proxy_ssl_name {host};",
        "proxy_ssl_verify on;",
        "proxy_ssl_verify_depth 4;",
        f"proxy_ssl_trusted_certificate {plain(balancer.store_ca, 'balancer.store_ca')};",
    ]
    lines = tls if is_tls else []
    if not _is_looked_up(balancer, places):
        return [*lines, f"proxy_pass {scheme}://{UPSTREAM};"]
    return [*lines, f"set $store {host}:{port};", f"proxy_pass {scheme}://$store;"]

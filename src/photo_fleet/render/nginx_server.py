"""The server that people reach: which address goes where."""

from collections.abc import Sequence

from photo_fleet.render import nginx_errors as errors
from photo_fleet.render import nginx_origins as origins
from photo_fleet.render import request_classes as paths
from photo_fleet.render.nginx_edge import edge_locations, only_edge_s
from photo_fleet.render.nginx_gallery import gallery_locations
from photo_fleet.render.nginx_members import UPSTREAM, edge_health
from photo_fleet.render.nginx_store import store_location
from photo_fleet.render.nginx_text import Lines, block, plain, time
from photo_fleet.render.places import Places
from photo_fleet.spec.fleet import Balancer, Fleet, RateLimit

OF_THE_STORE = [
    "add_header X-Request-ID $own_request_id always;",
    "add_header Cache-Control $own_cache_control always;",
]
OWN = [*OF_THE_STORE, "add_header X-Content-Type-Options $own_nosniff always;"]
"""Of every answer that does not bring them: an instance's does."""

REQUESTS_OF_CLIENT, FORMS_OF_CLIENT = 112, 32
"""At a time: of one class, fewer than a worker of an instance holds of one address, so that it has
room for the others; of these, uploads by form, which are on nginx's disk while they come in."""

STREAMS = FORMS_OF_CLIENT
"""Requests that a browser has under way on its HTTP/2 connection; with others it waits itself."""

OTHERS, UPLOADS = ("read", "edit"), ("read", "upload")
"""Two classes of rates, of which a request's method decides."""

LARGEST_BODY, LARGEST_OF_STRANGERS = "256k", "16k"
"""Of all but uploads, as the service takes them."""

HEALTH_TIME_LIMIT = 3
"""Seconds: a probe does not wait longer."""

TLS = [
    "ssl_protocols TLSv1.2 TLSv1.3;",
    "ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
    ":ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
    ":ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;",
    "ssl_prefer_server_ciphers off;",
    "ssl_session_cache shared:tls:10m;",
    "ssl_session_timeout 1d;",
    "ssl_session_tickets off;",
    f"http2_max_concurrent_streams {STREAMS};",
]


def servers(fleet: Fleet, places: Places) -> Lines:
    """One server, and with certificates another that sends plain HTTP to it."""
    balancer = fleet.balancer
    port = balancer.port if places.port is None else places.port
    plain_listen = _listen(fleet, places, f"{port} default_server")
    names = [plain(name, "balancer.server_name") for name in balancer.server_name.split()]
    name = f"server_name {' '.join(names)};"
    if not balancer.tls.certificate:
        return block("server", [*plain_listen, name, "", *_body(fleet, places)])
    tls = [
        *_listen(fleet, places, f"{places.tls_port} ssl http2 default_server"),
        name,
        f"ssl_certificate {plain(balancer.tls.certificate, 'balancer.tls.certificate')};",
        f"ssl_certificate_key {plain(balancer.tls.key, 'balancer.tls.key')};",
        *TLS,
    ]
    return [
        *block("server", [*plain_listen, name, "", *_redirect(fleet, places)]),
        "",
        *block("server", [*tls, "", *_body(fleet, places)]),
    ]


def _listen(fleet: Fleet, places: Places, port: str) -> Lines:
    families = [places.address, *([places.address6] if fleet.balancer.ipv6 else [])]
    return [f"listen {address}:{port};" for address in families if address]


def _redirect(fleet: Fleet, places: Places) -> Lines:
    port = "" if places.tls_port == 443 else f":{places.tls_port}"
    return [
        *OWN,
        *origins.readable_headers(fleet),
        *errors.error_pages(fleet.balancer),
        *edge_health(fleet.balancer),
        f"location / {{ return 308 https://$host{port}$request_uri; }}",
        *errors.error_locations(fleet, OWN),
    ]


def _body(fleet: Fleet, places: Places) -> Lines:
    balancer = fleet.balancer
    headers = [*OWN, *origins.readable_headers(fleet)]
    sections = [
        [
            "# Evaluated here, before an error page or an index file changes the address.",
            "set $noted $logged_path;",
            *origins.to_preflight(fleet),
        ],
        headers,
        _to_members(balancer),
        errors.error_pages(balancer),
        _api_locations(balancer),
        _health_locations(balancer),
        _docs_locations(balancer),
        store_location(balancer, places, OF_THE_STORE, only_edge_s(fleet)),
        edge_locations(fleet, places, _limits("cdn", balancer)),
        gallery_locations(balancer, places, headers, _limits),
        ["location / { return 404; }"],
        origins.preflight_location(fleet, headers),
        errors.error_locations(fleet, OWN),
        errors.page_error_locations(fleet, OWN),
    ]
    return [line for section in sections if section for line in (*section, "")][:-1]


def _to_members(balancer: Balancer) -> Lines:
    """How a request is passed on. Locations that set a header themselves inherit none of these."""
    return [
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        "proxy_set_header Host $host_as_sent;",
        "# The address that we see: what the client claims ends here.",
        "proxy_set_header X-Forwarded-For $client;",
        "proxy_set_header X-Forwarded-Proto $forwarded_proto;",
        "proxy_set_header X-Request-ID $request_id_or_own;",
        *(f'proxy_set_header {name} "";' for name in ("Forwarded", "X-Real-IP", "Upgrade", "TE")),
        "proxy_redirect off;",
        "proxy_intercept_errors off;",
        f"proxy_connect_timeout {time(balancer.connect_timeout)};",
        f"proxy_send_timeout {time(balancer.send_timeout)};",
        f"proxy_read_timeout {time(balancer.read_timeout)};",
        "# Once more, at another member: after a broken connection, or when a machine that has",
        "# vanished does not take one; POST and PATCH only while nothing was sent. Not when an",
        "# answer takes too long: by then the time for this is over too.",
        "proxy_next_upstream error timeout;",
        "proxy_next_upstream_tries 2;",
        f"proxy_next_upstream_timeout {time(min(balancer.send_timeout, balancer.read_timeout))};",
        *_buffering(balancer),
    ]


def _buffering(balancer: Balancer) -> Lines:
    buffered = "on" if balancer.buffer_uploads else "off"
    return [
        "# Slow clients are nginx's business: an instance gets an upload when all of it is here.",
        f"proxy_request_buffering {buffered};",
        f"client_max_body_size {LARGEST_BODY};",
        "client_body_buffer_size 64k;",
        "# Signed URLs in answers make long headers.",
        "proxy_buffer_size 16k;",
        "proxy_buffers 8 16k;",
        "proxy_busy_buffers_size 32k;",
    ]


def _limited(head: str, classes: Sequence[str], balancer: Balancer, *more: str) -> Lines:
    limits = [line for name in classes for line in _limits(name, balancer)]
    return block(f"location {head}", [*limits, *more, f"proxy_pass http://{UPSTREAM};"])


def _limits(name: str, balancer: Balancer) -> Lines:
    """Beyond the burst a client's requests wait for their turn, as many as may; others are
    refused. None that waits is held by an instance."""
    limit: RateLimit = getattr(balancer.rate_limits, name)
    wait = f" delay={limit.burst}" if limit.burst else ""
    at_most, wait = limit.burst + limit.queue, wait if limit.queue else " nodelay"
    burst = f" burst={at_most}{wait}" if at_most else ""
    return [
        f"limit_req zone={name}{burst};",
        f"limit_conn {name}_held {REQUESTS_OF_CLIENT};",
    ]


def _api_locations(balancer: Balancer) -> Lines:
    form = (
        f"client_max_body_size {balancer.upload_limit};",
        f"limit_conn forms {FORMS_OF_CLIENT};",
    )
    of_strangers = ("gzip off;", f"client_max_body_size {LARGEST_OF_STRANGERS};")
    return [
        "# nginx would lead from a prefix without its slash to the one with it.",
        "location = /api { return 404; }",
        *_limited("/api/", OTHERS, balancer),
        "# Compressed, an answer's length tells of the tokens in it.",
        *_limited("/api/auth", OTHERS, balancer, *of_strangers),
        *_limited(f'~ "{paths.LOGIN}"', ("auth",), balancer, *of_strangers),
        *_limited("= /api/photos", UPLOADS, balancer, *form),
        *_limited("= /api/photos/", UPLOADS, balancer, *form),
        *_limited(f'~ "{paths.DIRECT_UPLOAD}"', UPLOADS, balancer),
        *_limited("/api/share", ("share",), balancer),
        *_limited(f'~ "{paths.IMAGE}"', ("image",), balancer),
    ]


def _health_locations(balancer: Balancer) -> Lines:
    limits = [f"proxy_{what}_timeout {HEALTH_TIME_LIMIT}s;" for what in ("connect", "send", "read")]
    return [
        *block(r"location ~ ^(?:/api)?/health(?:/|$)", [*limits, f"proxy_pass http://{UPSTREAM};"]),
        *edge_health(balancer),
    ]


def _docs_locations(balancer: Balancer) -> Lines:
    paths = ("= /docs", "= /redoc", "= /openapi.json", "/docs-assets")
    return [line for path in paths for line in _limited(path, OTHERS, balancer)]

"""nginx as the CDN: a cache of the object store behind signed URLs.

A URL is `/cdn/KEY?expires=E&kid=K&md5=S&filename=F&…`, and the rest of its query is the store's own
signature. It is verified before the cache is looked into; the cache knows path and slice alone, so
that URLs that change find what others have brought. What the edge may read of the store is what the
URL's signature allows: it has no credentials.
"""

from math import ceil
from urllib.parse import urlsplit

from photo_api.contract import CROSS_ORIGIN_MAX_AGE
from photo_fleet.render.nginx_errors import EdgeError, refusal
from photo_fleet.render.nginx_members import uses_lua
from photo_fleet.render.nginx_store import SANDBOX, StoreAddress, destination, upstream
from photo_fleet.render.nginx_text import INTERNAL, Lines, block, time
from photo_fleet.render.places import Places
from photo_fleet.spec.edge import EDGE_PATH
from photo_fleet.spec.fleet import Fleet

UPSTREAM = "photo_edge"
FOLDER = "/.error/cdn"
LUA_FILE = "edge"

ENTRY = 16 * 1024
"""Bytes of a small rendition: the cache has room for the names of as many as fit."""
ENTRIES_PER_MIB = 8000
LEAST_NAMES, MOST_NAMES = 10, 1024
"""MiB."""

LONGEST_FETCH = 10
"""Seconds after which others do not wait any longer for what one of them fetches, and after which a
store that says nothing is away."""

SIGNED = {
    "s3": "X-Amz-[A-Za-z-]+=[A-Za-z0-9%._~-]*(?:&X-Amz-[A-Za-z-]+=[A-Za-z0-9%._~-]*)*",
    "swift": "temp_url_sig=[A-Za-z0-9%._~-]+&temp_url_expires=[0-9]+",
}
"""The store's signature, by kind of store, and nothing that it does not cover."""

HIDDEN = (
    *("Set-Cookie", "Cache-Control", "Expires", "Pragma", "Vary", "Content-Disposition", "Link"),
    *("Refresh", "ETag", "X-Request-ID", "X-Robots-Tag", "X-Content-Type-Options"),
    *("Content-Security-Policy", "Strict-Transport-Security", "Access-Control-Allow-Origin"),
    *("Access-Control-Allow-Credentials", "Access-Control-Expose-Headers"),
    *("Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age"),
    *("Seaweed-X-Amz-ETag", "Seaweed-X-Amz-Owner"),
    *("X-Amz-Request-Id", "X-Amz-Id-2", "X-Amz-Version-Id", "X-Amz-Server-Side-Encryption"),
    *("X-Trans-Id", "X-Openstack-Request-Id", "X-Timestamp", "X-Object-Meta-Mtime"),
)
"""Of the store's answer: what is for whoever asked first, and what known stores tell of themselves.
With Lua clients get no header that it does not name.

ETag, because nginx breaks off an answer whose pieces differ in it, and for the same bytes it is
another one after a store was moved or restored. Browsers ask again by Last-Modified."""

IGNORED = (
    *("Cache-Control", "Expires", "Set-Cookie", "Vary", "X-Accel-Expires", "X-Accel-Redirect"),
    *("X-Accel-Limit-Rate", "X-Accel-Buffering", "X-Accel-Charset"),
)
"""What the store cannot order."""

READABLE = "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, Retry-After"

ALWAYS = [
    "add_header X-Request-ID $request_id_or_own always;",
    "add_header Access-Control-Allow-Origin * always;",
    f'add_header Access-Control-Expose-Headers "{READABLE}, X-Request-ID" always;',
    "add_header X-Content-Type-Options nosniff always;",
    'add_header X-Robots-Tag "noindex, nofollow" always;',
    f"add_header Content-Security-Policy {SANDBOX} always;",
]
REFUSED = [*ALWAYS, "add_header Cache-Control no-store always;"]

NO_SUCH_PART, NOT_AS_DEMANDED = 416, 412

NOT_AN_OBJECT = (
    *(*range(300, 309), 402, 406, 407, 415, 417, 418, *range(421, 427), 428, 451),
    *range(520, 531),
)
"""Of what stands before a store."""

ERRORS = (
    EdgeError(
        403,
        "link_invalid",
        "This address is not valid: ask the API for a new one",
        None,
        (400, 401),
    ),
    EdgeError(404, "not_found", "Not found"),
    EdgeError(405, "method_not_allowed", "This method is not allowed here"),
    EdgeError(410, "link_expired", "This address has expired: ask the API for a new one"),
    EdgeError(NOT_AS_DEMANDED, "precondition_failed", "The image is not as the request demands"),
    EdgeError(413, "too_large", "A request for an image has no body"),
    EdgeError(NO_SUCH_PART, "range_not_satisfiable", "The image has no such part"),
    EdgeError(429, "too_many_requests", "Too many requests from this address", 1),
    EdgeError(
        503,
        "storage_unavailable",
        "The store of the images does not answer; try again",
        2,
        (*NOT_AN_OBJECT, 409, *range(500, 503), *range(504, 512)),
    ),
)
"""What clients are told in place of what nginx or the store says."""


def edge_files(fleet: Fleet) -> tuple[str, ...]:
    """Names of Lua files that it needs besides."""
    return (LUA_FILE,) if fleet.edge.on and uses_lua(fleet.balancer) else ()


def edge_store(fleet: Fleet) -> StoreAddress:
    """The store as the edge reaches it, and the name by which its signatures know it. Raises
    ValueError where the spec does not tell."""
    balancer, swift = fleet.balancer, fleet.store.swift
    if fleet.store.kind == "swift":
        parts = urlsplit(swift.account)
        account = f"{parts.scheme}://{parts.netloc}" if swift.account else ""
        return StoreAddress.parse(account, "store.swift.account", parts.netloc)
    signed_for = fleet.service.store or balancer.store
    address = balancer.store or fleet.service.store
    return StoreAddress.parse(address, "balancer.store", _signed_host(signed_for))


def only_edge_s(fleet: Fleet) -> str:
    """The name of the store in signatures that are the edge's alone; empty where there is none, and
    where clients' have the same."""
    edge, service, balancer = fleet.edge, fleet.service, fleet.balancer
    if not edge.on or fleet.store.kind != "s3" or not balancer.store:
        return ""
    name = edge_store(fleet).signed_for
    # Without public_url nobody knows whether another address of the store is this balancer's.
    is_ours = service.store in ("", balancer.store) or service.public_url
    return name if is_ours and name != _signed_host(service.public_url) else ""


def _signed_host(address: str) -> str:
    """As S3's signatures have it: without the port that goes without saying."""
    parts = urlsplit(address)
    return parts.netloc.removesuffix(":443" if parts.scheme == "https" else ":80")


def edge_cache(fleet: Fleet, places: Places) -> Lines:
    """What stands beside the servers."""
    edge = fleet.edge
    if not edge.on:
        return []
    names = min(MOST_NAMES, max(LEAST_NAMES, ceil(edge.size / ENTRY / ENTRIES_PER_MIB)))
    segment = "[A-Za-z0-9_-][A-Za-z0-9._-]*"
    return [
        f"proxy_cache_path {places.cache}/cdn levels=1:2 use_temp_path=off",
        f"    keys_zone={UPSTREAM}:{names}m max_size={ceil(edge.size / 1024)}k",
        f"    min_free={ceil(edge.min_free / 1024)}k inactive={time(edge.inactive)};",
        "# A pattern, so that without its keys nginx starts, and the edge refuses all.",
        *block('map "kid:$arg_kid" $edge_secret', ['default "";', f"include {_glob(places)};"]),
        *block(
            "map $request_uri $edge_key",
            [
                rf'"~^{EDGE_PATH}/(?<edge_path>(?:photos|renditions)(?:/{segment})+)(?:\?|$)"'
                " $edge_path;",
                'default "";',
            ],
        ),
        *block(
            "map $args $edge_query",
            [
                '"~^expires=[0-9]{1,12}&kid=[^&]+&md5=[A-Za-z0-9_-]{22}'
                f'&filename=[A-Za-z0-9%._~-]*&(?<edge_signed>{SIGNED[fleet.store.kind]})$"'
                " $edge_signed;",
                'default "";',
            ],
        ),
        "# When nginx looks again for what is old it knows no slice, and means the first.",
        *block(
            "map $slice_range $edge_slice",
            ["volatile;", f'"" bytes=0-{edge.slice - 1};', "default $slice_range;"],
        ),
        "# Of an answer without either nobody knows whether it was cut.",
        *block(
            'map "$upstream_http_content_length$upstream_http_transfer_encoding" $edge_no_end',
            ["volatile;", '"" 1;', 'default "";'],
        ),
        *block(
            "map $arg_filename $edge_disposition",
            ['"" inline;', "default \"inline; filename*=UTF-8''$arg_filename\";"],
        ),
        *(_lua() if uses_lua(fleet.balancer) else []),
        *upstream(UPSTREAM, edge_store(fleet), fleet.balancer, places),
    ]


def edge_locations(fleet: Fleet, places: Places, limits: Lines) -> Lines:
    """Where clients find objects, and what they are told where they find none."""
    if not fleet.edge.on:
        return []
    body = [
        *_verified(),
        *limits,
        "client_max_body_size 1;",
        *_cached(fleet),
        *_headers(uses_lua(fleet.balancer)),
        *_request(fleet, places),
    ]
    return [
        f"location = {EDGE_PATH} {{ return 404; }}",
        *block(f"location ^~ {EDGE_PATH}/", body),
        *_answers(),
    ]


def start_worker(fleet: Fleet, places: Places) -> Lines:
    """For Lua: what each worker does from its start on."""
    if not edge_files(fleet):
        return []
    return [f'require("photo.edge").watch_room("{places.cache}/cdn/room", {fleet.edge.slice})']


def _glob(places: Places) -> str:
    return places.edge_keys.removesuffix("f") + "[f]"


def _lua() -> Lines:
    return ["lua_shared_dict photo_edge_room 16k;"]


def _verified() -> Lines:
    return [
        "# As it was sent: `..`, `%2f` and double slashes lead nowhere.",
        'if ($edge_key = "") { return 404; }',
        f"if ($request_method = OPTIONS) {{ rewrite ^ {FOLDER}/preflight last; }}",
        "if ($request_method !~ ^(?:GET|HEAD)$) { return 405; }",
        "# An unknown key's secret is empty, and an empty one must not verify.",
        'if ($edge_secret = "") { return 403; }',
        'if ($edge_query = "") { return 403; }',
        "secure_link $arg_md5,$arg_expires;",
        "# With what the store is asked by: else each changed one would be passed on.",
        'secure_link_md5 "$secure_link_expires$uri $arg_filename $edge_query $edge_secret";',
        'if ($secure_link = "") { return 403; }',
        'if ($secure_link = "0") { return 410; }',
    ]


def _cached(fleet: Fleet) -> Lines:
    edge = fleet.edge
    return [
        f"slice {edge.slice};",
        f"proxy_cache {UPSTREAM};",
        "# Neither who asks nor by which signature.",
        "proxy_cache_key $uri$edge_slice;",
        "# A piece is a 206. A store that answers otherwise is somebody else with a page.",
        f"proxy_cache_valid 206 {time(edge.fresh)};",
        "proxy_cache_revalidate on;",
        "proxy_cache_background_update on;",
        "# Whatever the store says: who asks may see what is here.",
        "proxy_cache_use_stale updating error timeout invalid_header",
        "    http_403 http_404 http_429 http_500 http_502 http_503 http_504;",
        "# One fetches for all who want the same.",
        "proxy_cache_lock on;",
        f"proxy_cache_lock_age {LONGEST_FETCH}s;",
        f"proxy_cache_lock_timeout {LONGEST_FETCH}s;",
        f"proxy_read_timeout {LONGEST_FETCH}s;",
        f"proxy_ignore_headers {' '.join(IGNORED)};",
        "# What is not kept goes straight through, none to the disk.",
        "proxy_max_temp_file_size 0;",
    ]


def _headers(by_lua: bool) -> Lines:
    caching = '"private, no-cache"'
    lua = [
        f"set $edge_caching {caching};",
        'set $edge_no_room "";',
        *block("header_filter_by_lua_block", ['require("photo.edge").answer()']),
    ]
    return [
        *(f"proxy_hide_header {name};" for name in HIDDEN),
        *ALWAYS,
        "add_header Content-Disposition $edge_disposition;",
        *(lua if by_lua else []),
        f"proxy_no_cache $edge_no_end{' $edge_no_room' if by_lua else ''};",
        f"add_header Cache-Control {'$edge_caching' if by_lua else caching};",
    ]


def _request(fleet: Fleet, places: Places) -> Lines:
    store, swift = edge_store(fleet), fleet.store.swift
    inside = f"/{fleet.balancer.bucket}"
    if fleet.store.kind == "swift":
        inside = f"{urlsplit(swift.account).path}/{swift.container}"
    return [
        "# Nothing that says who asks.",
        "proxy_pass_request_headers off;",
        "proxy_pass_request_body off;",
        f"proxy_set_header Host {store.signed_for};",
        'proxy_set_header Connection "";',
        "proxy_set_header Range $edge_slice;",
        "proxy_intercept_errors on;",
        *_error_pages(),
        *destination(UPSTREAM, store, fleet.balancer, places, f"{inside}/$edge_key?$edge_query"),
    ]


def _error_pages() -> Lines:
    lines = []
    for error in ERRORS:
        codes = " ".join(str(status) for status in (error.status, *error.instead_of))
        lines.append(f"error_page {codes} = {FOLDER}/{error.status};")
    return lines


def _answers() -> Lines:
    lines: Lines = []
    for error in ERRORS:
        later = error.retry_after
        headers = [
            *REFUSED,
            *([f"add_header Retry-After {later} always;"] if later is not None else []),
            # nginx closes the connection after it, and by itself does not say so.
            *(["keepalive_timeout 0;"] if error.status == NOT_AS_DEMANDED else []),
        ]
        if error.status == NO_SUCH_PART:
            again = "# nginx has put the headers of an image on it already, or the store refused."
            found = f'if ($sent_http_x_robots_tag = "") {{ rewrite ^ {FOLDER}/no-part last; }}'
            only_this = ["add_header Cache-Control no-store always;"]
            lines += _answer(str(error.status), error, only_this, again, found)
            lines += _answer("no-part", error, headers)
        else:
            lines += _answer(str(error.status), error, headers)
    preflight = [
        *INTERNAL,
        *ALWAYS,
        'add_header Access-Control-Allow-Methods "GET, HEAD, OPTIONS";',
        "# Some clients send it on when they are redirected; it ends here.",
        'add_header Access-Control-Allow-Headers "*, Authorization";',
        f"add_header Access-Control-Max-Age {CROSS_ORIGIN_MAX_AGE};",
        "return 204;",
    ]
    return [*lines, *block(f"location = {FOLDER}/preflight", preflight)]


def _answer(name: str, error: EdgeError, headers: Lines, *before: str) -> Lines:
    body = [*INTERNAL, "default_type application/json;", *headers, *before, refusal(error)]
    return block(f"location = {FOLDER}/{name}", body)

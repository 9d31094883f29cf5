"""Front ends on other origins: nginx answers their preflights, and lets them read its refusals.

What an instance answers has these headers already, and passes as it is."""

from photo_api.contract import (
    CROSS_ORIGIN_HEADERS,
    CROSS_ORIGIN_MAX_AGE,
    CROSS_ORIGIN_METHODS,
    CROSS_ORIGIN_READABLE,
)
from photo_base.origins import ANY, ANY_PORT, origins_on_any_port
from photo_fleet.render.nginx_text import INTERNAL, Lines, block
from photo_fleet.spec.edge import EDGE_PATH
from photo_fleet.spec.fleet import Fleet

PREFLIGHT = "/.error/preflight"

_REST = [
    "add_header Access-Control-Expose-Headers $own_readable always;",
    "add_header Vary $own_vary always;",
]


def origin_maps(fleet: Fleet) -> Lines:
    """Which origin is one of ours, and what of it an answer of nginx itself says."""
    origins = fleet.service.cors_origins
    if not origins:
        return []
    known = [
        f'"{one}" $http_origin;' for one in origins if one != ANY and not one.endswith(ANY_PORT)
    ]
    if on_any_port := origins_on_any_port(origins):
        known.append(f'"~^{on_any_port}$" $http_origin;')
    readable = ", ".join(CROSS_ORIGIN_READABLE)
    # The store and the edge answer preflights for their own paths.
    own = [fleet.balancer.bucket] if fleet.balancer.store else []
    own += [EDGE_PATH.strip("/")] if fleet.edge.on else []
    others = f"/(?!(?:{'|'.join(own)})/)".replace(".", r"\.") if own else "/"
    return [
        *block(
            "map $http_origin $known_origin",
            [*known, f"default {'$http_origin' if ANY in origins else chr(34) * 2};"],
        ),
        *block(
            "map $upstream_http_access_control_allow_origin $own_origin",
            ['"" $known_origin;', 'default "";'],
        ),
        f'map $own_origin $own_readable {{ "" ""; default "{readable}"; }}',
        'map $own_origin $own_vary { "" ""; default Origin; }',
        "# Of a request whose origin was not read any more, nginx tells what anybody may know.",
        'map $http_origin $own_or_any_origin { "" *; default $own_origin; }',
        *block(
            'map "$request_method $http_access_control_request_method $known_origin $uri"'
            " $is_preflight",
            [rf'"~^OPTIONS [A-Z]+ \S+ {others}" 1;', "default 0;"],
        ),
    ]


def readable_headers(fleet: Fleet, *, origin_is_read: bool = True) -> Lines:
    """Of answers of nginx itself; `origin_is_read` False for those to a part of a head."""
    if not fleet.service.cors_origins:
        return []
    name = "$own_origin" if origin_is_read else "$own_or_any_origin"
    return [f"add_header Access-Control-Allow-Origin {name} always;", *_REST]


def to_preflight(fleet: Fleet) -> Lines:
    """Before any location, and so before what is counted there."""
    if not fleet.service.cors_origins:
        return []
    return [f"if ($is_preflight) {{ rewrite ^ {PREFLIGHT} last; }}"]


def preflight_location(fleet: Fleet, headers: Lines) -> Lines:
    if not fleet.service.cors_origins:
        return []
    body = [
        *INTERNAL,
        *headers,
        f'add_header Access-Control-Allow-Methods "{", ".join(CROSS_ORIGIN_METHODS)}";',
        f'add_header Access-Control-Allow-Headers "{", ".join(CROSS_ORIGIN_HEADERS)}";',
        f"add_header Access-Control-Max-Age {CROSS_ORIGIN_MAX_AGE};",
        "return 204;",
    ]
    return block(f"location = {PREFLIGHT}", body)

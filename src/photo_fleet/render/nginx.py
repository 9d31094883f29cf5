"""nginx's configuration of the spec, for Debian's 1.22 and newer, with its Lua module."""

from dataclasses import fields
from importlib.resources import files as resources
from ipaddress import ip_network

from photo_api.contract import GALLERY_ASSETS
from photo_fleet.render import nginx_members as members
from photo_fleet.render.nginx_edge import edge_cache, edge_files, start_worker
from photo_fleet.render.nginx_gallery import gallery_cache
from photo_fleet.render.nginx_origins import origin_maps
from photo_fleet.render.nginx_server import servers
from photo_fleet.render.nginx_store import store_upstream
from photo_fleet.render.nginx_text import Lines, block, rate, time
from photo_fleet.render.places import Places
from photo_fleet.render.request_classes import READING
from photo_fleet.spec.fleet import Balancer, Fleet

RENDERED = "# Rendered from the fleet spec: change it there."

LIKE_A_SECRET = (
    '"~^(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z]).*[A-Za-z0-9_-]{32}" $request_id;',
    '"~[0-9a-f]{64}" $request_id;',
    '"~eyJ" $request_id;',
)
"""A token, a share's key or a signature that somebody sends as a request's id by mistake: it must
not reach the log. The service does the same."""

ACCESS_LOG = """log_format access escape=json
    '{"time":"$time_iso8601","request_id":"$request_id_or_own","client":"$client",'
    '"method":"$logged_method","path":"$logged_path","status":$status,"bytes":$body_bytes_sent,'
    '"seconds":$request_time,"instance":"$upstream_http_x_instance","boot":"$member","upstream":"$upstream_addr",'
    '"upstream_status":"$upstream_status","connect_seconds":"$upstream_connect_time",'
    '"header_seconds":"$upstream_header_time","response_seconds":"$upstream_response_time",'
    '"tries":$tries,"cache":"$edge_found"}';"""
"""Strings of `upstream…` and `…_seconds` have an entry for each try. `cache` is what the edge found
of an image's first piece; empty: nobody looked."""


NAMES = [
    "# Before the first map: nginx does not start with a longer name or origin than fits in here.",
    "map_hash_bucket_size 512;",
    "server_names_hash_bucket_size 512;",
]


def files(fleet: Fleet, places: Places) -> dict[str, str]:
    """{path below `places.prefix`: text}; nginx is started with `-c <prefix>/nginx.conf` and stays
    in the foreground.

    Raises ValueError where a value of the spec cannot be written into nginx's configuration.
    """
    page = resources("photo_fleet.render") / "pages" / "index.html"
    return {
        "nginx.conf": _configuration(fleet, places),
        **members.lua_files(fleet.balancer, edge_files(fleet)),
        **({} if members.uses_lua(fleet.balancer) else {"members.conf": no_members(fleet)}),
        "pages/index.html": page.read_text(),
    }


def no_members(fleet: Fleet) -> str:
    """With membership by reload: what `places.members_include` holds before the first start."""
    return members.members_file(fleet, ())


def notes(fleet: Fleet) -> list[str]:
    """What an operator should know of this configuration before using it."""
    balancer, found = fleet.balancer, []
    if not members.uses_lua(balancer):
        found.append(
            "members change by file and reload: each change closes idle client connections, an"
            " upload that is coming in may still go to a member that has left, and removal counts"
            " only when no older nginx worker is left. Debian's libnginx-mod-http-lua and"
            ' balancer.membership = "lua" mend that.'
        )
        found.append(
            "before nginx first starts, copy members.conf to the run folder; it holds no members"
        )
    if not balancer.tls.certificate:
        found.append(
            "no balancer.tls.certificate: passwords and tokens are readable on the way, unless"
            " something in front of nginx ends TLS"
        )
    if not balancer.buffer_uploads:
        found.append("uploads are not buffered: a slow client holds an instance for as long")
    return found


def _configuration(fleet: Fleet, places: Places) -> str:
    lines = [
        RENDERED,
        "daemon off;",
        *([f"user {places.user};"] if places.user else []),
        "worker_processes auto;",
        "worker_rlimit_nofile 65536;",
        "# After a reload, older workers end their requests for at most this long.",
        f"worker_shutdown_timeout {time(fleet.service.longest_request)};",
        f"pid {places.pid_file};",
        f"error_log {places.error_log} notice;",
        *members.modules(fleet.balancer, places),
        "",
        *block("events", ["worker_connections 16384;"]),
        "",
        *block("http", _http(fleet, places)),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _http(fleet: Fleet, places: Places) -> Lines:
    balancer = fleet.balancer
    sections = [
        NAMES,
        _logs(places),
        _clients(balancer, places),
        _hops(balancer),
        _limits(fleet),
        origin_maps(fleet),
        members.members(fleet, places, start_worker(fleet, places)),
        store_upstream(balancer, places),
        edge_cache(fleet, places),
        gallery_cache(places),
        members.control_server(balancer, places),
        servers(fleet, places),
    ]
    return [line for section in sections if section for line in (*section, "")][:-1]


def _logs(places: Places) -> Lines:
    return [
        "# A request's line in the error log shows its URL and its referrer, and so signatures and",
        "# tokens of shares: what went wrong with a request is in the access log, without them.",
        "# `crit` is such a line too: of a file that could not be written.",
        f"error_log {places.error_log} emerg;",
        *block(
            "map $uri $logged_path",
            [
                '"~^(?<shared>/api/share|/share)/[^/]+(?<below>.*)$" $shared/***$below;',
                '"~^/\\.error/" "";',
                "default $uri;",
            ],
        ),
        "# An error page is fetched by GET, whatever the request was.",
        'map $request $logged_method { "~^(?<sent_method>[A-Z]+) " $sent_method; default ""; }',
        *block(
            "map $logged_path $is_logged",
            [r'"~^(?:/api|/edge)?/health(?:/|$)" 0;', "default 1;"],
        ),
        *block(
            "map $uri $edge_found",
            [f'"~^{GALLERY_ASSETS}" "";', "default $upstream_cache_status;"],
        ),
        *block(
            "map $upstream_addr $tries",
            ['"" 0;', '"~^[^,]+$" 1;', '"~^[^,]+,[^,]+$" 2;', "default 3;"],
        ),
        *ACCESS_LOG.splitlines(),
        f"access_log {places.access_log} access if=$is_logged;",
    ]


def _clients(balancer: Balancer, places: Places) -> Lines:
    temp = [
        f"{kind}_temp_path {places.temp}/{kind.removeprefix('client_')};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    ]
    return [
        *temp,
        *([f"resolver {places.resolver};"] if places.resolver else []),
        "server_tokens off;",
        "default_type application/octet-stream;",
        f"keepalive_timeout {time(balancer.client_keep_alive)};",
        "keepalive_requests 10000;",
        "client_header_timeout 10s;",
        "client_body_timeout 60s;",
        "send_timeout 60s;",
        "large_client_header_buffers 4 16k;",
        "tcp_nodelay on;",
        "gzip on;",
        "gzip_proxied any;",
        "gzip_vary on;",
        "gzip_min_length 1000;",
        "gzip_types application/json;",
        *block(
            "map $http_x_request_id $request_id_or_own",
            [
                *LIKE_A_SECRET,
                '"~^[A-Za-z0-9._:-]{1,128}$" $http_x_request_id;',
                "default $request_id;",
            ],
        ),
        *block(
            "map $upstream_http_x_request_id $own_request_id",
            ['"" $request_id_or_own;', 'default "";'],
        ),
        'map $upstream_http_cache_control $own_cache_control { "" no-store; default ""; }',
        'map $upstream_http_x_content_type_options $own_nosniff { "" nosniff; default ""; }',
        'map $http_host $host_as_sent { "" $host; default $http_host; }',
        'map $args $is_signed { "~(?:^|&)X-Amz-Signature=[0-9a-f]{64}(?:&|$)" 1; default 0; }',
    ]


def _hops(balancer: Balancer) -> Lines:
    """Hops whose word on the client's address and scheme is trusted."""
    hops = [str(ip_network(hop, strict=False)) for hop in balancer.trusted_hops]
    believed = [
        *(f"set_real_ip_from {hop};" for hop in hops),
        "real_ip_header X-Forwarded-For;",
        "real_ip_recursive on;",
    ]
    return [
        *(believed if hops else []),
        *block(
            "geo $realip_remote_addr $by_trusted_hop", ["default 0;", *(f"{h} 1;" for h in hops)]
        ),
        *block(
            'map "$by_trusted_hop $http_x_forwarded_proto" $forwarded_proto',
            ['"1 https" https;', '"1 http" http;', "default $scheme;"],
        ),
        *block("geo $remote_addr $is_a_hop", ["default 0;", *(f"{h} 1;" for h in hops)]),
        "# What cannot be read in X-Forwarded-For would leave the hop that wrote it as the client,",
        "# and so everybody behind it. The client is what was written then, without its port.",
        *block(
            'map "$is_a_hop $remote_addr $realip_remote_addr $http_x_forwarded_for" $written_hop',
            [
                r'"~^1 (\S+) \1 (?:.*,)?[^,]*\[(?<hop_in_brackets>[^\],]+)\][^,]*[, ]*$"'
                " $hop_in_brackets;",
                r'"~^1 (\S+) \1 (?:.*,)? *(?<hop_with_port>[^,: ]+):[^,:]*[, ]*$" $hop_with_port;',
                r'"~^1 (\S+) \1 (?:.*,)? *(?<last_hop>[^,]*[^, ])[, ]*$" $last_hop;',
                r'"~^1 \S+ \S+ (?:.*,)? *(?<inner_hop>[^,]*[^][0-9A-Fa-f:., ][^,]*)'
                r'(?:,[][0-9A-Fa-f:., ]*)?$" $inner_hop;',
                'default "";',
            ],
        ),
        'map $written_hop $client { "" $remote_addr; default $written_hop; }',
    ]


def _limits(fleet: Fleet) -> Lines:
    """Per client: an IPv4 address, or an IPv6 network of 64 bits, which is what one client has."""
    limits = fleet.balancer.rate_limits
    keys = {"read": "$reading_client", "edit": "$changing_client", "upload": "$changing_client"}
    zones = [
        line
        for name in (zone.name for zone in fields(limits) if zone.name != "cdn" or fleet.edge.on)
        for key in (keys.get(name, "$client_key"),)
        for line in (
            f"limit_req_zone {key} zone={name}:10m rate={rate(getattr(limits, name).rate)};",
            f"limit_conn_zone {key} zone={name}_held:10m;",
        )
    ]
    return [
        *block(
            "map $binary_remote_addr $address_key",
            [r'"~^(?<network>[\s\S]{8})[\s\S]{8}$" $network;', "default $binary_remote_addr;"],
        ),
        'map $written_hop $client_key { "" $address_key; default $written_hop; }',
        "# What has no key is not counted.",
        f'map $request_method $reading_client {{ "~{READING}" $client_key; default ""; }}',
        f'map $request_method $changing_client {{ "~{READING}" ""; default $client_key; }}',
        *zones,
        "limit_req_status 429;",
        "limit_conn_zone $changing_client zone=forms:10m;",
        "limit_conn_status 429;",
    ]

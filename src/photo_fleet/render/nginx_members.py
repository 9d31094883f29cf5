"""nginx's members: a set in a shared dict that Lua asks, or a file and a reload."""

from collections.abc import Sequence
from importlib.resources import files as resources

from photo_fleet.render.nginx_text import Lines, block, plain, time
from photo_fleet.render.places import LUA_MODULE, NDK_MODULE, Places
from photo_fleet.spec.fleet import Balancer, Fleet

UPSTREAM = "photo_members"
LUA_FILES = (
    *("control", "member_list", "members", "quarantine", "upstream", "waiting"),
    "whole_file",
)
CONNECTIONS = 64
"""Idle ones that each worker keeps, to all members together."""


def uses_lua(balancer: Balancer) -> bool:
    return balancer.membership == "lua"


def lua_files(balancer: Balancer, more: Sequence[str] = ()) -> dict[str, str]:
    """Paths below the prefix, and their texts."""
    if not uses_lua(balancer):
        return {}
    folder = resources("photo_fleet.render") / "lua" / "photo"
    names = (*LUA_FILES, *more)
    return {f"lua/photo/{name}.lua": (folder / f"{name}.lua").read_text() for name in names}


def modules(balancer: Balancer, places: Places) -> Lines:
    if not uses_lua(balancer):
        return []
    return [f"load_module {places.modules}/{name};" for name in (NDK_MODULE, LUA_MODULE)]


def members(fleet: Fleet, places: Places, workers_start: Lines) -> Lines:
    """The upstream and all that it needs beside it. `workers_start`: what Lua does there
    besides."""
    if uses_lua(fleet.balancer):
        return _by_lua(fleet.balancer, places, workers_start)
    return [
        "# Without Lua: a change of members is a new file and a reload. A reload closes idle",
        "# connections of clients, and an upload that was coming in may still go to a member that",
        "# has left: its removal counts only when no older worker is left.",
        f"include {places.members_include};",
        'map "" $member { default ""; }',
        f'map $upstream_addr $no_member {{ {UPSTREAM} 1; default ""; }}',
    ]


def _by_lua(balancer: Balancer, places: Places, workers_start: Lines) -> Lines:
    setup = [
        'require("photo.members").setup {',
        f'    file = "{places.members_file}",',
        f'    file_before = "{places.members_file_before}",',
        f'    algorithm = "{balancer.algorithm}",',
        "}",
    ]
    start = [
        'require("photo.members").start_worker()',
        f'require("photo.control").close_to_others("{places.members_socket}")',
        *workers_start,
    ]
    upstream = [
        "server 0.0.0.1; # nginx wants one; Lua chooses",
        *block("balancer_by_lua_block", ['require("photo.upstream").choose()']),
        *_kept_connections(balancer),
    ]
    return [
        f'lua_package_path "{places.prefix}/lua/?.lua;;";',
        "lua_shared_dict photo_members 4m;",
        *block("init_by_lua_block", setup),
        *block("init_worker_by_lua_block", start),
        "# Lua notes here who has a request, that it was sent again, and that there was nobody.",
        'map "" $member { default ""; }',
        'map "" $member_again { default ""; }',
        "# (Lua can set no variable that nothing else mentions.)",
        'map $member_again $_ { default ""; }',
        'map "" $no_member { default ""; }',
        *block(f"upstream {UPSTREAM}", upstream),
        *block("log_by_lua_block", ['require("photo.upstream").finish()']),
    ]


def _kept_connections(balancer: Balancer) -> Lines:
    return [
        f"keepalive {CONNECTIONS};",
        "keepalive_requests 10000;",
        f"keepalive_timeout {time(balancer.keep_alive)};",
    ]


def control_server(balancer: Balancer, places: Places) -> Lines:
    """Writers to this socket decide where requests go; it is never on TCP."""
    if not uses_lua(balancer):
        return []
    body = [
        f"listen unix:{places.members_socket};",
        "access_log off;",
        f"error_log {places.error_log} notice;",
        "client_max_body_size 1m;",
        "client_body_buffer_size 1m;",
        *block(
            "location = /members", ['content_by_lua_block { require("photo.control").members() }']
        ),
        "location / { return 404; }",
    ]
    return block("server", body)


def edge_health(balancer: Balancer) -> Lines:
    """Of nginx itself: whether it has somebody to send to."""
    if uses_lua(balancer):
        body = ['content_by_lua_block { require("photo.control").edge_health() }']
    else:
        unhealthy = """return 503 '{"status":"unhealthy","members":0}';"""
        body = [
            "default_type application/json;",
            f"if ($member_count = 0) {{ {unhealthy} }}",
            """return 200 '{"status":"healthy","members":$member_count}';""",
        ]
    return block("location = /edge/health", body)


def members_file(fleet: Fleet, addresses: Sequence[str]) -> str:
    """With membership by reload, the file at `Places.members_include` for members at these
    addresses (`10.0.0.1:8000`). Sorted, so that the same set is the same text."""
    balancer = fleet.balancer
    servers = [
        f"server {plain(address, 'a member')} max_fails=3 fail_timeout=10s;"
        for address in sorted(addresses)
    ]
    upstream = [
        f"zone {UPSTREAM} 512k;",
        *(["least_conn;"] if balancer.algorithm == "least-connections" else []),
        *(servers or ["server 127.0.0.1:1 down; # nobody; nginx wants one"]),
        *_kept_connections(balancer),
    ]
    count = f'map "" $member_count {{ default {len(servers)}; }}'
    return "\n".join([*block(f"upstream {UPSTREAM}", upstream), count]) + "\n"

"""How nginx holds connections to instances, and what it tries twice."""

from collections.abc import Iterator

from photo_fleet.doctor.finding import Finding, Level
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.proxying import Way, seconds, to_instances
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import listed

KEEPS_BY_ITSELF = (1, 29, 7)
"""Since then nginx speaks HTTP/1.1 to upstreams and keeps connections unless told otherwise
(https://nginx.org/en/CHANGES-1.30)."""

USUAL_NEXT = ("error", "timeout")
USUAL_CONNECT = 60.0


def without_keep_alive(seen: Seen) -> Iterator[Finding]:
    """Each way on which a connection carries one request."""
    if seen.spec.balancer.kind != "nginx":
        return
    look = seen.need(NginxLook)
    alike: dict[tuple[str, str], list[Way]] = {}
    for way in to_instances(look, seen.spec):
        for closing in _closing(way, look.version):
            alike.setdefault(closing, []).append(way)
    for (problem, fix), found in alike.items():
        yield _finding(look, "warning", "proxy-without-keep-alive", problem, found, fix)
    if look.version is None and any(_by_default(way) for way in to_instances(look, seen.spec)):
        raise Unseen(
            "nginx's release is not known: what it does where nothing is set depends on it",
            "nginx -v",
        )


def _by_default(way: Way) -> bool:
    return not (way.kept("keepalive") and way.last("proxy_http_version") and way.header)


def _closing(way: Way, version: tuple[int, ...] | None) -> Iterator[tuple[str, str]]:
    """What closes each connection after its answer, and what mends it."""
    is_new = version is None or version >= KEEPS_BY_ITSELF  # of an unknown one nothing is said
    kept, protocol, header = way.kept("keepalive"), way.last("proxy_http_version"), way.header
    name = way.upstream.first if way.upstream else ""
    if way.upstream is None:
        yield (
            f"proxy_pass {way.passing.first} names no upstream, so that no connection is kept",
            "put the address into an upstream block with keepalive 64;",
        )
    elif (kept is None and not is_new) or (kept and kept.first == "0"):
        yield f"upstream {name} has no keepalive", f"keepalive 64; in upstream {name}"
    elif (time := way.kept("keepalive_timeout")) and seconds(time.first) == 0:
        yield f"keepalive_timeout {time.first} ({time.place})", "keepalive_timeout 60s;"
    elif (requests := way.kept("keepalive_requests")) and requests.first in ("0", "1"):
        yield f"keepalive_requests {requests.first} ({requests.place})", "keepalive_requests 10000;"
    if protocol.first == "1.0" if protocol else not is_new:
        told = f"proxy_http_version 1.0 ({protocol.place})" if protocol else "no proxy_http_version"
        yield f"{told}: HTTP/1.0 keeps no connection", "proxy_http_version 1.1;"
    if header.args[1].lower() == "close" if header else not is_new:
        told = f"({header.place})" if header else "by default"
        yield f"nginx sends Connection: close {told}", 'proxy_set_header Connection "";'


def retries(seen: Seen) -> Iterator[Finding]:
    """What nginx tries at another instance when one does not answer."""
    if seen.spec.balancer.kind != "nginx":
        return
    look = seen.need(NginxLook)
    alike: dict[tuple[Level, str, str], list[Way]] = {}
    for way in to_instances(look, seen.spec):
        for repeating in _repeating(way):
            alike.setdefault(repeating, []).append(way)
    for (level, problem, fix), found in alike.items():
        yield _finding(look, level, "proxy-retries", problem, found, fix)


def _repeating(way: Way) -> Iterator[tuple[Level, str, str]]:
    again = way.last("proxy_next_upstream")
    on = again.args if again else USUAL_NEXT
    place = f" ({again.place})" if again else ""
    if "non_idempotent" in on:
        yield (
            "error",
            f"proxy_next_upstream {' '.join(on)}{place}: a POST whose answer is late is done twice",
            f"proxy_next_upstream {' '.join(USUAL_NEXT)};",
        )
    if "off" in on or "error" not in on:
        yield (
            "error",
            f"proxy_next_upstream {' '.join(on)}{place}: a request to an instance that has just"
            " gone ends with 502",
            f"proxy_next_upstream {' '.join(USUAL_NEXT)};",
        )
        return
    tries, limit = _number(way, "proxy_next_upstream_tries"), _time(way)
    if tries == 1:
        fix = "proxy_next_upstream_tries 2;"
        yield "error", f"proxy_next_upstream_tries 1{_place(way)}: no other instance is tried", fix
    elif tries == 0 and limit == 0:
        yield (
            "warning",
            "neither proxy_next_upstream_tries nor proxy_next_upstream_timeout bounds repetitions:"
            " a request that kills its instance goes on to all of them",
            "proxy_next_upstream_tries 2;",
        )
    connect = way.last("proxy_connect_timeout")
    patience = seconds(connect.first) if connect else USUAL_CONNECT
    if limit and patience and limit <= patience:
        yield (
            "warning",
            f"proxy_next_upstream_timeout {limit:g}s ≤ proxy_connect_timeout {patience:g}s: when a"
            " machine has vanished there is no time left for another",
            f"a shorter proxy_connect_timeout than {limit:g}s",
        )


def _number(way: Way, name: str) -> int:
    found = way.last(name)
    return int(found.first) if found and found.first.isdecimal() else 0


def _time(way: Way) -> float:
    found = way.last("proxy_next_upstream_timeout")
    return (seconds(found.first) or 0.0) if found else 0.0


def _place(way: Way) -> str:
    found = way.last("proxy_next_upstream_tries")
    return f" ({found.place})" if found else ""


def _finding(
    look: NginxLook, level: Level, code: str, problem: str, found: list[Way], fix: str
) -> Finding:
    return Finding(
        level,
        code,
        f"{problem}; so for proxy_pass at {listed(way.passing.place for way in found)}",
        f"sudo nginx -T -c {look.file} | grep -nE 'upstream|keepalive|proxy_'",
        f"{fix} (then nginx -t and a reload)",
    )


RULES = (
    Rule("proxy-without-keep-alive", without_keep_alive),
    Rule("proxy-retries", retries),
)

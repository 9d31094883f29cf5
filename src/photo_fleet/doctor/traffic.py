"""Rules about uneven traffic; those about members, machines and who watches them stand beside."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from math import log

from photo_fleet.doctor import machines, members, watched
from photo_fleet.doctor.distribution import Distribution, distributions
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.in_service import in_service_since, names, ready
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.access_log import AccessLogLook
from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.looks.nginx_syntax import Directive
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.spread import Share
from photo_fleet.doctor.words import span
from photo_fleet.render.nginx_members import UPSTREAM

IN_TURN, BY_LOAD = 0.25, 0.5
"""How far from an equal share an instance may be: where a balancer takes one after the other, which
is more even than chance; and where it goes by connections, or is a cloud's."""
SEVERE = 2.0
"""Times an equal share."""

NEVER_BY_CHANCE = 1e-6
"""How seldom one client's requests go to one instance alone, unless they are tied to it."""
LEAST_CLIENTS = 3
TIED = 0.8
"""The share of clients with enough requests that are."""

TYING = ("ip_hash", "hash", "sticky", "sticky_cookie_insert")
OTHERWISE = ("random", "least_time", "fair")
ALGORITHM = re.compile(r'\balgorithm\s*=\s*"([a-z-]*)"')


def uneven(seen: Seen) -> Iterator[Finding]:
    """Some instances have far more requests than others that serve at the same time."""
    found = [(one, _off(one, seen)) for one in distributions(seen)]
    found = [(one, off) for one, off in found if off and not _by_age(one, off, seen)]
    if found:
        one, off = max(found, key=lambda pair: max(abs(share.sure - 1) for share in pair[1]))
        yield Finding(
            "error" if max(share.sure for share in one.spread.shares) >= SEVERE else "warning",
            "traffic-uneven",
            _told(one),
            one.command,
            "see what the instances that differ have in common: other members in one of several"
            " nginx, weights or another algorithm in a balancer, an instance that answers errors at"
            " once and so is free again first",
            names(one.boots[share.instance] for share in off),
        )


def pinned(seen: Seen) -> Iterator[Finding]:
    """Behind a balancer of connections the older instances have more than the younger ones, also
    after all idle connections have ended."""
    if seen.spec.balancer.kind != "cloud":
        return
    for one in distributions(seen):
        off = _off(one, seen)
        if off and _by_age(one, off, seen):
            young = [one.boots[share.instance] for share in off if share.ratio < 1]
            yield Finding(
                "warning",
                "connections-pinned",
                f"{_told(one)}; the more an instance has, the longer it is there",
                one.command,
                "have the cloud's balancer work on requests (HTTP), not on connections; or let"
                " clients' connections end sooner (its idle timeout, service.keep_alive)",
                names(young),
            )


def _off(one: Distribution, seen: Seen) -> tuple[Share, ...]:
    balancer = seen.spec.balancer
    in_turn = balancer.kind == "nginx" and balancer.algorithm == "round-robin"
    return one.spread.off(IN_TURN if in_turn else BY_LOAD)


def _by_age(one: Distribution, off: tuple[Share, ...], seen: Seen) -> bool:
    """Whether age explains it: all with too many came before all with too few, by as long as a
    connection that is idle lives."""
    if seen.spec.balancer.kind != "cloud":
        return False
    many = [one.boots[share.instance].changed_at for share in one.spread.shares if share.ratio > 1]
    few = [one.boots[share.instance].changed_at for share in off if share.ratio < 1]
    return bool(many and few) and min(few) - max(many) >= seen.spec.service.keep_alive


def _told(one: Distribution) -> str:
    spread = one.spread
    shown = [*spread.shares[:3], *spread.shares[3:][-3:]]
    shares = ", ".join(
        f"{one.boots[share.instance].instance} {share.requests:.0f} ({share.ratio:.2f} times an"
        f" equal share, {share.expected:.0f})"
        for share in shown
    )
    return (
        f"of {spread.requests:.0f} requests while {len(spread.shares)} instances served"
        f" ({one.source}): {shares}; chance does so less than once in 10,000 times"
    )


def sticky(seen: Seen) -> Iterator[Finding]:
    """By nginx's files, or by what clients meet."""
    if seen.spec.balancer.kind != "nginx":
        raise Unseen("a cloud's balancer tells its algorithm to nobody here", "the cloud's console")
    unread = None
    try:
        yield from _configured(seen)
    except Unseen as error:
        unread = error
    try:
        yield from _tied_clients(seen)
    except Unseen as error:
        unread = unread and error
    if unread:
        raise unread


def _configured(seen: Seen) -> Iterator[Finding]:
    look, wanted = seen.need(NginxLook), seen.spec.balancer.algorithm
    upstream = look.upstreams.get(UPSTREAM)
    if upstream is None:
        raise Unseen(f"{look.file} has no upstream {UPSTREAM}", f"grep -n upstream {look.file}")
    for found in _algorithms(look, upstream):
        directive, named = found
        if named == wanted:
            continue
        ties = named in TYING
        yield Finding(
            "warning",
            "balancing-sticky",
            f"{directive.place}: {named}"
            + (" ties each client to one instance" if ties else "")
            + f"; balancer.algorithm is {wanted}",
            f"nginx -T -c {look.file} 2>/dev/null | grep -nE 'ip_hash|hash|sticky|random|least|"
            "weight|algorithm'",
            "render the spec's files anew (photo-fleet render), and reload nginx",
        )


def _algorithms(look: NginxLook, upstream: Directive) -> Iterator[tuple[Directive, str]]:
    """Each directive that says how members are chosen, and what it says."""
    block, by_lua = upstream.block or (), False
    for one in block:
        by_lua |= one.name == "balancer_by_lua_block"
        if one.name in (*TYING, *OTHERWISE):
            yield one, one.name
        elif one.name == "least_conn":
            yield one, "least-connections"
        elif one.name == "server" and any(_weight(arg) > 1 for arg in one.args):
            yield one, next(arg for arg in one.args if _weight(arg) > 1)
    if by_lua:
        for one in look.http:
            if one.name == "init_by_lua_block" and (said := ALGORITHM.search(one.args[-1])):
                yield one, said[1]
    elif not any(one.name in (*TYING, *OTHERWISE, "least_conn") for one in block):
        yield upstream, "round-robin"


def _weight(argument: str) -> int:
    name, _, value = argument.partition("=")
    return int(value) if name == "weight" and value.isdecimal() else 1


def _tied_clients(seen: Seen) -> Iterator[Finding]:
    """Nearly all clients that asked often enough met one instance each, and not all the same."""
    registry, log_seen = seen.need(RegistryLook), seen.need(AccessLogLook)
    boots = ready(registry)
    since = max((in_service_since(boot, registry, seen) for boot in boots), default=0.0)
    if len(boots) < 2:
        return
    enough = 1 - log(NEVER_BY_CHANCE) / log(len(boots))
    met: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for request in log_seen.requests:
        if request.upstream and request.at >= since:
            met[request.client][request.boot or request.upstream] += 1
    often = {client: own for client, own in met.items() if own.total() >= enough}
    tied = {client: own for client, own in often.items() if len(own) == 1}
    places = {next(iter(own)) for own in tied.values()}
    if len(tied) >= max(LEAST_CLIENTS, TIED * len(often)) and len(places) > 1:
        requests = sum(own.total() for own in tied.values())
        yield Finding(
            "warning",
            "balancing-sticky",
            f"{len(tied)} of {len(often)} clients with {enough:.0f} requests or more always met the"
            f" same one of {len(boots)} instances ({requests} requests, {log_seen.file})",
            f"jq -r '[.client, .instance] | @tsv' {log_seen.file} | sort | uniq -c | sort -n",
            "take the tie out of the balancer (ip_hash, hash, sticky sessions): instances keep no"
            " state, so any may answer",
        )


def single(seen: Seen) -> Iterator[Finding]:
    """A fleet that may have more is down to one. `group.max = 1` is taken at its word."""
    group, registry = seen.spec.group, seen.need(RegistryLook)
    serving = ready(registry)
    coming = [boot for boot in registry.alive if boot.state == "starting" and boot.workers]
    if group.max <= 1 or len(serving) != 1 or coming:
        return
    [alone] = serving
    if registry.now - alone.started_at <= group.warm_up:
        return  # a fleet that begins: the machines of the others may still be starting
    for_now = f"{alone.instance} alone is ready (registry)"
    left = [boot.changed_at for boot in registry.instances if not boot.alive and boot.workers]
    if left:
        for_now += f", the one before it ended {span(registry.now - max(left))} ago"
    yield Finding(
        "error" if group.min > 1 else "warning",
        "single-member",
        f"{for_now}; group.min {group.min}, desired {group.desired}, max {group.max}",
        members.INSTANCES,
        "have the group start what is missing"
        if group.min > 1
        else "group.min = 2: while one leaves or is lost another answers (group.max = 1 says that"
        " one is meant)",
        names(serving),
    )


RULES = (
    Rule("traffic-uneven", uneven),
    Rule("balancing-sticky", sticky),
    Rule("connections-pinned", pinned),
    *members.RULES,
    Rule("single-member", single),
    *watched.RULES,
    *machines.RULES,
)

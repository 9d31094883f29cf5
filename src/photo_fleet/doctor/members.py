"""Rules about a balancer's members: whom it lacks, whom it should not have, and who leads it."""

from collections import Counter
from collections.abc import Iterator, Sequence

from photo_api.contract import HEARTBEAT, LOST_AFTER
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.in_service import admission, names, ready
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.edge import EdgeLook, Held
from photo_fleet.doctor.looks.prometheus import PrometheusLook
from photo_fleet.doctor.looks.registry import Boot, FollowingBalancer, RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import span

SETTLED = 5.0
"""Seconds after which a change of registry or members has arrived at the other."""
JUST_NOW = 60.0
AGAIN_AND_AGAIN = 3
"""Notices of one member in the window that are no hiccup."""

MEMBERS = "sudo curl -sS --unix-socket /run/photo-fleet/members.sock http://nginx/members"
FOLLOWER = "systemctl status photo-fleet-balance; journalctl -u photo-fleet-balance -n 50 -o cat"
INSTANCES = (
    'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT instance, address, port, state,'
    ' now() - changed_at AS for, now() - heartbeat_at AS silent_for FROM instances"'
)
BALANCERS = (
    'psql "$PHOTO_FLEET_DATABASE_URL" -c "SELECT name, now() - seen_at AS unseen_for FROM'
    ' balancers"'
)


def missing(seen: Seen) -> Iterator[Finding]:
    """Ready for longer than probes take, and no member. One that leaves just now is none."""
    if seen.spec.balancer.kind != "nginx":
        return
    registry, edge = seen.need(RegistryLook), seen.need(EdgeLook)
    patience = 2 * admission(seen.spec) + SETTLED
    due = [
        boot
        for boot in ready(registry)
        if registry.now - boot.changed_at > patience
        and registry.now - boot.heartbeat_at <= HEARTBEAT + 1
        and _said(boot, seen) != "draining"
    ]
    if edge.held is None and edge.count is not None:
        if edge.count < len(due):
            yield Finding(
                "error" if edge.count < seen.spec.group.min else "warning",
                "member-missing",
                f"{len(due)} instances are ready for more than {patience:.0f} s (registry), and"
                f" nginx has {edge.count} members (/edge/health)",
                MEMBERS,
                "run photo-fleet doctor on the nginx host, which tells which instance it is",
            )
        return
    held = edge.members()
    known = {one.id for one in held} | {one.address for one in held}
    lacking = [boot for boot in due if not known & {boot.boot_id, boot.place}]
    if not lacking or not (_settled(edge, seen) or all(_said(boot, seen) for boot in lacking)):
        return
    told = "; ".join(
        f"{boot.instance} ({boot.place}) is ready for {span(registry.now - boot.changed_at)}"
        f" (registry){_health(boot, seen)}"
        for boot in lacking
    )
    yield Finding(
        "error" if len(held) < seen.spec.group.min else "warning",
        "member-missing",
        f"{told}; nginx has {len(held)} other members ({edge.source})",
        f"curl -sS -m 5 http://{lacking[0].place}{seen.spec.health_check.path}",
        "on the nginx host: let it reach the instance's address and port, and see that"
        " photo-fleet-balance runs; its log says why the member left",
        names(lacking),
    )


def ghost(seen: Seen) -> Iterator[Finding]:
    """A member that the registry calls ended, or does not know."""
    if seen.spec.balancer.kind != "nginx":
        return
    registry, edge = seen.need(RegistryLook), seen.need(EdgeLook)
    held = edge.members()
    boots = {boot.boot_id: boot for boot in registry.instances}
    places = {boot.place: boot for boot in sorted(registry.instances, key=lambda one: one.alive)}
    told, ghosts = [], []
    for member in held:
        boot = boots.get(member.id) if member.id else places.get(member.address)
        if said := _objection(boot, registry, settled=_settled(edge, seen)):
            ghosts.append(member)
            told.append(f"{member.instance or member.id} ({member.address}): {said}")
    if ghosts:
        yield Finding(
            "error",
            "member-ghost",
            f"{len(ghosts)} of nginx's {len(held)} members ({edge.source}) should be none:"
            f" {'; '.join(told)}",
            FOLLOWER,
            "have photo-fleet-balance run again on this host (systemctl restart"
            " photo-fleet-balance): it gives nginx the registry's members",
            tuple(dict.fromkeys(one.instance or one.address for one in ghosts)),
        )


def _objection(boot: Boot | None, registry: RegistryLook, *, settled: bool) -> str:
    """Why it should be no member, in words; "" when it should, or may be about to leave."""
    if boot is None:
        return "the registry does not have it" if settled else ""
    since = registry.now - boot.changed_at
    if since > SETTLED and (not boot.alive or boot.state == "draining"):
        return f"{boot.state} for {span(since)} (registry)"
    return ""


def differ(seen: Seen) -> Iterator[Finding]:
    """Balancers that follow the registry no more, or have other members than each other."""
    if seen.spec.balancer.kind != "nginx":
        return
    registry = seen.need(RegistryLook)
    present = registry.present_balancers
    if ready(registry) and not present:
        last = min((registry.now - one.seen_at for one in registry.balancers), default=None)
        seen_last = f"the last was seen {span(last)} ago" if last else "none has a row there"
        yield Finding(
            "error",
            "members-differ",
            f"no balancer follows the registry: {seen_last}, {len(ready(registry))} instances are"
            " ready",
            FOLLOWER,
            "start photo-fleet-balance on each nginx host; until then nginx keeps its last members,"
            " also those that end",
        )
    yield from _away(registry, present)
    yield from _not_acknowledged(seen, registry, present)
    yield from _not_given(seen)
    yield from _other_numbers(seen, len(present))


def _away(registry: RegistryLook, present: Sequence[FollowingBalancer]) -> Iterator[Finding]:
    """One that came back under another id is not away, nor is the last one, of which is told."""
    there = {one.name for one in present}
    gone = [one for one in registry.balancers if one not in present and one.name not in there]
    if present and gone:
        told = ", ".join(f"{one.name} for {span(registry.now - one.seen_at)}" for one in gone)
        yield Finding(
            "warning",
            "members-differ",
            f"balancers not seen in the registry: {told}; {len(present)} others are",
            BALANCERS,
            "start photo-fleet-balance there again; where the host is gone for good its row goes"
            " after a day",
            tuple(one.name for one in gone),
        )


def _not_acknowledged(
    seen: Seen, registry: RegistryLook, present: Sequence[FollowingBalancer]
) -> Iterator[Finding]:
    """An instance drains, and a balancer does not say that it sends nothing there any more."""
    patience = SETTLED
    if seen.spec.balancer.membership == "reload":
        patience += seen.spec.service.longest_request  # so long may workers of before a reload take
    late = [
        (one, boot)
        for boot in registry.alive
        if boot.state == "draining" and boot.workers and registry.now - boot.changed_at > patience
        for one in present
        if boot.boot_id not in one.removed
    ]
    if late:
        told = "; ".join(
            f"{one.name} has not acknowledged that {boot.instance} drains for"
            f" {span(registry.now - boot.changed_at)}"
            for one, boot in late[:10]
        )
        yield Finding(
            "error",
            "members-differ",
            f"{told} (registry)",
            FOLLOWER,
            "on that host: nginx's control socket has to answer photo-fleet-balance (systemctl"
            " status nginx photo-fleet-balance)",
            tuple(dict.fromkeys(one.name for one, _ in late)),
        )


def _not_given(seen: Seen) -> Iterator[Finding]:
    """On this host nginx has other members than its balancer wants, or does not answer it."""
    edge = seen.look(EdgeLook)
    if edge is None or edge.follower is None or not _settled(edge, seen):
        return
    follower, held = edge.follower, edge.held
    problems = [
        f"{what} does not answer it"
        for what, answers in (("the registry", follower.database), ("nginx", follower.nginx))
        if answers is False
    ]
    ids = {one.id for one in held or () if one.id}
    if held is not None and (ids or not held) and ids != follower.members:
        problems.append(
            f"it wants {len(follower.members)} members, and nginx has {len(held)}, of which"
            f" {len(ids & follower.members)} are the same ({edge.source})"
        )
    if problems:
        yield Finding(
            "error",
            "members-differ",
            f"this host's balancer, by {follower.file}: {'; '.join(problems)}",
            FOLLOWER,
            "start photo-fleet-balance where it does not run; else mend its way to the database"
            " (photo-fleet balance --once says what is wrong) or to nginx's socket",
        )


def _other_numbers(seen: Seen, balancers: int) -> Iterator[Finding]:
    """As nginx hosts tell Prometheus, where those are not more than `balancers` of this fleet."""
    look = seen.look(PrometheusLook)
    if look is None:
        return
    fewest, most = (
        {
            one.labels.get("instance", ""): one.values[-1][1]
            for one in look.series(name)
            if one.values
        }
        for name in ("fewest_members", "most_members")
    )
    least = min(most.values(), default=0.0)
    if fewest and least < max(fewest.values()):
        command = f"curl -sS '{look.address}/api/v1/query?query=photo_fleet_members'"
        if len(most) > balancers:
            reason = f"{len(most)} nginx hosts tell Prometheus of members, and {balancers} follow"
            raise Unseen(f"{reason} the registry: some may be another fleet's", command)
        hosts = [host for host, number in most.items() if number == least]
        yield Finding(
            "warning",
            "members-differ",
            f"for 2 min nginx hosts have had different numbers of members: {', '.join(hosts)}"
            f" {least:.0f}, others {max(fewest.values()):.0f} (Prometheus, photo_fleet_members)",
            command,
            "on the host with fewer: journalctl -u photo-fleet-balance says why members left",
            tuple(hosts),
        )


def quarantined(seen: Seen) -> Iterator[Finding]:
    """nginx leaves a member out now, or did so again and again."""
    if seen.spec.balancer.kind != "nginx":
        return
    edge = seen.need(EdgeLook)
    held = {one.id: one for one in edge.members() if one.id}
    notices = Counter(notice.boot for notice in edge.left_out or ())
    last = {notice.boot: notice for notice in edge.left_out or ()}
    for member in held.values():
        notice, times = last.get(member.id), notices[member.id]
        lately = notice is not None and seen.at - notice.at <= JUST_NOW
        if member.left_out_until is None and not lately and times < AGAIN_AND_AGAIN:
            continue
        yield _left_out(member, notice.cause if notice else "", times, edge)
    if edge.left_out is None and not edge.source.startswith("GET"):
        raise Unseen("neither nginx's socket nor its error log can be read", MEMBERS)


def _left_out(member: Held, cause: str, times: int, edge: EdgeLook) -> Finding:
    now = member.left_out_until is not None
    told = f"nginx leaves {member.instance} out now ({edge.source})" if now else ""
    noticed = f"error.log says so {times} times in the window, last: {cause}" if times else ""
    failed = f"{member.failures} connections to it failed" if member.failures else ""
    return Finding(
        "error" if now else "warning",
        "member-quarantined",
        f"{member.instance} ({member.address}): "
        + "; ".join(part for part in (told, noticed, failed) if part),
        f"curl -sS -m 5 http://{member.address}/health/live",
        "an instance that hangs is ended and started anew (systemctl restart photo-api on it);"
        " where connections fail, the way from nginx to it is at fault",
        (member.instance,),
    )


def silent(seen: Seen) -> Iterator[Finding]:
    """No sign of life in the registry for as long as others are declared lost, or no answer."""
    registry, servers = seen.need(RegistryLook), seen.need(ServersLook).servers
    told = {
        boot.boot_id: f"{boot.instance} ({boot.state}) gave its last sign of life"
        f" {span(registry.now - boot.heartbeat_at)} ago (registry)"
        for boot in registry.alive
        if registry.now - boot.heartbeat_at > LOST_AFTER
    }
    answering = any(server.answers for server in servers)
    for server in servers:
        if server.boot.state == "ready" and _hangs(server, answering):
            said = told.get(server.boot.boot_id) or f"{server.boot.instance} is ready (registry)"
            told[server.boot.boot_id] = f"{said}, and {server.boot.place}: {server.problem}"
    if told:
        boots = [boot for boot in registry.alive if boot.boot_id in told]
        yield Finding(
            "error",
            "member-silent",
            "; ".join(told.values()),
            f"curl -sS -m 5 http://{boots[0].place}/health/live; {INSTANCES}",
            "restart the instance (systemctl restart photo-api); one that answers and gives no sign"
            " does not reach the database with its registry's connection",
            names(boots),
        )
    asked = [server for server in servers if server.live is not None]
    if servers and not asked:
        raise Unseen(servers[0].problem, "photo-fleet doctor, where instances can be reached")
    if asked and not any(one.live and (one.live.reached or one.answers) for one in asked):
        raise Unseen(f"nobody here reaches an instance: {asked[0].problem}", INSTANCES)


def _hangs(server: Server, answering: bool) -> bool:
    """Whether it was asked in vain, and that is not because nobody here reaches anyone."""
    if server.live is None or server.answers:
        return False
    return server.live.reached or answering


def no_answer(seen: Seen) -> Iterator[Finding]:
    """nginx answers by itself, whatever its members do."""
    if seen.spec.balancer.kind != "nginx":
        return
    edge = seen.need(EdgeLook)
    if edge.silence and not edge.error_log:  # a network may be in the way
        raise Unseen(edge.silence, "photo-fleet doctor, on the nginx host")
    if edge.silence:
        yield Finding(
            "error",
            "balancer-silent",
            edge.silence,
            f"systemctl status photo-fleet-nginx; tail {edge.error_log}",
            "start it, or start it anew when it hangs: systemctl restart photo-fleet-nginx",
        )
    elif edge.status is None:
        raise Unseen(
            "nobody has told nginx's address, or this machine was too busy to ask it",
            "photo-fleet doctor --edge URL",
        )


def panic(seen: Seen) -> Iterator[Finding]:
    """All members are kept, whatever their probes say."""
    if seen.spec.balancer.kind != "nginx":
        return
    edge = seen.need(EdgeLook)
    if edge.panic is None:
        edge.members()
        raise Unseen("membership by reload: only its balancer.json tells of a panic", FOLLOWER)
    if edge.panic:
        place = edge.source or (edge.follower.file if edge.follower else "")
        yield Finding(
            "error",
            "balancer-panic",
            f"fewer than half of nginx's {len(edge.held or ())} members pass their probes, so all"
            f" are kept ({place})",
            f"journalctl -u photo-fleet-balance -n 50 -o cat | grep -E 'panic|member'; {INSTANCES}",
            "not a fault of the balancer: see why /health of the members is 503, usually their"
            " database",
        )


def _settled(edge: EdgeLook, seen: Seen) -> bool:
    return edge.unchanged_since is None or seen.at - edge.unchanged_since > SETTLED


def _server(boot: Boot, seen: Seen) -> Server | None:
    look = seen.look(ServersLook)
    servers = look.servers if look else ()
    return next((one for one in servers if one.boot.boot_id == boot.boot_id), None)


def _said(boot: Boot, seen: Seen) -> str:
    """The `status` of its last answer about its health, "" without one."""
    server = _server(boot, seen)
    return server.health.word if server and server.health else ""


def _health(boot: Boot, seen: Seen) -> str:
    server = _server(boot, seen)
    if server is None or server.health is None:
        return ""
    if not server.health.status:
        return f" and does not answer here ({server.problem})"
    return f" and answers {server.health.status} {server.health.word} here"


RULES = (
    Rule("member-missing", missing),
    Rule("member-ghost", ghost),
    Rule("members-differ", differ),
    Rule("member-quarantined", quarantined),
    Rule("member-silent", silent),
    Rule("balancer-silent", no_answer),
    Rule("balancer-panic", panic),
)

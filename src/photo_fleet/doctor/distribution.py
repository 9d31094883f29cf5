"""How requests were spread over the instances, as nginx's access log and Prometheus saw it."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from photo_fleet.doctor.counted import counted, more
from photo_fleet.doctor.in_service import in_service_since, ready
from photo_fleet.doctor.looks.access_log import AccessLogLook
from photo_fleet.doctor.looks.edge import EdgeLook
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.spread import Slice, Spread, spread_of

MOST_SLICES = 360


@dataclass(frozen=True, slots=True)
class Distribution:
    """A spread of requests by boot, where it was read, and what shows it. `boots` are those that
    were judged, by their ids."""

    source: str
    command: str
    spread: Spread
    boots: Mapping[str, Boot]


def distributions(seen: Seen) -> list[Distribution]:
    """By each source that saw enough requests. Raises `Unseen` where there is no source, or no
    registry that tells who was in service."""
    registry = seen.need(RegistryLook)
    boots = {boot.boot_id: boot for boot in ready(registry) if _gets_requests(boot, seen)}
    since = {boot.boot_id: in_service_since(boot, registry, seen) for boot in boots.values()}
    found, unseen = list[Distribution](), list[Unseen]()
    for judge in (_by_log, _by_prometheus):
        try:
            slices, source, command = judge(seen, boots, since)
        except Unseen as error:
            unseen.append(error)
            continue
        if spread := spread_of(slices):
            found.append(Distribution(source, command, spread, boots))
    if len(unseen) == 2:
        raise unseen[0 if seen.spec.balancer.kind == "nginx" else 1]
    return found


def _gets_requests(boot: Boot, seen: Seen) -> bool:
    """Whether the nginx of this host sends to it at all: of one that is left out others tell."""
    edge = seen.look(EdgeLook)
    if edge is None or edge.held is None:
        return True
    sent_to = {one.id or one.address for one in edge.held if one.left_out_until is None}
    return bool(sent_to & {boot.boot_id, boot.place})


def _by_log(
    seen: Seen, boots: Mapping[str, Boot], since: Mapping[str, float]
) -> tuple[list[Slice], str, str]:
    log = seen.need(AccessLogLook)
    # With membership by reload nginx knows the address alone.
    known = {boot.place: boot.boot_id for boot in boots.values()} | {boot: boot for boot in boots}
    step = max(1.0, (seen.at - log.since) / MOST_SLICES)
    got: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for request in log.requests:
        if boot := known.get(request.boot or request.upstream):
            got[int((request.at - log.since) // step)][boot] += 1
    slices = [
        Slice(requests, frozenset(boot for boot in boots if since[boot] <= log.since + slot * step))
        for slot, requests in sorted(got.items())
    ]
    return slices, log.file, f"jq -r .instance {log.file} | sort | uniq -c"


def _by_prometheus(
    seen: Seen, boots: Mapping[str, Boot], since: Mapping[str, float]
) -> tuple[list[Slice], str, str]:
    found = counted(seen, boots, since)
    totals, look = found.sums("requests"), found.look
    slices = [
        Slice(
            {boot: more(totals.get(boot, {}), one) for boot in one.serving},
            one.serving,
            one.blurred,
        )
        for one in found.stretches
    ]
    query = 'sum by (instance) (increase(http_requests_total{handler!~".*/health.*"}[1h]))'
    command = f"curl -sS {look.address}/api/v1/query --data-urlencode 'query={query}'"
    return slices, f"Prometheus at {look.address}", command

"""How requests were spread over the instances, as nginx's access log and Prometheus saw it."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from photo_fleet.doctor.in_service import in_service_since, ready
from photo_fleet.doctor.looks.access_log import AccessLogLook
from photo_fleet.doctor.looks.edge import EdgeLook
from photo_fleet.doctor.looks.prometheus import PrometheusLook
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.spread import Slice, Spread, spread_of

MOST_SLICES = 360
LATE_PUSH = 60.0
"""Seconds after which what an instance has pushed stands still."""


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
    look = seen.need(PrometheusLook)
    stale = {
        one.labels.get("instance")
        for one in look.series("pushed")
        if one.values and look.window.end - one.values[-1][1] > LATE_PUSH
    }
    targets = {
        _target(one.labels): one.labels["boot_id"]
        for one in look.series("info")
        if one.labels.get("boot_id") in boots and one.labels.get("instance") not in stale
    }
    totals, serving = (
        {
            targets[_target(one.labels)]: dict(one.values)
            for one in look.series(name)
            if _target(one.labels) in targets
        }
        for name in ("requests", "ready")
    )
    slices = []
    times = sorted({at for values in serving.values() for at in values})
    for before, at in pairwise(times):
        there = frozenset(
            boot
            for boot, values in serving.items()
            if values.get(before) == values.get(at) == 1 and since[boot] <= before
        )
        requests = {boot: _more(totals.get(boot, {}), before, at) for boot in there}
        slices.append(Slice(requests, there))
    query = 'sum by (instance) (increase(http_requests_total{handler!~".*/health.*"}[1h]))'
    command = f"curl -sS {look.address}/api/v1/query --data-urlencode 'query={query}'"
    return slices, f"Prometheus at {look.address}", command


def _more(totals: Mapping[float, float], before: float, at: float) -> float:
    """Requests between two looks at a sum. It begins anew with an instance, and has no series
    before its first request."""
    first, last = totals.get(before, 0.0), totals.get(at, totals.get(before, 0.0))
    return last - first if last >= first else last


def _target(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels.get("job", ""), labels.get("instance", "")

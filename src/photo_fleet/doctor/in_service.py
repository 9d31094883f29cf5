"""Which instances should get requests, and from when on."""

from collections.abc import Iterable

from photo_fleet.balancer.follow import POLL
from photo_fleet.balancer.membership import CANDIDATE_INTERVAL
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.seen import Seen
from photo_fleet.spec.fleet import Fleet


def ready(registry: RegistryLook) -> tuple[Boot, ...]:
    """Boots that the registry calls ready and that serve HTTP. Of two at one address only the later
    one can listen."""
    latest = {
        (boot.node, boot.place): boot
        for boot in sorted(registry.alive, key=lambda boot: boot.started_at)
        if boot.workers
    }
    return tuple(boot for boot in latest.values() if boot.state == "ready")


def admission(fleet: Fleet) -> float:
    """Seconds in which a balancer lets one in that has become ready, at most."""
    check = fleet.health_check
    by_nginx = fleet.balancer.kind == "nginx"
    between = min(CANDIDATE_INTERVAL, check.interval) if by_nginx else check.interval
    return check.healthy * between + check.timeout + POLL


def in_service_since(boot: Boot, registry: RegistryLook, seen: Seen) -> float:
    """When all balancers had let it in, by this host's clock. Behind a cloud's balancer, which may
    work on connections, those that were idle when it came have ended by then as well."""
    fleet = seen.spec
    connections = fleet.service.keep_alive if fleet.balancer.kind == "cloud" else 0.0
    became_ready = seen.at - (registry.now - boot.changed_at)
    return became_ready + admission(fleet) + connections


def names(boots: Iterable[Boot]) -> tuple[str, ...]:
    """What people call them, each once."""
    return tuple(dict.fromkeys(boot.instance for boot in boots))

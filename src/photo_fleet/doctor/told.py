"""What instances told about themselves and about the fleet, as several rules need it."""

from collections.abc import Iterable, Iterator

from photo_fleet.doctor.looks.exposition import Metrics
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook, Told
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import span
from photo_fleet.render.alerts import OLDEST_NUMBERS

COUNTED = "photo_api_fleet_counted_timestamp_seconds"
LISTED = 5
"""Names in a sentence, of which there may be hundreds."""


def ready_servers(seen: Seen) -> tuple[Server, ...]:
    """Those that the registry calls ready. Raises `Unseen` when there is none."""
    found = tuple(one for one in seen.need(ServersLook).servers if one.boot.state == "ready")
    if not found:
        raise Unseen("no instance is ready", "photo-fleet doctor --only restarts")
    return found


def configurations(seen: Seen) -> Iterator[tuple[Server, Told]]:
    """Ready instances with what they tell operators. Raises `Unseen` before the first when none
    told it, and after the last unless all did."""
    ready, silent = ready_servers(seen), []
    for server in ready:
        if server.config is None:
            silent.append(server)
        else:
            yield server, server.config
    if silent:
        why = next(
            (one.problem for one in silent if one.problem), "not with their operator's token"
        )
        raise Unseen(f"{names(silent)} told no configuration: {why}", as_operator(silent[0], ""))
    if left_out := seen.need(ServersLook).left_out:
        raise Unseen(f"{left_out} more instances were not asked", "photo-fleet doctor -v")


def fleet_numbers(seen: Seen) -> Metrics:
    """The metrics of the instance that tells the fleet's latest numbers. Raises `Unseen` without
    any, and when they are too old."""
    told = [one.metrics for one in ready_servers(seen) if one.metrics is not None]
    counted = [(at, one) for one in told if (at := one.value(COUNTED)) is not None]
    if not counted:
        why = f"no {COUNTED} in it" if told else "no instance told its metrics"
        raise Unseen(f"/metrics: {why}", _metrics_of(seen))
    at, latest = max(counted, key=lambda pair: pair[0])
    age = seen.need(RegistryLook).now - at
    if age > OLDEST_NUMBERS:
        raise Unseen(f"/metrics: the fleet's numbers are {span(age)} old", _metrics_of(seen))
    return latest


def number(metrics: Metrics, name: str) -> float:
    """One of the fleet's numbers. Raises `Unseen` when the release does not tell it."""
    value = metrics.value(name)
    if value is None:
        raise Unseen(f"/metrics: no instance tells {name}", "photo-fleet status")
    return value


def names(servers: Iterable[Server]) -> str:
    """Some of them, in words."""
    found = sorted({one.boot.instance for one in servers})
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return ", ".join(found[:LISTED]) + more


def instances(servers: Iterable[Server]) -> tuple[str, ...]:
    """The names of all of them."""
    return tuple(sorted({one.boot.instance for one in servers}))


def as_operator(server: Server, part: str) -> str:
    """The command that shows a part of what it tells operators."""
    return (
        'curl -sS -H "Authorization: Bearer $PHOTO_API_OPS_TOKEN"'
        f" http://{server.boot.place}/health/detailed | jq .config{part}"
    )


def metric(server: Server, name: str) -> str:
    """The command that shows a metric of it."""
    return f"curl -sS http://{server.boot.place}/metrics | grep {name}"


def _metrics_of(seen: Seen) -> str:
    return metric(ready_servers(seen)[0], "photo_api_fleet")

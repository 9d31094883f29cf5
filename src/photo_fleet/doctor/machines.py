"""Rules about what instances of one group can do, each."""

import statistics
from collections.abc import Iterator, Mapping, Sequence

from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.in_service import names, ready
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import listed
from photo_fleet.spec.kinds import is_number

LESS = 0.8
"""Of the usual: a machine with so much memory is another one."""
SLOWER = 2.0
"""Times the usual processor time of a request."""
LEAST_REQUESTS, LEAST_RATE = 1000.0, 2.0
"""Fewer, or fewer a second since the start, than these: then what an instance does without any
request counts, too."""
WITH_TOKEN = "PHOTO_API_OPS_TOKEN_FILE=… photo-fleet doctor"  # noqa: S105  (a command)
CPU, REQUESTS = "photo_api_cpu_seconds_total", "http_requests_total"

Numbers = Mapping[str, float]
"""By boot."""


def uneven(seen: Seen) -> Iterator[Finding]:
    """Workers, processors, memory or the processor time of a request differ within a release."""
    registry, servers = seen.need(RegistryLook), seen.need(ServersLook).servers
    boots = {boot.boot_id: boot for boot in _of_one_release(ready(registry))}
    asked = {one.boot.boot_id: one for one in servers if one.boot.boot_id in boots}
    processors = _configured(asked, "processors")
    told, odd = [], dict[str, Boot]()
    for what, numbers, differs in (
        ("web workers (registry)", _workers(boots), _other),
        ("processors (/health/detailed)", processors, _other),
        ("bytes of memory (/health/detailed)", _configured(asked, "memory_bytes"), _less),
        ("ms of processor time a request (/metrics)", _milliseconds(asked, registry), _slower),
    ):
        if len(numbers) < 2:
            continue
        usual = statistics.median_low(numbers.values())
        different = {boot: number for boot, number in numbers.items() if differs(number, usual)}
        if different:
            odd |= {boot: boots[boot] for boot in different}
            shown = ", ".join(
                f"{boots[boot].instance} {number:,.4g}" for boot, number in different.items()
            )
            told.append(f"{what}: {shown}; usual {usual:,.4g}")
    if told:
        yield Finding(
            "warning",
            "machines-uneven",
            "; ".join(told),
            'curl -sS -H "Authorization: Bearer $PHOTO_API_OPS_TOKEN"'
            f" http://{next(iter(odd.values())).place}/health/detailed",
            "give all machines of the group one size (the launch template's type, the number of"
            " workers); equal shares of requests overload the weakest first",
            names(odd.values()),
        )
    unasked = [boot for boot in boots.values() if boot.boot_id not in processors]
    if len(boots) > 1 and unasked:
        raise Unseen(f"{listed(names(unasked))} told no processors and memory", WITH_TOKEN)


def _of_one_release(boots: Sequence[Boot]) -> list[Boot]:
    """Those of the release that most have: in a deploy the next one may have other workers."""
    releases = [boot.version for boot in boots]
    return [boot for boot in boots if boot.version == statistics.mode(releases)]


def _workers(boots: Mapping[str, Boot]) -> Numbers:
    return {boot_id: float(boot.workers) for boot_id, boot in boots.items()}


def _configured(servers: Mapping[str, Server], name: str) -> Numbers:
    told = {boot_id: (one.config or {}).get(name) for boot_id, one in servers.items()}
    return {boot_id: float(value) for boot_id, value in told.items() if is_number(value)}


def _milliseconds(servers: Mapping[str, Server], registry: RegistryLook) -> Numbers:
    found = {}
    for boot_id, server in servers.items():
        metrics, age = server.metrics, registry.now - server.boot.started_at
        if metrics is None or age <= 0:
            continue
        spent = metrics.value(CPU, process="web") or 0.0
        requests = sum(
            number
            for labels, number in metrics.samples(REQUESTS)
            if "/health" not in labels.get("handler", "")
        )
        if requests >= LEAST_REQUESTS and requests / age >= LEAST_RATE and spent:
            found[boot_id] = 1000 * spent / requests
    return found


def _other(number: float, usual: float) -> bool:
    return number != usual


def _less(number: float, usual: float) -> bool:
    return not LESS <= number / usual <= 1 / LESS


def _slower(number: float, usual: float) -> bool:
    return number / usual >= SLOWER


RULES = (Rule("machines-uneven", uneven),)

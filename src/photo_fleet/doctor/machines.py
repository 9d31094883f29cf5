"""Rules about what instances of one group can do, each."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.in_service import names, ready
from photo_fleet.doctor.looking import Rule
from photo_fleet.doctor.looks.access_log import AccessLogLook
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.looks.servers import Server, ServersLook
from photo_fleet.doctor.machine_speed import (
    Numbers,
    Pairs,
    late,
    processor_time_at_once,
    processor_time_since_starts,
)
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.words import listed
from photo_fleet.spec.kinds import is_number

LESS = 0.8
"""Of the usual: a machine with so much memory is another one."""
SLOWER = 2.0
"""Times the usual processor time of a request."""
WITH_TOKEN = "PHOTO_API_OPS_TOKEN_FILE=… photo-fleet doctor"  # noqa: S105  (a command)


def uneven(seen: Seen) -> Iterator[Finding]:
    """Workers, processors, memory, the processor time of a request or the wait for an answer differ
    within a release."""
    registry, servers = seen.need(RegistryLook), seen.need(ServersLook).servers
    boots = {boot.boot_id: boot for boot in _of_one_release(ready(registry))}
    asked = {one.boot.boot_id: one for one in servers if one.boot.boot_id in boots}
    processors = _configured(asked, "processors")
    told, odd = [], dict[str, Boot]()
    for what, different in (
        ("web workers (registry)", _different(_workers(boots), _other)),
        ("processors (/health/detailed)", _different(processors, _other)),
        (
            "bytes of memory (/health/detailed)",
            _different(_configured(asked, "memory_bytes"), _less),
        ),
        _costly(seen, boots, asked),
        _late(seen, boots),
    ):
        if different:
            odd |= {boot: boots[boot] for boot in different}
            shown = ", ".join(
                f"{boots[boot].instance} {number:,.4g}" for boot, (number, _) in different.items()
            )
            told.append(
                f"{what}: {shown}; usual {min(usual for _, usual in different.values()):,.4g}"
            )
    if told:
        yield Finding(
            "warning",
            "machines-uneven",
            "; ".join(told),
            'curl -sS -H "Authorization: Bearer $PHOTO_API_OPS_TOKEN"'
            f" http://{next(iter(odd.values())).place}/health/detailed",
            "give all machines of the group one size (the launch template's type, the number of"
            " workers) and a processor of their own (steal in top, credits of the cloud); equal"
            " shares of requests overload the weakest first",
            names(odd.values()),
        )
    unasked = [boot for boot in boots.values() if boot.boot_id not in processors]
    if len(boots) > 1 and unasked:
        raise Unseen(f"{listed(names(unasked))} told no processors and memory", WITH_TOKEN)


def _costly(
    seen: Seen, boots: Mapping[str, Boot], servers: Mapping[str, Server]
) -> tuple[str, Pairs]:
    """Milliseconds."""
    try:
        source, pairs = "Prometheus", processor_time_at_once(seen, boots)
        found = {boot: pair for boot, pair in pairs.items() if _slower(*pair)}
    except Unseen:
        source = "/metrics"
        numbers = processor_time_since_starts(servers, seen.need(RegistryLook))
        found = dict(_different(numbers, _slower))
    return f"ms of processor time a request ({source})", _milliseconds(found)


def _late(seen: Seen, boots: Mapping[str, Boot]) -> tuple[str, Pairs]:
    """Milliseconds; none without nginx's log."""
    log = seen.look(AccessLogLook)
    if log is None:
        return "", {}
    return f"ms until the answer to a read, median ({log.file})", _milliseconds(
        late(seen, boots, log)
    )


def _different(numbers: Numbers, differs: Callable[[float, float], bool]) -> Pairs:
    if len(numbers) < 2:
        return {}
    usual = statistics.median_low(numbers.values())
    return {boot: (number, usual) for boot, number in numbers.items() if differs(number, usual)}


def _milliseconds(seconds: Pairs) -> Pairs:
    return {boot: (1000 * number, 1000 * usual) for boot, (number, usual) in seconds.items()}


def _of_one_release(boots: Sequence[Boot]) -> list[Boot]:
    """Those of the release that most have: in a deploy the next one may have other workers."""
    releases = [boot.version for boot in boots]
    return [boot for boot in boots if boot.version == statistics.mode(releases)]


def _workers(boots: Mapping[str, Boot]) -> Numbers:
    return {boot_id: float(boot.workers) for boot_id, boot in boots.items()}


def _configured(servers: Mapping[str, Server], name: str) -> Numbers:
    told = {boot_id: (one.config or {}).get(name) for boot_id, one in servers.items()}
    return {boot_id: float(value) for boot_id, value in told.items() if is_number(value)}


def _other(number: float, usual: float) -> bool:
    return number != usual


def _less(number: float, usual: float) -> bool:
    return not LESS <= number / usual <= 1 / LESS


def _slower(number: float, usual: float) -> bool:
    return number >= SLOWER * usual > 0


RULES = (Rule("machines-uneven", uneven),)

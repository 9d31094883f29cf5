"""How fast machines of one group are, each: what a request costs, and how long it is waited for."""

import statistics
from collections import defaultdict
from collections.abc import Mapping

from photo_fleet.doctor.counted import counted, more
from photo_fleet.doctor.in_service import in_service_since
from photo_fleet.doctor.looks.access_log import AccessLogLook
from photo_fleet.doctor.looks.registry import Boot, RegistryLook
from photo_fleet.doctor.looks.servers import Server
from photo_fleet.doctor.seen import Seen

LEAST_REQUESTS, LEAST_RATE = 1000.0, 2.0
"""Fewer, or fewer a second, than these: then what an instance does without any request counts,
too."""
LEAST_SPENT = 10.0
"""Seconds of processor time since the start, of which the start itself takes few."""
CPU, REQUESTS = "photo_api_cpu_seconds_total", "http_requests_total"

LATER, LEAST_LATER = 3.0, 0.02
"""Times the usual wait for an answer, and seconds more than that."""
LEAST_READS, LASTING = 100, 30.0
"""Reads of each, and seconds that they take: less is a hiccup."""

Numbers = Mapping[str, float]
"""By boot."""
Pairs = Mapping[str, tuple[float, float]]
"""By boot: its own number, and the usual one."""
Reads = Mapping[str, list[tuple[float, float]]]
"""By boot, in order of time: when each ended, and the seconds that it was waited for."""


def processor_time_at_once(seen: Seen, boots: Mapping[str, Boot]) -> Pairs:
    """Seconds of processor time of a request, by Prometheus. In each stretch an instance is held
    against those that served in it as well: one that came late did not see the quiet hours. Raises
    `Unseen` without Prometheus."""
    registry = seen.need(RegistryLook)
    since = {name: in_service_since(boot, registry, seen) for name, boot in boots.items()}
    found = counted(seen, boots, since)
    requests, processor = found.sums("requests"), found.sums("processor")
    parts: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
    for one in found.stretches:
        asked = {name: more(requests.get(name, {}), one) for name in one.serving}
        busy = {name: n for name, n in asked.items() if n / (one.at - one.before) >= LEAST_RATE}
        spent = {name: more(processor.get(name, {}), one) for name in busy}
        if len(busy) > 1:
            usual = statistics.median_low(spent[name] / busy[name] for name in busy)
            for name, number in busy.items():
                parts[name].append((number, spent[name], usual * number))
    sums = {name: [sum(column) for column in zip(*own, strict=True)] for name, own in parts.items()}
    return {
        name: (spent / number, usual / number)
        for name, (number, spent, usual) in sums.items()
        if number >= LEAST_REQUESTS
    }


def processor_time_since_starts(servers: Mapping[str, Server], registry: RegistryLook) -> Numbers:
    """The same, by what each tells of all its time."""
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
        enough = requests >= LEAST_REQUESTS and requests / age >= LEAST_RATE
        if enough and spent >= LEAST_SPENT:
            found[boot_id] = spent / requests
    return found


def late(seen: Seen, boots: Mapping[str, Boot], log: AccessLogLook) -> Pairs:
    """Those whose answers to reads nginx waited for far longer, all of the latest time in which
    everybody had enough: the median of seconds. A machine whose processor others take away spends
    no more of it on a request."""
    registry = seen.need(RegistryLook)
    since = max((in_service_since(boot, registry, seen) for boot in boots.values()), default=0.0)
    reads = _reads(log, boots, since)
    if len(boots) < 2 or any(len(reads[name]) < LEAST_READS for name in boots):
        return {}
    end = max(own[-1][0] for own in reads.values())
    begin = min(end - LASTING, *(own[-LEAST_READS][0] for own in reads.values()))
    middle = (begin + end) / 2
    spans = [_medians(reads, *span) for span in ((begin, end), (begin, middle), (middle, end))]
    if begin < since or any(len(medians) < len(boots) for medians in spans):
        return {}
    usual = [statistics.median_low(medians.values()) for medians in spans]
    return {
        name: (spans[0][name], usual[0])
        for name in boots
        if all(_is_late(own[name], others) for own, others in zip(spans, usual, strict=True))
    }


def _reads(log: AccessLogLook, boots: Mapping[str, Boot], since: float) -> Reads:
    known = {boot.place: name for name, boot in boots.items()} | {name: name for name in boots}
    reads: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in log.requests:
        boot = known.get(one.boot or one.upstream)
        first_try = one.method == "GET" and one.tries == 1 and one.waited is not None
        if boot and first_try and one.at >= since:
            reads[boot].append((one.at, one.waited or 0.0))
    return reads


def _medians(reads: Reads, begin: float, end: float) -> Numbers:
    """Of those that had enough in half of the time."""
    within = {name: [took for at, took in own if begin <= at <= end] for name, own in reads.items()}
    return {
        name: statistics.median(own) for name, own in within.items() if len(own) >= LEAST_READS / 4
    }


def _is_late(waited: float, usual: float) -> bool:
    return waited >= LATER * usual and waited >= usual + LEAST_LATER

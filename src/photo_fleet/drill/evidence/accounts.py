"""Which parts had each request, and whether all of them recorded the same. Pure.

A client's answer names the instance that gave it. Of a request without such an answer nginx's log
tells to which instance it was sent; where that has no line either, it never got that far, or the
worker of nginx that had it died."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from photo_fleet.drill.evidence.logs import Execution, Logs, Passage
from photo_fleet.drill.ledger import DELETION
from photo_fleet.drill.records import Fault, Outcome, Request

LOG_TAIL = 2.0
"""Seconds around an instance's end of which its log may be missing: lines gather for 0.1 s, on a
busy machine more, and a signal takes its time there too."""

DEATHS = (
    "kill-instance", "kill-worker", "vanish-instance", "freeze-instance", "kill-draining-worker",
)  # fmt: skip
"""Faults at whose instance a process may end by SIGKILL, with what it had not written yet."""


def attributed(requests: Iterable[Request], logs: Logs) -> tuple[Request, ...]:
    """The requests with what nginx knows of them: that it had them to their end, to which instance
    it sent them last and how many took them. A deletion that finds nothing is well only when an
    earlier try of it, nginx's or its client's, came to an instance that may have carried it out."""
    lines = {item.request_id: item for item in logs.passages}
    arrived = {item.request_id for item in logs.passages if any(item.reached)}
    arrived |= {item.request_id for item in logs.executions}
    return tuple(_attributed(item, lines.get(item.id), arrived) for item in requests)


def _attributed(request: Request, line: Passage | None, arrived: Collection[str]) -> Request:
    earlier = request.repeats in arrived
    if line is None:
        request = replace(request, tries=int(request.id in arrived))
    else:
        instance = request.instance
        if instance is None and request.target == "api" and line.upstreams:
            instance = _host(line.upstreams[-1])
        request = replace(request, instance=instance, logged=True, tries=sum(line.reached))
        earlier = earlier or any(line.reached[:-1])
    if request.kind != DELETION or request.status != 404 or not is_answered(request):
        return request
    if earlier:
        return replace(request, outcome=Outcome.OK, detail="404, and an earlier try had arrived")
    return replace(request, outcome=Outcome.FAILED, detail="404, and no earlier try had arrived")


def unaccounted(
    requests: Sequence[Request], logs: Logs, faults: Sequence[Fault]
) -> tuple[str, ...]:
    """On which requests the client's ledger, nginx's log and the instances' logs disagree. Times of
    the faults are the requests'."""
    return (
        *_between_client_and_nginx(requests, logs.passages),
        *_between_nginx_and_instances(requests, logs.executions, faults),
    )


def _between_client_and_nginx(
    requests: Iterable[Request], passages: Iterable[Passage]
) -> Iterator[str]:
    """What a client has a whole answer to nginx has one line of, with that status."""
    lines: dict[str, list[int]] = defaultdict(list)
    for passage in passages:
        lines[passage.request_id].append(passage.status)
    for item in requests:
        seen = lines.get(item.id, [])
        if len(seen) > 1:
            yield f"{item.kind} {item.id} was sent once and passed nginx {len(seen)} times"
        elif is_answered(item) and not seen:
            yield f"{item.kind} {item.id} was answered by {item.status}, and nginx knows nothing"
        elif is_answered(item) and seen != [item.status]:
            yield f"{item.kind} {item.id}: its client saw {item.status}, nginx sent {seen[0]}"


def _between_nginx_and_instances(
    requests: Iterable[Request], executions: Iterable[Execution], faults: Sequence[Fault]
) -> Iterator[str]:
    """What an instance answered, by nginx's log, is in its own, unless that died with it."""
    ours = {item.id: item for item in requests if item.target == "api"}
    by_log: Mapping[str, Counter[tuple[str, str, int]]] = defaultdict(Counter)
    for item in executions:
        if item.request_id in ours:
            by_log[item.source][item.request_id, _host(item.instance), item.status] += 1
    for (request_id, instance, status), times in by_log["nginx"].items():
        written = by_log["server"][request_id, instance, status]
        request = ours[request_id]
        if written < times and not _died_with(faults, instance, request):
            yield f"{request.kind} {request_id}: {instance} answered {status}, and wrote nothing"


def is_answered(request: Request) -> bool:
    """Its client has a whole answer, whatever it says."""
    return request.status is not None and request.outcome not in (Outcome.CUT, Outcome.LOST)


def _died_with(faults: Iterable[Fault], instance: str, request: Request) -> bool:
    """Whether it was under way within `LOG_TAIL` of the moment from which the instance wrote no
    more. A later instance at its address logs what that one answers."""
    return any(
        fault.name in DEATHS
        and fault.instance == instance
        and request.ended >= fault.began - LOG_TAIL
        and request.sent <= fault.began + LOG_TAIL
        for fault in faults
    )


def _host(address: str) -> str:
    return address.rpartition(":")[0] or address

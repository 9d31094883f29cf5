"""What can be said of numbers: bounds of rare events, percentiles, and what was when.

Pure. Times and latencies are in seconds.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from photo_fleet.drill.records import Outcome, Record, Request

CONFIDENCE = 0.95
AFTERMATH = 5.0
"""For so long after a fault its effects count as its own: a kill is over at once, its effects are
not."""

SLOW_KIND = "slow"
"""Kinds that begin with this take long because their clients do; their latency says nothing."""

_HALVINGS = 60


class Ending(Enum):
    """How requests are counted: their outcome, but a refusal that the load itself provoked (a 4xx
    that names the client's own mistake) is one of its own."""

    OK = "ok"
    PROVOKED = "provoked"
    REFUSED = "refused"
    FAILED = "failed"
    CUT = "cut"
    LOST = "lost"


class Phase(Enum):
    """When a request was under way, as seen from the faults of its run."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of one phase; None without any request."""

    phase: Phase
    count: int
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened in the `width` seconds from `at` on: requests that ended then, by ending, and
    the latency of those answered by the service."""

    at: float
    width: float
    endings: dict[Ending, int]
    p50: float | None
    p99: float | None


def upper_bound(events: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """The share of events that is not exceeded with this confidence, when `events` of `trials` were
    seen: the one-sided bound of Clopper and Pearson (Biometrika 26, 1934), which for no event is
    about 3/n at 95 % and told as just that (Hanley and Lippman-Hand, JAMA 249, 1983). 1 when
    nothing was tried. Raises ValueError for counts that cannot be."""
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events in {trials} trials")
    if events == trials:
        return 1.0
    if events == 0 and confidence == CONFIDENCE:
        return min(3 / trials, 1.0)
    low, high = events / trials, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _at_most(events, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(events: int, trials: int, share: float) -> float:
    """The probability of at most so many events, for a `share` of at least events/trials: terms
    get smaller downwards, so that the sum can stop early."""
    if share >= 1.0:
        return 0.0
    term = math.exp(
        math.lgamma(trials + 1)
        - math.lgamma(events + 1)
        - math.lgamma(trials - events + 1)
        + events * math.log(share)
        + (trials - events) * math.log1p(-share)
    )
    total = term
    for count in range(events, 0, -1):
        term *= count * (1 - share) / ((trials - count + 1) * share)
        total += term
        if term < total * 1e-17:
            break
    return total


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least this share of all does not exceed (nearest rank), so always
    one that occurred. None without values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def ending(request: Request) -> Ending:
    """How it counts."""
    return Ending.PROVOKED if provoked(request) else Ending(request.outcome.value)


def provoked(request: Request) -> bool:
    """Whether it was refused for what the client itself asked. 408 and 429 are not: they tell of a
    service that does not keep up with a load it should carry."""
    status = request.status or 0
    return request.outcome is Outcome.REFUSED and 400 <= status < 500 and status not in (408, 429)


def unserved(request: Request) -> bool:
    """Whether its client went without what it may expect."""
    return request.outcome is not Outcome.OK and not provoked(request)


def phase(record: Record, request: Request) -> Phase:
    """The faults of a run and what lies between them are one phase; to it belongs whatever was due
    or under way in it, so that what a fault delays does not count as slow before it."""
    if not record.faults or request.ended < min(fault.began for fault in record.faults):
        return Phase.BEFORE
    end = max(fault.ended for fault in record.faults) + AFTERMATH
    return Phase.DURING if request.due <= end else Phase.AFTER


def latencies(record: Record) -> tuple[Latencies, ...]:
    """By phase: of what the service answered, refusals included, counted from when it was due."""
    found: dict[Phase, list[float]] = {name: [] for name in Phase}
    for request in record.requests:
        if _measurable(request):
            found[phase(record, request)].append(request.latency)
    return tuple(
        Latencies(name, len(values), percentile(values, 0.5), percentile(values, 0.99))
        for name, values in found.items()
    )


def _measurable(request: Request) -> bool:
    answered = request.outcome in (Outcome.OK, Outcome.REFUSED)
    return answered and request.target == "api" and not request.kind.startswith(SLOW_KIND)


def recovery(record: Record) -> float | None:
    """Seconds from the end of the last fault until the service served again: until the last request
    that went unserved was sent, and one was served. None when some kind of request never was; 0
    when none was sent."""
    if never_served_again(record):
        return None
    over, later = _over(record), _since_faults(record)
    late = [request.sent for request in later if unserved(request)]
    served = [request.ended for request in later if not unserved(request)]
    return max([*late, min(served, default=over)]) - over


def never_served_again(record: Record) -> list[str]:
    """Kinds of requests to the service that were sent after the last fault, and none was served."""
    later = _since_faults(record)
    served = {request.kind for request in later if not unserved(request)}
    return sorted({request.kind for request in later} - served)


def _since_faults(record: Record) -> list[Request]:
    over = _over(record)
    return [item for item in record.requests if item.target == "api" and item.sent >= over]


def _over(record: Record) -> float:
    return max((fault.ended for fault in record.faults), default=0.0)


def intervals(record: Record, most: int = 240) -> tuple[Interval, ...]:
    """The whole run in equal pieces of whole seconds, of which there are at most so many."""
    end = duration(record)
    width = max(math.ceil(end / most), 1)
    pieces: list[list[Request]] = [[] for _ in range(int(end // width) + 1)]
    for request in record.requests:
        pieces[int(max(request.ended, 0.0) // width)].append(request)
    return tuple(_interval(number * width, width, piece) for number, piece in enumerate(pieces))


def _interval(at: float, width: float, requests: Sequence[Request]) -> Interval:
    values = [request.latency for request in requests if _measurable(request)]
    endings = dict(Counter(ending(request) for request in requests))
    return Interval(at, width, endings, percentile(values, 0.5), percentile(values, 0.99))


def duration(record: Record) -> float:
    """Until the last of what is written down."""
    moments = [request.ended for request in record.requests]
    moments += [fault.ended for fault in record.faults]
    moments += [sample.at for sample in record.samples]
    return max(moments, default=0.0)

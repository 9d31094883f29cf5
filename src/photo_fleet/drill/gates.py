"""What a scenario's run must hold: each gate is a pure function from a record to its violations.

A request is *unserved* when it was refused, failed, cut or lost; a 4xx that the load itself
provoked is none of these. What a fault may excuse, a gate says by time, by the instance that had
the request (its answer names it, or nginx's log does), and by whether nginx lived to write of it.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from photo_base.log_lines import printable
from photo_fleet.drill.records import Fault, Outcome, Record, Request
from photo_fleet.drill.statistics import Ending, ending, never_served_again, recovery, unserved

MOMENT = 0.5
"""Seconds that a signal and its effects may take on a busy machine: what was sent so shortly after
a kill can have reached the one that was killed."""

RECOVERY = 30.0
"""Seconds after an outage in which refusals may be its consequence."""

RECOVERED_WITHIN = 10.0
"""Seconds after an outage until which everything is served again: breakers ask every second, and
clients wait out a Retry-After."""

MOST_REFUSED = 1 / 3
"""Of the requests that were sent within `RECOVERY` after an outage."""

EXAMPLES = 5
READS = frozenset({"GET", "HEAD"})
STORE_FAULT = "store-"
"""With this begin the names of faults of the object store."""


class Gate(Enum):
    """What a scenario is held to."""

    LOSSLESS = "lossless"
    KILL = "kill"
    PROXY_KILL = "proxy-kill"
    PAUSE = "pause"
    FREEZE = "freeze"
    OUTAGE = "outage"
    FAILOVER = "failover"
    EDGE = "edge"
    COMPARISON = "comparison"


@dataclass(frozen=True, slots=True)
class Violation:
    """What a gate forbids and how often it happened, with words for some of these. `rule` is one
    of `MEANINGS`."""

    rule: str
    count: int
    examples: tuple[str, ...]


MEANINGS = {
    "no-evidence": "nothing was sent, or nothing was done to the fleet",
    "refused": "turned away although the fleet should carry the load",
    "failed": "answered by 5xx or wrongly, or the connection broke",
    "cut": "the answer broke off",
    "lost": "never answered",
    "duplicate": "took effect twice",
    "ghost": "a photo without its file, or a file without photo that the sweep left",
    "acknowledged-loss": "acknowledged to its client, and gone or changed",
    "half-done": "neither wholly done nor wholly undone",
    "unkept": "a part broke a promise of the operator's guide, as the drill saw",
    "unaccounted": "client, nginx and instance tell different things of it",
    "false-receipt": "an instance that ended left no receipt, or one that is not true",
    "read-failed": "a GET or HEAD whose answer had not begun was not served",
    "cut-elsewhere": "cut without being in flight at the instance that was hit",
    "write-failed-elsewhere": "not served without being in flight at the instance that was hit",
    "elsewhere": "not served although the fault cannot have touched it",
    "store-failed": "a request to the object store, which was not what was down",
    "refused-without-outage": "refused before an outage or long after it",
    "not-recovered": "some kind of request was never served again",
    "recovered-late": "everything was served again, and long after the outage",
    "refused-after": "a large share was refused when the outage was over",
}
"""Every rule, in words."""

LEFT_BEHIND = (
    "acknowledged by a database that is gone, and the one in its place had received nothing any"
    " more; and files of photos of which it does not know"
)
"""No violation of the gate `failover`, and told."""

Rules = Callable[[Record], list[Violation]]


def violations(gate: Gate, record: Record) -> list[Violation]:
    """What the record has that the gate forbids; empty when it holds."""
    return GATES[gate](record)


def lossless(record: Record) -> list[Violation]:
    """Nothing may go wrong for anyone."""
    return [*_always(record), *_by_ending(record.requests)]


def kill(record: Record) -> list[Violation]:
    """An instance or a worker died at once: what was in flight there may be cut, and writes may
    fail; a read that had no answer yet is sent to another one."""
    wrong = [item for item in record.requests if unserved(item)]
    reads = [item for item in wrong if item.method in READS and item.outcome is not Outcome.CUT]
    stray = [
        item
        for item in wrong
        if (item.method not in READS or item.outcome is Outcome.CUT)
        and not _in_flight_at(record.faults, item)
    ]
    return [
        *_always(record),
        *_found("read-failed", reads),
        *_found("cut-elsewhere", [item for item in stray if item.outcome is Outcome.CUT]),
        *_found(
            "write-failed-elsewhere", [item for item in stray if item.outcome is not Outcome.CUT]
        ),
    ]


def proxy_kill(record: Record) -> list[Violation]:
    """A worker of nginx died at once: what was open on its connections then may fail, to whomever
    it went. The others wrote of what they had."""
    return _only(
        record, lambda item: not item.logged and _overlaps(record.faults, item, _moment_after)
    )


def pause(record: Record) -> list[Violation]:
    """A balancer took no new connections for a while: what was sent meanwhile and never reached it
    may fail."""
    return _only(
        record,
        lambda item: not item.logged and _overlaps(record.faults, item, lambda fault: fault.ended),
    )


def freeze(record: Record) -> list[Violation]:
    """An instance stood still: what was sent to it until it had left the members may fail."""
    return _only(record, lambda item: _at_frozen(record.faults, item))


def outage(record: Record) -> list[Violation]:
    """Something that all need was away: the service refuses, cleanly, and comes back by itself.
    Requests to a store that is itself down are nobody's fault."""
    store_is_down = any(fault.name.startswith(STORE_FAULT) for fault in record.faults)
    return _outage(record, lambda _: store_is_down)


def edge(record: Record) -> list[Violation]:
    """As an outage, of the store too: what its edge has not cannot be served for as long. What it
    has is served, which the fault itself asks for, byte by byte."""
    return _outage(record, lambda item: _overlaps(record.faults, item, lambda fault: fault.ended))


def _outage(record: Record, is_excused: Callable[[Request], bool]) -> list[Violation]:
    """`is_excused` is asked of what the store did not serve."""
    to_api = [item for item in record.requests if item.target == "api"]
    to_store = [item for item in record.requests if item.target != "api" and unserved(item)]
    return [
        *_always(record),
        *_by_ending([item for item in to_api if ending(item) is not Ending.REFUSED]),
        *_found("refused-without-outage", _refused_without(record.faults, to_api)),
        *_found("store-failed", [item for item in to_store if not is_excused(item)]),
        *_not_recovered(record),
        *_refused_after(record.faults, to_api),
    ]


def failover(record: Record) -> list[Violation]:
    """As an outage, with a database afterwards that had not received all: what was acknowledged
    in that gap may be gone, and clients that ask for it get a 4xx. That is counted and
    reported."""
    since = min((item.behind for item in record.faults if item.behind is not None), default=None)
    to_api = [item for item in record.requests if item.target == "api"]
    wrong = [item for item in to_api if not (since is not None and _is_denied(item, since))]
    return [
        *_always(record),
        *_by_ending([item for item in wrong if ending(item) is not Ending.REFUSED]),
        *_found("refused-without-outage", _refused_without(record.faults, wrong)),
        *_refused_after(record.faults, to_api),
    ]


def comparison(record: Record) -> list[Violation]:
    """Reported beside another scenario: requests may end as they like, and what was acknowledged
    stays true."""
    return _effects(record)


GATES: dict[Gate, Rules] = {
    Gate.LOSSLESS: lossless,
    Gate.KILL: kill,
    Gate.PROXY_KILL: proxy_kill,
    Gate.PAUSE: pause,
    Gate.FREEZE: freeze,
    Gate.OUTAGE: outage,
    Gate.FAILOVER: failover,
    Gate.EDGE: edge,
    Gate.COMPARISON: comparison,
}


def _always(record: Record) -> list[Violation]:
    """What no fault excuses; and a run in which nothing happened proves nothing."""
    missing = [
        words
        for words, there in (("no request", record.requests), ("no fault", record.faults))
        if not there
    ]
    return [
        *_named("no-evidence", missing),
        *_effects(record),
        *_named("half-done", record.discrepancies.half_done),
        *_named("unaccounted", record.discrepancies.unaccounted),
        *_named("false-receipt", record.discrepancies.false_receipts),
        *_named("unkept", [words for fault in record.faults for words in fault.unkept]),
    ]


def _effects(record: Record) -> list[Violation]:
    found = record.discrepancies
    return [
        *_named("duplicate", found.duplicates),
        *_named("ghost", found.ghosts),
        *_named("acknowledged-loss", found.acknowledged_lost),
    ]


def _by_ending(requests: Sequence[Request]) -> list[Violation]:
    """One rule for each way of not being served."""
    return [
        violation
        for way in (Ending.REFUSED, Ending.FAILED, Ending.CUT, Ending.LOST)
        for violation in _found(way.value, [item for item in requests if ending(item) is way])
    ]


def _only(record: Record, excused: Callable[[Request], bool]) -> list[Violation]:
    """Nobody else may go unserved."""
    stray = [item for item in record.requests if unserved(item) and not excused(item)]
    return [*_always(record), *_found("elsewhere", stray)]


def _in_flight_at(faults: Iterable[Fault], request: Request) -> bool:
    return request.target == "api" and _overlaps(_of_instance(faults, request), request)


def _at_frozen(faults: Iterable[Fault], request: Request) -> bool:
    return request.target == "api" and _overlaps(
        _of_instance(faults, request), request, _when_out_of_reach
    )


def _of_instance(faults: Iterable[Fault], request: Request) -> list[Fault]:
    return [fault for fault in faults if request.instance == fault.instance is not None]


def _moment_after(fault: Fault) -> float:
    return fault.began


def _when_out_of_reach(fault: Fault) -> float:
    return fault.ended if fault.left is None else fault.left


def _overlaps(
    faults: Iterable[Fault], request: Request, until: Callable[[Fault], float] = _moment_after
) -> bool:
    """Whether it was under way at some time from a fault's beginning until then."""
    return any(
        request.sent <= until(fault) + MOMENT and request.ended >= fault.began for fault in faults
    )


def _is_denied(request: Request, since: float) -> bool:
    return request.ended >= since and 400 <= (request.status or 0) < 500


def _refused_without(faults: Iterable[Fault], requests: Iterable[Request]) -> list[Request]:
    spans = [(fault.began, fault.ended + RECOVERY) for fault in faults]
    return [
        item
        for item in requests
        if ending(item) is Ending.REFUSED
        and not any(item.ended >= began and item.sent <= over for began, over in spans)
    ]


def _not_recovered(record: Record) -> list[Violation]:
    seconds = recovery(record)
    if seconds is None:
        return _named("not-recovered", never_served_again(record))
    late = seconds > RECOVERED_WITHIN
    return _named("recovered-late", [f"{seconds:.1f} s after the last fault"] if late else [])


def _refused_after(faults: Sequence[Fault], requests: Iterable[Request]) -> list[Violation]:
    over = max((fault.ended for fault in faults), default=0.0)
    later = [item for item in requests if over <= item.sent <= over + RECOVERY]
    refused = [item for item in later if ending(item) is Ending.REFUSED]
    if len(refused) <= MOST_REFUSED * len(later):
        return []
    return _named("refused-after", [f"{len(refused)} of {len(later)} within {RECOVERY:g} s"])


def _found(rule: str, requests: Sequence[Request]) -> list[Violation]:
    return _named(rule, [describe(item) for item in sorted(requests, key=lambda item: item.sent)])


def _named(rule: str, words: Sequence[str]) -> list[Violation]:
    examples = tuple(without_secrets(text) for text in words[:EXAMPLES])
    return [Violation(rule, len(words), examples)] if words else []


def describe(request: Request) -> str:
    """In one line: when, what, where and how it ended."""
    answer = "no answer" if request.status is None else str(request.status)
    where = f" at {request.instance}" if request.instance else ""
    said = f": {request.detail}" if request.detail else ""
    return (
        f"{request.sent:.2f}–{request.ended:.2f} s {request.kind} ({request.method}, "
        f"{request.target}) {request.outcome.value}, {answer}{where}{said} [{request.id}]"
    )


LONGEST_WORDS = 400
SECRETS = (
    (re.compile(r"(?<=://)[^/\s@]+@"), ""),
    (re.compile(r"\?[^\s\"'<>)\]]+"), "?…"),
    (re.compile(r"(?<=/share/)[^/\s?\"'<>)\]]+"), "…"),
    (re.compile(r"(?i)(bearer\s+)[^\s\"',]+"), r"\1…"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "…"),
    (
        re.compile(r"(?i)((?:password|token|secret|signature)[\"']?\s*[:=]\s*[\"']?)[^\s\"',&}]+"),
        r"\1…",
    ),
)


def without_secrets(text: str) -> str:
    """Fit for a log or a report: no queries of URLs, share tokens, passwords or bearer tokens, no
    control characters, not too long."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    text = printable(text)
    return text if len(text) <= LONGEST_WORDS else text[: LONGEST_WORDS - 1] + "…"

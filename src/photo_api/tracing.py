"""What belongs together across processes: W3C Trace Context, who is sampled, and their spans.

Whoever calls may send any `traceparent`. It serves to find lines and spans again and for nothing
else: only hexadecimal digits of it are kept, and whether it is sampled is the tracer's decision.
`tracestate` is not read, as a participant may do: a stranger's text would reach the store, and what
a firewall in front of it makes of that would be taken for the store's own refusal.
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import orjson

from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import METHODS, TRACES
from photo_api.settings.instance import LogSettings

TRACEPARENT = b"traceparent"
FORM = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.S)
SAMPLED = 0x01
LONGEST_PARENT = 256
MOST_SPANS = 64
"""Of one request or job, besides its own."""

Kind = Literal["server", "client", "consumer"]


class Caller(NamedTuple):
    """What a `traceparent` says: who calls, within which trace, and whether it is sampled there."""

    trace_id: str
    span_id: str
    sampled: bool


@dataclass(slots=True)
class Span:
    """Something that took time, in nanoseconds since the epoch. Names and attributes are the
    service's own words; what a client chose is in none of them but a request's id."""

    name: str
    kind: Kind
    start: int
    end: int
    failed: bool
    attributes: dict[str, Any]
    span_id: str


@dataclass(slots=True, eq=False, weakref_slot=True)
class Trace:
    """A trace as far as one request or job is concerned, whose own span is `span_id`."""

    trace_id: str
    parent: str = ""
    sampled: bool = False
    for_store: bool = True
    """Whether calls of the store carry it, if it is sampled."""
    span_id: str = field(default_factory=lambda: new_id(8))
    spans: list[Span] = field(default_factory=list)
    left_out: int = 0
    """Spans beyond `MOST_SPANS`."""
    ended: bool = False

    @property
    def traceparent(self) -> str:
        """For what is called or enqueued on its behalf."""
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"

    @property
    def fields(self) -> dict[str, str]:
        """Of a log line."""
        return {"trace_id": self.trace_id, "span_id": self.span_id}


_CURRENT: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current() -> Trace | None:
    """Of the request or job that is being worked on. Tasks that outlive it have none any more."""
    trace = _CURRENT.get()
    return None if trace is None or trace.ended else trace


def sampled() -> Trace | None:
    """The current trace, if its spans are kept."""
    trace = _CURRENT.get()
    return trace if trace is not None and trace.sampled and not trace.ended else None


def sampled_for_store() -> Trace | None:
    """The same, if calls of the store carry it."""
    trace = sampled()
    return trace if trace is not None and trace.for_store else None


def traceparent() -> str | None:
    """Of the current trace, to be kept with a job."""
    trace = current()
    return None if trace is None else trace.traceparent


def log_fields() -> dict[str, str]:
    """Of the current trace."""
    trace = current()
    return {} if trace is None else trace.fields


def begin(trace: Trace) -> None:
    """Make it that of this task and of those that it starts, until it has ended."""
    _CURRENT.set(trace)


def record(name: str, seconds: float, *, failed: bool = False, **attributes: Any) -> None:
    """Add what has just ended, after so many seconds, to the current trace if that is sampled.
    Underscores in the names of attributes become dots."""
    trace = sampled()
    if trace is None:
        return
    if len(trace.spans) >= MOST_SPANS:
        trace.left_out += 1
        return
    dotted = {attribute.replace("_", "."): value for attribute, value in attributes.items()}
    trace.spans.append(span(name, "client", seconds, failed, dotted, new_id(8)))


def span(
    name: str, kind: Kind, seconds: float, failed: bool, attributes: dict[str, Any], span_id: str
) -> Span:
    """One that ends now."""
    end = time.time_ns()
    return Span(name, kind, end - round(seconds * 1e9), end, failed, attributes, span_id)


def new_id(size: int) -> str:
    """So many random bytes as hexadecimal digits, not all of them zero."""
    while not any(drawn := os.urandom(size)):
        pass
    return drawn.hex()


def caller_of(headers: Iterable[tuple[bytes, bytes]]) -> Caller | None:
    """Who calls, by the headers of a request: exactly one `traceparent` that is as "Trace Context"
    (W3C, level 1) says; any other starts no trace."""
    parents = [value for name, value in headers if name == TRACEPARENT]
    return parse(parents[0]) if len(parents) == 1 else None


def parse(text: bytes) -> Caller | None:
    """Of version 00 as a whole; of a later one, what 00 knows of it."""
    found = FORM.fullmatch(text) if len(text) <= LONGEST_PARENT else None
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if (more is not None and version == b"00") or not (int(trace_id, 16) and int(span_id, 16)):
        return None
    return Caller(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & SAMPLED))


class Allowance:
    """So many a second, with as many saved up at most (but one at least); `rate` 0 is none."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(rate, 1.0) if rate else 0.0
        self._saved = self._most
        self._at = time.monotonic()

    def take(self) -> bool:
        """Whether there is one, which is then spent."""
        now = time.monotonic()
        self._saved = min(self._most, self._saved + (now - self._at) * self._rate)
        self._at = now
        if self._saved < 1:
            return False
        self._saved -= 1
        return True


class Tracer:
    """Of one process. Without `put`, which takes a span as JSON and its newline and never waits,
    nothing is sampled; ids of callers still go into log lines and to jobs."""

    def __init__(
        self, settings: LogSettings, counts: Counts, put: Callable[[bytes], None] | None
    ) -> None:
        self._put = put
        self._counts = counts
        self._for_store = settings.trace_store == "on"
        self._ratio = settings.trace_ratio if put else 0.0
        self._strangers = Allowance(settings.trace_strangers if put else 0.0)

    def of_request(self, headers: Sequence[tuple[bytes, bytes]]) -> Trace | None:
        """None for one that nobody traces. A caller that says that its trace is sampled is believed
        within an allowance, so that strangers do not decide what tracing costs."""
        caller = caller_of(headers)
        if caller is not None:
            return self._continued(caller, caller.sampled and self._believed())
        if self._ratio and random.random() < self._ratio:
            self._counts.add(TRACES, "own")
            return Trace(new_id(16), "", True, self._for_store)
        return None

    def of_job(self, traceparent: str | None) -> Trace | None:
        """The trace of the request, or the job, that enqueued this one."""
        caller = parse(traceparent.encode()) if traceparent else None
        if caller is None:
            return None
        return self._continued(caller, caller.sampled and self._put is not None)

    def end_request(
        self, trace: Trace, method: str, route: str, status: int, seconds: float, request_id: str
    ) -> None:
        """Its answer is out. `route` is a template."""
        method = method if method in METHODS else "_OTHER"
        about = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "request.id": request_id,
        }
        name = f"{method} {route}"
        self._end(trace, span(name, "server", seconds, status >= 500, about, trace.span_id))

    def end_job(self, trace: Trace, kind: str, result: str, job: int, seconds: float) -> None:
        """It has ended, in whatever way."""
        about = {"job.kind": kind, "job.result": result, "job.id": job}
        failed = result == "failed"
        self._end(trace, span(f"job {kind}", "consumer", seconds, failed, about, trace.span_id))

    def _end(self, trace: Trace, own: Span) -> None:
        """Hand the spans over, if it is sampled."""
        trace.ended = True
        if not trace.sampled or self._put is None:
            return
        if trace.left_out:
            own.attributes["spans.left_out"] = trace.left_out
        for one in trace.spans:
            self._put(_line(trace, trace.span_id, one))
        self._put(_line(trace, trace.parent, own))

    def _believed(self) -> bool:
        if self._put is None:
            return False
        believed = self._strangers.take()
        self._counts.add(TRACES, "caller" if believed else "beyond_limit")
        return believed

    def _continued(self, caller: Caller, is_sampled: bool) -> Trace:
        return Trace(caller.trace_id, caller.span_id, is_sampled, self._for_store)


def _line(trace: Trace, parent: str, one: Span) -> bytes:
    about = {"trace_id": trace.trace_id, "parent": parent}
    return orjson.dumps({**about, "span": one}, option=orjson.OPT_APPEND_NEWLINE)

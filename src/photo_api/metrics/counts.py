"""A process's counts: plain numbers in dictionaries, so that counting costs a request next to
nothing.

Web workers and the job worker send theirs to the supervisor, once a second, and begin anew; the
supervisor adds up, so that what a process has counted stays when it is gone. Each side is bounded:
a metric has at most `MOST_SERIES` series, a report at most `MOST_BYTES`, and what is over them
waits for the next.
"""

import json
import math
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from photo_api.errors import ApiError
from photo_api.metrics.declared import METRICS
from photo_api.metrics.metric import OTHER, Metric, Values

MOST_SERIES = 1000
MOST_BYTES = 256 * 1024
LONGEST_MESSAGE = 32 * 1024
LONGEST_EXEMPLAR = 118
"""Characters of a request id, of 128 that OpenMetrics gives to an exemplar's labels and values."""

Gauges = dict[tuple[str, Values], float]


@dataclass(slots=True)
class Exemplar:
    """One request that a bucket counts. `at` is in epoch seconds."""

    amount: float
    request_id: str
    at: float


@dataclass(slots=True)
class Buckets:
    """A histogram's series: each bucket alone, the last without an upper end."""

    counts: list[int]
    total: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)


class Counts:
    """What one process has counted since its last report, or the supervisor since its start."""

    def __init__(self) -> None:
        self.sums: dict[Metric, dict[Values, float]] = defaultdict(dict)
        self.buckets: dict[Metric, dict[Values, Buckets]] = defaultdict(dict)
        self._watched: dict[tuple[Metric, Values], Callable[[], float]] = {}
        self._read: dict[tuple[Metric, Values], float] = {}

    def add(self, metric: Metric, *values: str, by: float = 1) -> None:
        """Count `by` more, which is not negative."""
        series = self.sums[metric]
        try:
            series[values] += by
        except KeyError:
            values = _admitted(metric, values, series)
            series[values] = series.get(values, 0) + by

    def observe(
        self, metric: Metric, amount: float, *values: str, request_id: str | None = None
    ) -> None:
        """Count an amount, such as seconds; the request is the example of its bucket, if it is the
        first there since the last report."""
        found = self._buckets(metric, values)
        index = bisect_left(metric.edges, amount)
        found.counts[index] += 1
        found.total += amount
        if (
            index not in found.exemplars
            and request_id is not None
            and len(request_id) <= LONGEST_EXEMPLAR
        ):
            found.exemplars[index] = Exemplar(amount, request_id, time.time())

    def _buckets(self, metric: Metric, values: Values) -> Buckets:
        series = self.buckets[metric]
        found = series.get(values)
        if found is None:
            values = _admitted(metric, values, series)
            found = series.setdefault(values, Buckets([0] * (len(metric.edges) + 1)))
        return found

    def watch(self, metric: Metric, *values: str, read: Callable[[], float]) -> None:
        """Have what another part counts or holds read for each report: a gauge, or a sum since that
        part's start."""
        self._watched[metric, metric.bounded(values)] = read

    def gauges(self) -> Gauges:
        """All that are watched, as they are now."""
        return {
            (metric.name, values): read()
            for (metric, values), read in self._watched.items()
            if metric.kind == "gauge"
        }

    def add_watched(self) -> None:
        """Add what the sums that others keep have grown by."""
        for (metric, values), read in self._watched.items():
            if metric.kind == "counter":
                before, now = self._read.get((metric, values), 0.0), read()
                # What falls, such as the processor time of children that are just ending, is
                # waited for.
                if now > before:
                    self.add(metric, *values, by=now - before)
                    self._read[metric, values] = now

    def take(self) -> Iterator[str]:
        """What is new, as messages for `merge` on the other side; it is forgotten here as it is
        handed out."""
        self.add_watched()
        entries: list[str] = []
        length = whole = 0
        for entry in self._take_entries():
            whole += len(entry)
            if entries and length + len(entry) > LONGEST_MESSAGE:
                yield f"[{','.join(entries)}]"
                entries, length = [], 0
            entries.append(entry)
            length += len(entry) + 1
            if whole > MOST_BYTES:
                break
        if entries:
            yield f"[{','.join(entries)}]"

    def _take_entries(self) -> Iterator[str]:
        # Others go on counting while what is yielded is sent.
        for metric, series in list(self.sums.items()):
            while series:
                values, number = series.popitem()
                yield json.dumps([metric.name, values, number])
        for metric, histograms in list(self.buckets.items()):
            while histograms:
                values, found = histograms.popitem()
                examples = {i: [e.amount, e.request_id, e.at] for i, e in found.exemplars.items()}
                yield json.dumps([metric.name, values, found.counts, found.total, examples])

    def merge(self, message: str) -> None:
        """Add what another process has counted. What this release does not know is left out: in an
        upgrade a process may be of another release than its supervisor."""
        for name, values, number, *more in json.loads(message):
            metric = METRICS.get(name)
            if metric is None or len(values) != len(metric.labels):
                continue
            if metric.kind == "counter" and 0 <= number < math.inf:
                self.add(metric, *values, by=number)
            elif metric.kind == "histogram" and len(number) == len(metric.edges) + 1:
                self._merge_buckets(metric, tuple(values), number, more)

    def _merge_buckets(
        self, metric: Metric, values: Values, counts: list[int], more: list[Any]
    ) -> None:
        if min(counts) < 0 or not 0 <= more[0] < math.inf:
            return
        found = self._buckets(metric, values)
        found.counts = [a + b for a, b in zip(found.counts, counts, strict=True)]
        found.total += more[0]
        found.exemplars |= {int(index): Exemplar(*one) for index, one in more[1].items()}


def _admitted(metric: Metric, values: Values, series: dict[Values, Any]) -> Values:
    """The series that counts these: their own, or one for all beyond the bound."""
    if len(series) >= MOST_SERIES:
        return tuple(OTHER for _ in metric.labels)
    return metric.bounded(values)


def gauges_line(gauges: Gauges) -> str:
    """As JSON, for the control channel."""
    return json.dumps([[name, values, number] for (name, values), number in gauges.items()])


def gauges_from(line: str) -> Gauges:
    """What `gauges_line` wrote, of gauges that this release knows."""
    read = {(name, tuple(values)): float(number) for name, values, number in json.loads(line)}
    return {(name, values): number for (name, values), number in read.items() if name in METRICS}


FAILED = "failed"
"""An end by an exception that is no refusal: an outage, a bug, the end of the instance."""

WORDS: Mapping[str, str] = MappingProxyType(
    {"RequestValidationError": "validation_error", "ClientDisconnect": "client_gone"}
)
"""By the names of exceptions whose modules the supervisor shall not import."""


@dataclass(slots=True)
class Result:
    """The word for an end without exception."""

    word: str = "ok"


@contextmanager
def results(counts: Counts, metric: Metric, *values: str) -> Iterator[Result]:
    """Count how the block ends, by the metric's last label: `ok` or the word that it sets, the code
    of a refusal, or `FAILED`."""
    result = Result()
    try:
        yield result
    except ApiError as refusal:
        result.word = refusal.code.wire
        raise
    except BaseException as error:
        result.word = WORDS.get(type(error).__name__, FAILED)
        raise
    finally:
        counts.add(metric, *values, result.word)

"""Metrics as Prometheus reads them: its text format 0.0.4, and OpenMetrics 1.0 with exemplars.

https://prometheus.io/docs/instrumenting/exposition_formats/ and
https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md
"""

import math
import re
from collections.abc import Iterator, Mapping
from itertools import accumulate

from photo_api.metrics.counts import Buckets, Counts, Exemplar, Gauges
from photo_api.metrics.declared import METRICS
from photo_api.metrics.metric import Metric, Values

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

QUALITY = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
SUM = "sum"


def wants_openmetrics(accept: str) -> bool:
    """Whether a client that sends this Accept header (RFC 9110, 12.5.1) likes OpenMetrics 1.0 as
    much as text; who takes neither gets text."""
    openly = text = 0.0
    for entry in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        given = dict(_parameter(one) for one in parameters)
        quality = given.get("q", "1")
        liked = float(quality) if QUALITY.fullmatch(quality) else 0.0
        if kind == "application/openmetrics-text" and given.get("version", "1.0.0") == "1.0.0":
            openly = max(openly, liked)
        elif kind in ("text/plain", "text/*", "*/*"):
            text = max(text, liked)
    return openly > 0 and openly >= text


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name.strip(), value.strip(' "')


def exposition(counts: Counts, gauges: Gauges, *, openmetrics: bool) -> str:
    """All metrics that have a number, each with its meaning."""
    by_name: dict[str, dict[Values, float]] = {}
    for (name, values), number in gauges.items():
        by_name.setdefault(name, {})[values] = number
    lines: list[str] = []
    for metric in METRICS.values():
        samples = list(_samples(metric, counts, by_name.get(metric.name, {}), openmetrics))
        if samples:
            lines += _head(metric, openmetrics)
            lines += samples
    return "\n".join([*lines, "# EOF" if openmetrics else ""]) + ("\n" if openmetrics else "")


def _head(metric: Metric, openmetrics: bool) -> list[str]:
    family = metric.name
    if openmetrics and metric.kind == "counter":
        family = family.removesuffix("_total")
    meaning = metric.meaning.replace("\\", "\\\\").replace("\n", "\\n")
    return [f"# HELP {family} {meaning}", f"# TYPE {family} {metric.kind}"]


def _samples(
    metric: Metric, counts: Counts, gauges: Mapping[Values, float], openmetrics: bool
) -> Iterator[str]:
    if metric.kind == "histogram":
        told = counts.buckets.get(metric, {}) | histograms(metric, gauges)
        for values, buckets in sorted(told.items()):
            yield from _histogram(metric, values, buckets, openmetrics)
        return
    numbers: Mapping[Values, float] = gauges
    if metric.kind == "counter":
        numbers = dict.fromkeys(metric.zeros(), 0.0) | counts.sums.get(metric, {})
    for values, number in sorted(numbers.items()):
        yield f"{metric.name}{_labels(metric, values)} {_number(number)}"


def histograms(metric: Metric, gauges: Mapping[Values, float]) -> dict[Values, Buckets]:
    """Histograms that nobody here counts, which come as gauges: one for each bucket alone, whose
    last value is its upper end, and one for the sum, whose last value is `SUM`."""
    ends = (*metric.edges, math.inf)
    told: dict[Values, Buckets] = {}
    for (*values, end), number in gauges.items():
        found = told.setdefault(tuple(values), Buckets([0] * len(ends)))
        if end == SUM:
            found.total = number
        elif float(end) in ends:
            found.counts[ends.index(float(end))] = int(number)
    return told


def _histogram(
    metric: Metric, values: Values, buckets: Buckets, openmetrics: bool
) -> Iterator[str]:
    ends = [*(repr(float(edge)) for edge in metric.edges), "+Inf"]
    sums = list(accumulate(buckets.counts))
    for index, (end, number) in enumerate(zip(ends, sums, strict=True)):
        found = buckets.exemplars.get(index) if openmetrics else None
        example = _exemplar(found) if found else ""
        yield f"{metric.name}_bucket{_labels(metric, values, le=end)} {number}{example}"
    labels = _labels(metric, values)
    yield f"{metric.name}_sum{labels} {_number(buckets.total)}"
    yield f"{metric.name}_count{labels} {sums[-1]}"


def _exemplar(found: Exemplar) -> str:
    request_id = _escaped(found.request_id)
    return f' # {{request_id="{request_id}"}} {_number(found.amount)} {found.at:.3f}'


def _labels(metric: Metric, values: Values, **more: str) -> str:
    pairs = [*zip(metric.labels, values, strict=True), *more.items()]
    if not pairs:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(number: float) -> str:
    if not math.isfinite(number):
        return {math.inf: "+Inf", -math.inf: "-Inf"}.get(number, "NaN")
    return str(int(number)) if number == int(number) else repr(float(number))

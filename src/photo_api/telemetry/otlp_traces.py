"""Spans by OTLP/HTTP in JSON (opentelemetry-proto, `trace/v1/trace.proto`)."""

from typing import Any

import orjson

from photo_api.settings.instance import LogSettings
from photo_api.telemetry.http_sink import Line, authorization
from photo_api.telemetry.loki import JOB
from photo_api.telemetry.otlp import OtlpSink, attributes, resource

PATH = "/v1/traces"
KIND = {"server": 2, "client": 3, "consumer": 5}
STATUS_ERROR = 2


class OtlpTraces(OtlpSink):
    """Takes the spans that a `Tracer` hands over, of the process that `origin` tells of."""

    name = "traces"
    carries = "spans"
    rejected = "rejectedSpans"

    def __init__(self, settings: LogSettings, origin: Line) -> None:
        super().__init__(settings.trace_url + PATH, settings)
        self._resource = resource(origin)

    def headers(self, settings: LogSettings) -> dict[str, str]:
        return authorization(settings.trace_auth)

    def body(self, lines: list[Line]) -> bytes:
        scope = {"scope": {"name": JOB}, "spans": [_span(line) for line in lines]}
        return orjson.dumps({"resourceSpans": [{**self._resource, "scopeSpans": [scope]}]})


def _span(line: Line) -> dict[str, Any]:
    """Ids are hexadecimal, unlike other bytes in the JSON of protobuf; 64-bit numbers are texts."""
    one = line["span"]
    found = {
        "traceId": line["trace_id"],
        "spanId": one["span_id"],
        "name": one["name"],
        "kind": KIND[one["kind"]],
        "startTimeUnixNano": str(one["start"]),
        "endTimeUnixNano": str(one["end"]),
        "attributes": attributes(one["attributes"]),
        "status": {"code": STATUS_ERROR} if one["failed"] else {},
    }
    if line["parent"]:
        found["parentSpanId"] = line["parent"]
    return found

"""OTLP/HTTP in JSON ("OpenTelemetry Protocol Specification", "OTLP/HTTP"), and logs by it."""

from typing import Any

import orjson

from photo_api.http_exchange import Answer
from photo_api.settings.instance import LogSettings
from photo_api.telemetry.http_sink import LONGEST_REASON, HttpSink, Line, authorization
from photo_api.telemetry.loki import JOB, nanoseconds
from photo_api.telemetry.shipping import Outcome
from photo_base.log_lines import redact

PATH = "/v1/logs"
SEVERITY = {"DEBUG": 5, "INFO": 9, "WARNING": 13, "ERROR": 17, "CRITICAL": 21}
OF_THE_RESOURCE = {
    "boot": "service.instance.id",
    "version": "service.version",
    "instance": "host.name",
    "process": "process.role",
}
OF_THE_RECORD = {"event": "event.name", "traceback": "exception.stacktrace"}
"""Names of the semantic conventions, where there are any; other fields keep theirs."""
OF_A_TRACE = {"trace_id": "traceId", "span_id": "spanId"}


class OtlpSink(HttpSink):
    """Of any signal. `rejected` names the number in its partial success."""

    rejected: str

    def outcome(self, answer: Answer, lines: list[bytes]) -> Outcome | None:
        """A partial success names how many were refused, and must not be repeated."""
        try:
            partial = orjson.loads(answer.body or "{}").get("partialSuccess") or {}
            refused = int(partial.get(self.rejected) or 0)
        except (ValueError, AttributeError):
            return None  # the status says that it has them
        words = redact(str(partial.get("errorMessage", ""))[:LONGEST_REASON])
        return Outcome(min(refused, len(lines)), words)


class Otlp(OtlpSink):
    """A line's message is its record's body, its fields are attributes. One process writes, so
    there is one resource."""

    name = "otlp"
    rejected = "rejectedLogRecords"

    def __init__(self, settings: LogSettings) -> None:
        super().__init__(settings.otlp_url + PATH, settings)

    def headers(self, settings: LogSettings) -> dict[str, str]:
        return authorization(settings.otlp_auth)

    def body(self, lines: list[Line]) -> bytes:
        scope = {"scope": {"name": JOB}, "logRecords": [_record(line) for line in lines]}
        return orjson.dumps({"resourceLogs": [{**resource(lines[0]), "scopeLogs": [scope]}]})


def resource(origin: Line) -> dict[str, Any]:
    """What a process is, by what each of its lines tells."""
    found = {"service.name": JOB}
    found |= {name: origin.get(field, "") for field, name in OF_THE_RESOURCE.items()}
    return {"resource": {"attributes": attributes(found)}}


def _record(line: Line) -> dict[str, Any]:
    known = {"time", "level", "message", *OF_THE_RESOURCE, *OF_A_TRACE}
    fields = {OF_THE_RECORD.get(k, k): v for k, v in line.items() if k not in known}
    at = str(nanoseconds(line["time"]))
    return {
        "timeUnixNano": at,
        "observedTimeUnixNano": at,
        "severityNumber": SEVERITY.get(line["level"], 0),
        "severityText": line["level"],
        "body": {"stringValue": line["message"]},
        "attributes": attributes(fields),
        **{name: line[field] for field, name in OF_A_TRACE.items() if field in line},
    }


def attributes(fields: Line) -> list[dict[str, Any]]:
    """As OTLP has them; what is None is left out."""
    return [{"key": k, "value": _value(v)} for k, v in fields.items() if v is not None]


def _value(value: Any) -> dict[str, Any]:
    """64-bit integers are texts in the JSON of protobuf."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"stringValue": orjson.dumps(value).decode()}

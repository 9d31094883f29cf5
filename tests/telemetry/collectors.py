"""Collectors of logs that cannot be had here, as processes: each refuses what its documentation
says that it refuses, and writes what it takes into a file, one JSON object a line.

Loki: "Loki HTTP API", "Enforce rate limits and push request validation", `limits_config`. NHN Cloud
Log & Crash Search: its API guide, v2. OTLP: "OTLP/HTTP", with the JSON encoding of protobuf.

Run as `python -m tests.telemetry.collectors KIND PORT FILE [CERTIFICATE KEY]`; a PUT says how it
behaves, a GET tells of its requests.
"""

import gzip
import json
import re
import ssl
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LONGEST_ENTRY = 256 * 1024
MOST_LABELS = 15
TOO_OLD, TOO_NEW = 168 * 3600, 600
LONGEST_ITEM, LONGEST_BULK, LONGEST_VALUE = 8 * 1024 * 1024, 52 * 1024 * 1024, 1024
REQUIRED = {"projectName", "projectVersion", "logVersion"}


class Refused(Exception):
    """An answer other than success."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(body)
        self.status = status


class Collector:
    """What all have in common: `behaviour` is set by the test."""

    path = ""
    status = 200

    def __init__(self, file: Path) -> None:
        self.file = file
        self.behaviour: dict[str, Any] = {}
        self.lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []

    def keep(self, entries: list[dict[str, Any]]) -> None:
        with self.file.open("a") as out:
            out.writelines(json.dumps(entry) + "\n" for entry in entries)

    def take(self, content: Any, headers: Any) -> str:
        raise NotImplementedError

    def authorized(self, headers: Any) -> None:
        wanted = self.behaviour.get("authorization")
        if wanted and headers.get("Authorization") != wanted:
            raise Refused(401, "no credentials")


class Loki(Collector):
    path, status = "/loki/api/v1/push", 204

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.newest: dict[str, int] = {}

    def take(self, content: Any, headers: Any) -> str:
        self.authorized(headers)
        if self.behaviour.get("tenants") and not headers.get("X-Scope-OrgID"):
            raise Refused(401, "no org id")
        streams = content["streams"]
        if set(content) != {"streams"} or not streams:
            raise Refused(422, "at least one stream is required")
        taken: list[dict[str, Any]] = []
        ignored, total = 0, sum(len(stream["values"]) for stream in streams)
        for stream in streams:
            labels = self._labels(stream["stream"])
            for at, line in stream["values"]:
                if self._fits(json.dumps(labels, sort_keys=True), at, line):
                    taken.append({"labels": labels, "at": at, "line": json.loads(line)})
                else:
                    ignored += 1
        self.keep(taken)
        if ignored:
            text = f"entry too far behind, total ignored: {ignored} out of {total} for user fake"
            raise Refused(400, text)
        return ""

    def _labels(self, labels: dict[str, str]) -> dict[str, str]:
        if not 0 < len(labels) <= MOST_LABELS:
            raise Refused(400, f"{len(labels)} labels")
        for name, value in labels.items():
            good = re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", name) and len(name) <= 1024
            if not good or not isinstance(value, str) or len(value) > 2048:
                raise Refused(400, f"label {name}")
        return labels

    def _fits(self, stream: str, at: str, line: str) -> bool:
        """Whether the entry is taken; as with `unordered_writes: false`."""
        if not isinstance(at, str) or not isinstance(line, str):
            raise Refused(400, "a value has other types")
        if len(line.encode()) > LONGEST_ENTRY:
            raise Refused(400, f"Max entry size '{LONGEST_ENTRY}' bytes exceeded")
        age = time.time() - int(at) / 1e9
        fits = -TOO_NEW < age < TOO_OLD and int(at) >= self.newest.get(stream, 0)
        if fits and not any(word in line for word in self.behaviour.get("too_old", ())):
            self.newest[stream] = int(at)
            return True
        return False


class LogAndCrash(Collector):
    path = "/v2/log"

    def take(self, content: Any, headers: Any) -> str:
        if headers.get("Content-Encoding"):
            raise Refused(400, "what is compressed is not documented")
        items = content if isinstance(content, list) else [content]
        if any(item.get("projectName") != "an-app-key" for item in items):
            return self._answer({"isSuccessful": False, "resultCode": -9, "resultMessage": "who?"})
        faults = [self._fault(item) for item in items]
        self.keep([item for item, fault in zip(items, faults, strict=True) if not fault])
        results = [{"isSuccessful": not one, "resultMessage": one or "Success"} for one in faults]
        data = {"total": len(items), "errors": sum(map(bool, faults)), "resultList": results}
        return self._answer(
            {"isSuccessful": True, "resultCode": 0, "resultMessage": "Success"}, data
        )

    def _answer(self, header: dict[str, Any], data: Any = None) -> str:
        return json.dumps({"header": header} | ({"body": {"data": data}} if data else {}))

    def _fault(self, item: dict[str, Any]) -> str:
        if not set(item) >= REQUIRED or item["logVersion"] != "v2":
            return "a required key is missing"
        if not re.fullmatch(r"[A-Za-z0-9._-]+", item["projectVersion"]):
            return "projectVersion"
        if len(json.dumps(item).encode()) > LONGEST_ITEM:
            return "too long"
        for name, value in item.items():
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
                return f"key {name}"
            if name != "body" and len(str(value).encode()) > LONGEST_VALUE:
                return f"value of {name}"
        failures = self.behaviour.setdefault("failures", {})
        for word, left in failures.items():
            if word in item["body"] and left:
                failures[word] = left - 1
                return "try later"
        return ""


class Otlp(Collector):
    path = "/v1/logs"
    resources, scopes, records, refused = (
        *("resourceLogs", "scopeLogs", "logRecords"),
        "rejectedLogRecords",
    )

    def take(self, content: Any, headers: Any) -> str:
        self.authorized(headers)
        kept = []
        for resource in content[self.resources]:
            about = self._plain(resource["resource"]["attributes"])
            for scope in resource[self.scopes]:
                for record in scope[self.records]:
                    kept.append(self._record(record) | {"resource": about})
        self.keep(kept)
        rejected = self.behaviour.get("rejected", 0)
        partial = {self.refused: str(rejected), "errorMessage": "too many"}
        return json.dumps({"partialSuccess": partial} if rejected else {})

    def _id(self, record: dict[str, Any], name: str, size: int) -> str:
        """Hexadecimal digits, of either case, not all of them zero."""
        if not re.fullmatch(rf"[0-9a-fA-F]{{{size}}}", record[name]) or not int(record[name], 16):
            raise Refused(400, name)
        found: str = record[name]
        return found

    def _record(self, record: dict[str, Any]) -> dict[str, Any]:
        for name in ("timeUnixNano", "observedTimeUnixNano"):
            if not isinstance(record[name], str) or not record[name].isdecimal():
                raise Refused(400, f"{name} is a fixed64: a text of digits")
        if not 1 <= record["severityNumber"] <= 24:
            raise Refused(400, "severityNumber")
        [(kind, text)] = record["body"].items()
        if kind != "stringValue" or not isinstance(text, str):
            raise Refused(400, "body")
        ids = {
            name: self._id(record, name, size)
            for name, size in (("traceId", 32), ("spanId", 16))
            if name in record
        }
        return {"body": text, "severity": record["severityText"], **ids} | self._plain(
            record["attributes"]
        )

    def _plain(self, attributes: list[dict[str, Any]]) -> dict[str, Any]:
        types: dict[str, Any] = {
            "stringValue": str,
            "intValue": str,
            "doubleValue": float,
            "boolValue": bool,
        }
        found: dict[str, Any] = {}
        for one in attributes:
            kind, value = next(iter(one["value"].items()))
            if not isinstance(value, types[kind]) or one["key"] in found:
                raise Refused(400, f"attribute {one['key']}")
            found[one["key"]] = int(value) if kind == "intValue" else value
        return found


class Traces(Otlp):
    """opentelemetry-proto: `trace/v1/trace.proto` says what a span must and may have."""

    path = "/v1/traces"
    resources, scopes, records, refused = "resourceSpans", "scopeSpans", "spans", "rejectedSpans"
    fields = frozenset(
        {"traceId", "spanId", "parentSpanId", "traceState", "flags", "name", "kind", "status"}
        | {"startTimeUnixNano", "endTimeUnixNano", "attributes", "events", "links"}
        | {"droppedAttributesCount", "droppedEventsCount", "droppedLinksCount"}
    )

    def _record(self, record: dict[str, Any]) -> dict[str, Any]:
        if unknown := set(record) - self.fields:
            raise Refused(400, f"no fields of a span: {unknown}")
        self._id(record, "traceId", 32)
        self._id(record, "spanId", 16)
        if record.get("parentSpanId"):
            self._id(record, "parentSpanId", 16)
        times = [record["startTimeUnixNano"], record["endTimeUnixNano"]]
        if not all(isinstance(one, str) and one.isdecimal() for one in times):
            raise Refused(400, "times are fixed64: texts of digits")
        if not int(times[0]) <= int(times[1]):
            raise Refused(400, "it ends before it begins")
        if not record["name"] or not isinstance(record["name"], str):
            raise Refused(400, "name")
        if record["kind"] not in (1, 2, 3, 4, 5) or record["status"].get("code", 0) not in (
            0,
            1,
            2,
        ):
            raise Refused(400, "kind or status")
        return record | {"attributes": self._plain(record["attributes"])}


class Handler(BaseHTTPRequestHandler):
    collector: Collector
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None: ...

    def do_PUT(self) -> None:
        self.collector.behaviour = json.loads(self._body())
        self._answer(200, "{}")

    def do_GET(self) -> None:
        self._answer(200, json.dumps(self.collector.requests))

    def do_POST(self) -> None:
        behaviour, size = self.collector.behaviour, int(self.headers["Content-Length"])
        seen = {"at": time.time(), "size": size, "tenant": self.headers.get("X-Scope-OrgID")}
        self.collector.requests.append(seen)
        if size > behaviour.get("most_bytes", LONGEST_BULK):
            self._answer(413, "too large", seen)  # without reading it, and closes
            self.close_connection = True
            return
        time.sleep(behaviour.get("slow", 0))
        try:
            if next_one := (behaviour.get("answers") or [None]).pop(0):
                status, text, headers = next_one
                self._body()
                self._answer(status, text, seen, headers)
                return
            content = self._body()
            if self.headers.get("Content-Encoding") == "gzip":
                content = gzip.decompress(content)
            path = behaviour.get("below", "") + self.collector.path
            if self.headers["Content-Type"] != "application/json" or self.path != path:
                raise Refused(404, "not here")
            with self.collector.lock:
                text = self.collector.take(json.loads(content), self.headers)
            self._answer(self.collector.status, text, seen)
        except Refused as refused:
            self._answer(refused.status, str(refused), seen)
        except (KeyError, TypeError, ValueError) as error:
            self._answer(400, f"malformed: {error!r}", seen)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _answer(self, status: int, text: str, seen: Any = None, headers: Any = None) -> None:
        if seen is not None:
            seen["status"] = status
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


KINDS = {"loki": Loki, "nhn": LogAndCrash, "otlp": Otlp, "traces": Traces}

if __name__ == "__main__":
    import ctypes

    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG: ends with the test, however that ends
    Handler.collector = KINDS[sys.argv[1]](Path(sys.argv[3]))
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler)
    if sys.argv[4:]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*sys.argv[4:])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()

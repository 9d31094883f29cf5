"""A trace through the service: what is taken from a caller, what goes out to the store, into log
lines and across the queue, and which spans arrive at an OTLP collector."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from photo_api.db.statement_spans import name_of
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import TRACES
from photo_api.tracing import (
    MOST_SPANS,
    Allowance,
    Trace,
    Tracer,
    begin,
    caller_of,
    current,
    record,
    sampled,
    sampled_for_store,
)
from tests.metrics.scraping import Scraped
from tests.outages.faulty_store import FaultyStore, faulty_store
from tests.own_stage import own_database
from tests.service import Service, User, eventually, heic, put, running_service
from tests.telemetry.log_settings import log_settings
from tests.telemetry.running import Running, collector

Spans = list[dict[str, Any]]
CALLER = "00f067aa0ba902b7"
STRANGERS, QUEUE = 20, 100


def sampled_by_caller() -> tuple[str, dict[str, str]]:
    """(a new trace's id, headers of a request that belongs to it)."""
    trace_id = secrets.token_hex(16)
    return trace_id, {"traceparent": f"00-{trace_id}-{CALLER}-01"}


@dataclass
class Stage:
    """A service with a database of its own, so that nobody else runs its jobs."""

    service: Service
    settings: dict[str, str]
    relay: FaultyStore
    traces: Running

    def spans(self, trace_id: str, *names: str) -> Spans:
        """Of one trace, once there are some with these names."""

        def found() -> Spans:
            spans = [one for one in self.traces.kept() if one["traceId"] == trace_id]
            return spans if {one["name"] for one in spans} >= set(names) else []

        return eventually(found, 40)

    def lines(self, **fields: str) -> list[dict[str, Any]]:
        """Of the log, those with these fields."""
        lines = (json.loads(line) for line in self.service.log.splitlines() if line[:1] == "{")
        return [line for line in lines if fields.items() <= line.items()]

    def calls_of_store(self, trace_id: str) -> list[str]:
        """Heads of requests that came to the store on its behalf."""
        return [head for head in list(self.relay.heads) if trace_id in head]

    def believed(self) -> tuple[float, float]:
        """How many callers were, and how many were not."""
        scraped, name = self.scrape(), "photo_api_traces_total"
        return (
            scraped.total(name, decision="caller"),
            scraped.total(name, decision="beyond_limit"),
        )

    def scrape(self) -> Scraped:
        return Scraped(httpx.get(f"{self.service.url}/metrics").text)


@contextmanager
def staged(
    stack: dict[str, Any], environ: dict[str, str], folder: Path, **settings: str
) -> Iterator[Stage]:
    with (
        own_database(stack, environ) as own,
        faulty_store(stack["s3_endpoint"]) as relay,
        collector("traces", folder) as traces,
    ):
        own |= {
            "PHOTO_API_TRACE_OTLP_URL": traces.url,
            "PHOTO_API_S3_PUBLIC_ENDPOINT": own["PHOTO_API_S3_ENDPOINT"],
            "PHOTO_API_S3_ENDPOINT": relay.endpoint,
            **{f"PHOTO_API_{name}": value for name, value in settings.items()},
        }
        with running_service(own, folder) as service:
            yield Stage(service, own, relay, traces)


@pytest.fixture(scope="module")
def stage(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    limits = {"TRACE_STRANGERS": str(STRANGERS), "TRACE_QUEUE": str(QUEUE)}
    with staged(stack, environ, tmp_path_factory.mktemp("traces"), **limits) as found:
        yield found


@pytest.fixture
def caller(stage: Stage) -> Iterator[User]:
    with stage.service.new_user() as user:
        yield user


def named(spans: Spans, name: str) -> dict[str, Any]:
    [found] = [span for span in spans if span["name"] == name]
    return found


def test_one_trace_holds_a_request_its_statements_store_calls_and_jobs(
    stage: Stage, caller: User
) -> None:
    """In three processes, each span below the right one."""
    album = caller.album()["id"]
    trace_id, headers = sampled_by_caller()
    photo = caller.post_photo(heic(), album, filename="a.heic", headers=headers).json()
    request_name = "POST /api/photos"
    spans = stage.spans(trace_id, request_name, "job renditions", "job display")
    request, renditions, display = (
        named(spans, name) for name in (request_name, "job renditions", "job display")
    )
    assert request["parentSpanId"] == CALLER
    assert renditions["parentSpanId"] == request["spanId"], "who enqueued it"
    assert display["parentSpanId"] == renditions["spanId"]
    assert (request["kind"], renditions["kind"]) == (2, 5)
    assert request["resource"]["process.role"] == "web-1"
    assert renditions["resource"]["process.role"] == "jobs"
    assert request["attributes"]["http.response.status_code"] == 201
    assert renditions["attributes"]["job.result"] == "done"
    for parent, store, statement in (
        (request, "store put", "DELETE unreferenced_objects, INSERT photos, INSERT album_photos"),
        (renditions, "store get", "COMMIT"),
        (display, "store put", "COMMIT"),
    ):
        below = [span for span in spans if span.get("parentSpanId") == parent["spanId"]]
        assert {store, statement} <= {span["name"] for span in below}
        for span in below:
            if span["kind"] == 3:
                assert int(parent["startTimeUnixNano"]) - 5_000_000 < int(span["startTimeUnixNano"])
                assert span["status"] == {}
    told = json.dumps(spans)
    assert caller.email not in told
    assert "a.heic" not in told
    assert caller.tokens["access_token"] not in told
    # The lines of both processes name the trace.
    [line] = stage.lines(event="request", trace_id=trace_id)
    assert line["span_id"] == request["spanId"]
    [done] = stage.lines(message="job done", trace_id=trace_id, kind="renditions")
    assert done["span_id"] == renditions["spanId"]
    assert photo["id"] == done["subject"]


def test_the_store_gets_the_header_and_takes_what_is_signed(stage: Stage, caller: User) -> None:
    """By obstore, which signs it, and by the copy that obstore does not have. What a stranger wrote
    into `tracestate` stays here."""
    data = heic()
    presigned = caller.presign(caller.album()["id"], data, content_type="image/heic")
    put(presigned, data).raise_for_status()
    trace_id, headers = sampled_by_caller()
    headers["tracestate"] = "vendor=a  b,other=<script>"
    body = {"photo_id": presigned["photo_id"]}
    caller.api.post("/photos/confirm", json=body, headers=headers).raise_for_status()
    request = named(stage.spans(trace_id, "POST /api/photos/confirm"), "POST /api/photos/confirm")
    heads = [head for head in stage.calls_of_store(trace_id) if request["spanId"] in head]
    assert any(head.startswith("GET ") for head in heads)
    assert any("x-amz-copy-source" in head.lower() for head in heads)
    for head in heads:
        sent = {
            name.lower(): value
            for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])
        }
        assert sent["traceparent"] == f"00-{trace_id}-{request['spanId']}-01"
        assert "SignedHeaders=" in sent["authorization"]
        assert "tracestate" not in sent
    before = len(stage.relay.heads)
    caller.upload()
    others = list(stage.relay.heads)[before:]
    assert others
    assert not [head for head in others if "traceparent" in head.lower()]


def test_what_is_not_sampled_goes_into_lines_and_to_jobs_only(stage: Stage, caller: User) -> None:
    trace_id = secrets.token_hex(16)
    headers = {"traceparent": f"00-{trace_id}-{CALLER}-00"}
    caller.post_photo(headers=headers).raise_for_status()
    eventually(lambda: stage.lines(message="job done", trace_id=trace_id), 30)
    assert len(stage.lines(event="request", trace_id=trace_id)) == 1
    assert stage.calls_of_store(trace_id) == []
    later, flagged = sampled_by_caller()
    caller.api.get("/albums", headers=flagged)
    stage.spans(later, "GET /api/albums")
    assert [span for span in stage.traces.kept() if span["traceId"] == trace_id] == []


def test_a_failing_statement_and_store_are_told_without_what_was_given(
    stage: Stage, caller: User
) -> None:
    trace_id, headers = sampled_by_caller()
    stage.relay.answers(503, "SlowDown", only="PUT")
    try:
        answer = caller.post_photo(headers=headers)
        assert answer.status_code == 503
    finally:
        stage.relay.passes()
    spans = stage.spans(trace_id, "POST /api/photos", "store put")
    assert named(spans, "POST /api/photos")["status"] == {"code": 2}
    puts = [span for span in spans if span["name"] == "store put"]
    assert {span["attributes"]["store.result"] for span in puts} == {"unavailable"}
    assert all(span["status"] == {"code": 2} for span in puts)


def test_no_stranger_s_trace_is_a_label(stage: Stage, caller: User) -> None:
    trace_id, headers = sampled_by_caller()
    caller.api.get("/albums", headers=headers | {"tracestate": "a=secret-of-mine"})
    stage.spans(trace_id, "GET /api/albums")
    eventually(lambda: stage.scrape().total("photo_api_traces_total", decision="caller") >= 1)
    text = stage.scrape().text
    assert trace_id not in text
    assert "secret-of-mine" not in text
    assert "secret-of-mine" not in stage.service.log


def test_a_drain_gives_the_last_spans_of_all_processes(stage: Stage, caller: User) -> None:
    """After a time in which the collector took nothing, strangers wanted more than they are allowed
    and spans were lost: no request noticed. Ends the stage, so it is the last that has it."""
    stage.traces.behave(answers=[[503, "", {}]] * 100_000)
    before, began = stage.believed(), time.monotonic()
    for _ in range(100):
        _, headers = sampled_by_caller()
        assert caller.api.get("/albums", headers=headers).status_code == 200
    seconds = time.monotonic() - began
    eventually(lambda: sum(stage.believed()) - sum(before) == 100)
    believed, refused = stage.believed()
    assert refused > before[1]
    assert believed - before[0] <= STRANGERS * (1 + seconds)

    def lost() -> bool:
        caller.api.get("/albums", headers=sampled_by_caller()[1]).raise_for_status()
        return stage.scrape().total("photo_api_spans_lost_total", process="web") > 0

    eventually(lost, 30)
    assert 0 < stage.scrape().total("photo_api_spans_waiting", process="web") <= QUEUE
    trace_id, headers = sampled_by_caller()
    photo = caller.post_photo(headers=headers).raise_for_status().json()
    caller.rendered(photo["id"])
    stage.traces.behave()
    assert stage.service.stop() == 0
    ended = stage.spans(trace_id, "job renditions", "POST /api/photos")
    assert {span["resource"]["process.role"] for span in ended} == {"web-1", "jobs"}
    assert "spans were lost on their way to the traces sink" in stage.service.log


def test_off_nothing_is_sent_and_lines_still_name_the_trace(service: Service, alice: User) -> None:
    trace_id, headers = sampled_by_caller()
    alice.api.get("/albums", headers=headers).raise_for_status()
    lines = [line for line in service.log.splitlines() if trace_id in line]
    assert [json.loads(line)["event"] for line in lines] == ["request"]
    assert "photo_api_spans" not in [
        line.split("{")[0] for line in httpx.get(f"{service.url}/metrics").text.splitlines()
    ]


GOOD = f"00-{'4bf92f3577b34da6a3ce929d0e0e4736'}-{CALLER}-01"


@pytest.mark.parametrize(
    "given",
    [
        [],
        [GOOD, GOOD],
        [GOOD[:-1]],
        [GOOD + "-what-else"],
        [GOOD + " "],
        [GOOD.upper()],
        [GOOD.replace("00-", "ff-", 1)],
        [GOOD.replace(CALLER, "0" * 16)],
        [f"00-{'0' * 32}-{CALLER}-01"],
        ["cc" + GOOD[2:] + "." + "x"],
        ["cc" + GOOD[2:] + "-" + "x" * 500],
        ["00-4bf92f3577b34da6a3ce929d0e0e473\n-00f067aa0ba902b7-01"],
        [GOOD + "\n"],
    ],
)
def test_what_is_no_traceparent_starts_no_trace(given: list[str]) -> None:
    assert caller_of([(b"traceparent", one.encode()) for one in given]) is None


def test_a_traceparent_is_read_as_far_as_its_version_is_known() -> None:
    later = "cc" + GOOD[2:] + "-what-comes-later"
    for text, flag in ((GOOD, True), (GOOD[:-1] + "2", False), (later, True)):
        found = caller_of([(b"traceparent", text.encode())])
        assert found is not None
        assert (found.trace_id, found.span_id, found.sampled) == (GOOD[3:35], CALLER, flag)


@pytest.mark.parametrize(
    ("ratio", "least", "most"), [(0.0, 0, 0), (0.1, 30, 300), (1.0, 1000, 1000)]
)
def test_of_requests_without_a_trace_so_many_are_sampled(
    ratio: float, least: int, most: int
) -> None:
    for take, bounds in ((list[bytes]().append, (least, most)), (None, (0, 0))):
        tracer = Tracer(log_settings(trace_ratio=ratio), Counts(), take)
        traces = [trace for _ in range(1000) if (trace := tracer.of_request([]))]
        assert bounds[0] <= len(traces) <= bounds[1]
        assert all(trace.sampled and not trace.parent for trace in traces)


def test_strangers_are_believed_within_an_allowance() -> None:
    counts, lines = Counts(), list[bytes]()
    tracer = Tracer(log_settings(trace_strangers=5.0), counts, lines.append)
    traces = [tracer.of_request([(b"traceparent", GOOD.encode())]) for _ in range(1000)]
    believed = [trace for trace in traces if trace and trace.sampled]
    assert 5 <= len(believed) < 100
    assert counts.sums[TRACES]["caller",] == len(believed)
    assert counts.sums[TRACES]["beyond_limit",] == 1000 - len(believed)
    beyond = next(trace for trace in traces if trace and not trace.sampled)
    assert beyond.traceparent == f"00-{GOOD[3:35]}-{beyond.span_id}-00"
    assert not Allowance(0).take()


def test_the_store_is_not_told_where_that_is_off() -> None:
    for store, told in (("on", True), ("off", False)):
        settings = log_settings(trace_ratio=1.0, trace_store=store)
        trace = Tracer(settings, Counts(), list[bytes]().append).of_request([])
        assert trace is not None
        begin(trace)
        assert sampled() is trace
        assert (sampled_for_store() is trace) is told
        trace.ended = True


def test_a_trace_has_a_bounded_number_of_spans_and_none_after_its_end() -> None:
    lines = list[bytes]()
    tracer = Tracer(log_settings(), Counts(), lines.append)
    trace = Trace(GOOD[3:35], sampled=True)
    begin(trace)
    for _ in range(MOST_SPANS + 10):
        record("store head", 0.001)
    tracer.end_request(trace, "BREW", "/api/albums", 200, 0.1, "an-id")
    record("store head", 0.001)
    assert current() is None, "for a task that goes on"
    assert len(lines) == MOST_SPANS + 1
    own = json.loads(lines[-1])["span"]
    assert own["name"] == "_OTHER /api/albums"
    assert own["attributes"]["spans.left_out"] == 10


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SELECT id FROM photos WHERE id = $1 FOR UPDATE", "SELECT photos"),
        ("WITH a AS (SELECT 1 FROM albums) SELECT * FROM a", "SELECT albums"),
        ("INSERT INTO a VALUES ($1) ON CONFLICT DO UPDATE SET b = 1", "INSERT a"),
        ("WITH m AS (SELECT FROM p FOR NO KEY UPDATE) UPDATE photos p SET a = 1", "UPDATE photos"),
        ("BEGIN;", "BEGIN"),
    ],
)
def test_a_statement_s_name_says_what_it_does(text: str, name: str) -> None:
    assert name_of(text) == name

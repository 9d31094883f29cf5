"""How counts are kept, sent, added up and written down."""

import asyncio
import json
import math
import re
from asyncio import CancelledError
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect

from photo_api.app import add_routes
from photo_api.errors import ApiError, Code
from photo_api.http.docs import install_docs
from photo_api.metrics import counts as module
from photo_api.metrics.counts import (
    LONGEST_MESSAGE,
    MOST_SERIES,
    Counts,
    Gauges,
    gauges_from,
    gauges_line,
    results,
)
from photo_api.metrics.declared import (
    CPU_SECONDS,
    FLEET_USERS,
    IN_FLIGHT,
    LOGINS,
    METHODS,
    METRICS,
    REQUEST_DURATION,
    REQUESTS,
    RESIDENT_MEMORY,
    TOKEN_CHECKS,
    UPLOADS,
)
from photo_api.metrics.exposition import exposition, wants_openmetrics
from photo_api.metrics.metric import OTHER
from photo_api.metrics.reporting import MOST_WAITING, NoAnswer, Reporting, pieces
from photo_api.supervisor.control_channel import LONGEST, ControlChannel
from photo_api.supervisor.metrics import InstanceMetrics
from photo_api.supervisor.spawning import socket_pair

METRICS_DOC = Path(__file__).parent.parent.parent / "docs/metrics.md"
ALBUMS = "GET", "/api/albums", "200"


def _sent(counts: Counts, into: Counts) -> list[str]:
    messages = list(counts.take())
    for message in messages:
        into.merge(message)
    return messages


def test_what_is_reported_is_added_up_once() -> None:
    worker, supervisor = Counts(), Counts()
    for _ in range(3):
        worker.add(REQUESTS, *ALBUMS)
        worker.observe(REQUEST_DURATION, 0.3, *ALBUMS[:2], request_id="abc")
    assert _sent(worker, supervisor)
    assert not _sent(worker, supervisor)
    worker.add(REQUESTS, *ALBUMS, by=2)
    _sent(worker, supervisor)
    assert supervisor.sums[REQUESTS] == {ALBUMS: 5}
    found = supervisor.buckets[REQUEST_DURATION][ALBUMS[:2]]
    assert sum(found.counts) == 3
    assert found.total == pytest.approx(0.9)
    [example] = found.exemplars.values()
    assert (example.amount, example.request_id) == (0.3, "abc")


def test_a_report_is_bounded_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)
    worker, supervisor = Counts(), Counts()
    routes = [f"/{'x' * 70}/{a}{b}" for a in "abcdefghij" for b in "abcdefghijklmnopqrstuvwxyz"]
    for route in routes:
        worker.observe(REQUEST_DURATION, 1, "GET", route, request_id="x" * 100)
        worker.observe(REQUEST_DURATION, 9, "GET", route, request_id="x" * 100)
    reports = 0
    while messages := _sent(worker, supervisor):
        reports += 1
        assert sum(map(len, messages)) < 110_000
        assert max(map(len, messages)) <= LONGEST_MESSAGE + 1000 < LONGEST
    assert reports > 1
    assert len(supervisor.buckets[REQUEST_DURATION]) == len(routes)


def test_counting_goes_on_while_a_report_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST_MESSAGE", 1)
    worker, supervisor = Counts(), Counts()
    worker.add(REQUESTS, *ALBUMS)
    worker.add(LOGINS, "ok")
    for number, message in enumerate(worker.take()):
        supervisor.merge(message)
        if number < 5:
            worker.add(TOKEN_CHECKS, "ok")
            worker.observe(REQUEST_DURATION, 1, *ALBUMS[:2])
    _sent(worker, supervisor)
    assert supervisor.sums[REQUESTS] == {ALBUMS: 1}
    assert supervisor.sums[LOGINS]["ok",] == 1
    counted = sum(supervisor.buckets[REQUEST_DURATION][ALBUMS[:2]].counts)
    assert counted == supervisor.sums[TOKEN_CHECKS]["ok",] > 1


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_that_is_none_ends_no_scrape(number: float) -> None:
    written = exposition(Counts(), {(IN_FLIGHT.name, ()): number}, openmetrics=False)
    assert float(written.rpartition("http_requests_in_flight ")[2].split()[0]) is not None


def test_the_number_of_series_is_bounded() -> None:
    counts = Counts()
    letters = "abcdefghijklmnopqrstuvwxyz"
    for number in range(2 * MOST_SERIES):
        a, rest = divmod(number, 26 * 26)
        route = "/" + letters[a] + letters[rest // 26] + letters[rest % 26]
        counts.add(REQUESTS, "GET", route, "200")
    series = counts.sums[REQUESTS]
    assert len(series) == MOST_SERIES + 1
    assert series[OTHER, OTHER, OTHER] == MOST_SERIES


@pytest.mark.parametrize(
    "route",
    [
        "/api/photos/17",
        "/api/share/h4Zr3p1f0aXw",
        "/2001:db8::1",
        "/a b",
        "/" + "a" * 99,
        "you@a.kr",
    ],
)
def test_no_id_token_or_address_is_a_handler(route: str) -> None:
    counts = Counts()
    counts.add(REQUESTS, "PROPFIND", route, "20000")
    assert counts.sums[REQUESTS] == {(OTHER, OTHER, OTHER): 1}


@pytest.mark.parametrize(
    "entry",
    [
        ["http_requests_total", ["GET", "/", "200"], -5],
        ["http_requests_total", ["GET", "/"], 5],
        ["of_another_release_total", [], 5],
        ["http_requests_in_flight", [], 5],
        ["http_request_duration_seconds", ["GET", "/"], [1, 2], 3.0, {}],
        ["http_request_duration_seconds", ["GET", "/"], [-1] * 13, 3.0, {}],
    ],
)
def test_what_is_not_understood_is_left_out(entry: list[object]) -> None:
    supervisor = Counts()
    good = ["http_requests_total", list(ALBUMS), 1]
    supervisor.merge(json.dumps([entry, good]))
    assert supervisor.sums[REQUESTS] == {ALBUMS: 1}
    assert not supervisor.buckets[REQUEST_DURATION]


def test_sums_that_others_keep_are_followed_and_never_fall() -> None:
    worker, supervisor = Counts(), Counts()
    used = [3.0, 4.5, 2.0, 4.5, 5.0]
    left = iter(used)
    worker.watch(CPU_SECONDS, "web", read=lambda: next(left))
    worker.watch(RESIDENT_MEMORY, "web", read=lambda: 17)
    seen = []
    for _ in used:
        _sent(worker, supervisor)
        seen.append(supervisor.sums[CPU_SECONDS]["web",])
    assert seen == [3.0, 4.5, 4.5, 4.5, 5.0]
    gauges = gauges_from(gauges_line(worker.gauges()))
    assert gauges == {("photo_api_resident_memory_bytes", ("web",)): 17}


def test_what_can_happen_stands_there_before_it_has() -> None:
    text = exposition(Counts(), {}, openmetrics=False)
    assert 'photo_api_worker_deaths_total{process="jobs"} 0\n' in text


def test_the_text_format() -> None:
    counts = Counts()
    counts.add(REQUESTS, *ALBUMS, by=2)
    counts.observe(REQUEST_DURATION, 0.3, *ALBUMS[:2], request_id="abc")
    gauges: Gauges = {(IN_FLIGHT.name, ()): 4.0}
    text = exposition(counts, gauges, openmetrics=False)
    series = 'method="GET",handler="/api/albums"'
    for line in (
        "# TYPE http_requests_total counter",
        f'http_requests_total{{{series},status="200"}} 2',
        f'http_request_duration_seconds_bucket{{{series},le="0.25"}} 0',
        f'http_request_duration_seconds_bucket{{{series},le="0.5"}} 1',
        f'http_request_duration_seconds_bucket{{{series},le="+Inf"}} 1',
        f"http_request_duration_seconds_sum{{{series}}} 0.3",
        f"http_request_duration_seconds_count{{{series}}} 1",
        "http_requests_in_flight 4",
    ):
        assert f"{line}\n" in text
    counts.observe(REQUEST_DURATION, 9, *ALBUMS[:2], request_id="x" * 118)
    counts.observe(REQUEST_DURATION, 99, *ALBUMS[:2], request_id="x" * 119)
    openly = exposition(counts, gauges, openmetrics=True)
    labels = re.findall(r' # \{(request_id)="(x+)"\}', openly)
    assert [len(name) + len(value) for name, value in labels] == [128], "OpenMetrics takes no more"
    assert 'le="0.5"} 1 # {request_id="abc"} 0.3 ' in openly
    assert openly.endswith("\n# EOF\n")


OLD = "application/openmetrics-text;version=0.0.1"
OF_PROMETHEUS = [  # acceptHeader in scrape/scrape.go of 2.42, and of 3.x without and with protobuf
    f"application/openmetrics-text;version=1.0.0,{OLD};q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    *(
        f"{before}application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,{OLD};q=0.4,"
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        for before in (
            "",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily"
            ";encoding=delimited;q=0.6,",
        )
    ),
]


@pytest.mark.parametrize(
    ("accept", "openly"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        ("application/openmetrics-text", True),
        ("text/plain;q=0.5, application/openmetrics-text; version=1.0.0; q=0.6", True),
        ("text/plain;q=0.6, application/openmetrics-text; version=1.0.0; q=0.5", False),
        ("text/plain, application/openmetrics-text;q=0.1", False),
        ("application/openmetrics-text;q=0, text/plain", False),
        ("application/openmetrics-text;q=0,application/openmetrics-text;version=1.0.0", True),
        ('Application/OpenMetrics-Text; Version="1.0.0" ; Q=0.3', True),
        ("application/openmetrics-text;version=0.0.1", False),
        ("application/openmetrics-text;version=2.0.0,text/plain;q=0.5", False),
        ("xapplication/openmetrics-text, application/openmetrics-textual", False),
        ("application/openmetrics-text;q=nan,;;=,application/openmetrics-text;q=1e9", False),
        *((accept, True) for accept in OF_PROMETHEUS),
    ],
)
def test_openmetrics_is_negotiated(accept: str, openly: bool) -> None:
    assert wants_openmetrics(accept) is openly


async def test_a_long_answer_comes_in_pieces_that_the_channel_takes() -> None:
    text = "".join(f'photo_api_info{{node="서울-{number}"}} 1\n' for number in range(9000))
    sent: list[str] = []

    async def send(event: str) -> None:
        name, _, value = event.partition(" ")
        if name == "scrape":
            commands = pieces(value.partition(" ")[0], text)
            sent.extend(commands)
            for command in commands[::-1]:
                reporting.take_piece("0 0 1\nof an earlier question")
                reporting.take_piece(command.partition(" ")[2])

    reporting = Reporting("web", send)
    assert await reporting.scrape(openmetrics=False) == text
    assert len(sent) > 5
    assert len({command.partition(" ")[0] for command in sent}) == len(sent)
    assert max(len(command.encode()) for command in sent) < LONGEST


async def test_a_supervisor_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("photo_api.metrics.reporting.PATIENCE", 0.05)

    asked: list[str] = []

    async def send(event: str) -> None:
        asked.append(event.partition(" ")[0])

    reporting = Reporting("web", send)
    everybody = [reporting.scrape(openmetrics=True) for _ in range(3 * MOST_WAITING)]
    answers = await asyncio.gather(*everybody, return_exceptions=True)
    assert {type(answer) for answer in answers} == {NoAnswer}
    assert asked.count("scrape") == 1


async def test_an_answer_about_the_fleet_that_comes_late_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From a worker that stood still meanwhile: sums would fall, and then rise at once."""
    monkeypatch.setattr("photo_api.supervisor.metrics.LOOK_AT_FLEET", 0.01)
    asked: asyncio.Queue[str] = asyncio.Queue()
    slot: Any = SimpleNamespace(name="web-1", ready=asyncio.Event(), send=asked.put_nowait)
    slot.ready.set()
    unused: Any = None
    metrics = InstanceMetrics(Counts(), unused, [slot], unused, unused, unused, unused)
    keeping = asyncio.create_task(metrics.keep())
    first, second = [(await asked.get()).partition(" ")[2] for _ in range(2)]
    keeping.cancel()
    for number, question in ((7.0, second), (3.0, first)):
        metrics.take(unused, "fleet", f"{question} {gauges_line({(FLEET_USERS.name, ()): number})}")
    assert metrics._fleet[1] == {(FLEET_USERS.name, ()): 7}


async def test_what_a_supervisor_did_not_take_in_time_is_counted_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A scrape gives up after its time; the supervisor, stopped or busy, lives."""
    monkeypatch.setattr("photo_api.metrics.reporting.PATIENCE", 0.05)
    ours, theirs = socket_pair()
    with ours:
        channel = ControlChannel(theirs.detach())
        reporting = Reporting("web", channel.send)
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                while True:  # it hears, and does not read
                    await channel.send("load {}")
        for _ in range(3):
            reporting.counts.add(REQUESTS, *ALBUMS)
            reporting.counts.observe(REQUEST_DURATION, 0.3, *ALBUMS[:2])
            with pytest.raises(NoAnswer):
                await reporting.scrape(openmetrics=True)
        supervisor = Counts()
        with suppress(BlockingIOError):
            while True:
                event, _, value = ours.recv(LONGEST).decode().partition(" ")
                supervisor.merge(value if event == "counts" else "[]")
        _sent(reporting.counts, supervisor)
    assert supervisor.sums[REQUESTS] == {ALBUMS: 3}
    assert sum(supervisor.buckets[REQUEST_DURATION][ALBUMS[:2]].counts) == 3


def test_every_metric_has_a_name_that_says_what_it_is() -> None:
    for name, metric in METRICS.items():
        assert name.startswith(("photo_api_", "http_"))
        assert name.endswith("_total") is (metric.kind == "counter")
        if metric.kind == "histogram":
            assert list(metric.edges) == sorted(metric.edges)


def routes() -> list[Any]:
    """Those of a web worker that have a template and methods."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    add_routes(app)
    install_docs(app)
    return [route for route in app.routes if getattr(route, "methods", None)]


def test_every_route_is_a_handler() -> None:
    paths = [route.path for route in routes()]
    assert len(paths) > 30
    handlers = REQUESTS.labels["handler"]
    assert isinstance(handlers, re.Pattern)
    assert [path for path in paths if not handlers.fullmatch(path)] == []


def test_an_instance_tells_no_more_series_than_the_documents_say() -> None:
    """Whatever it is sent: a route's own methods, any method without a route, and their answers."""
    pairs = sum(len(route.methods) for route in routes()) + len(METHODS) + 1
    statuses = {code.status for code in Code} | {200, 201, 204, 206, 302, 304, 499, 500}
    most = 0
    for metric in METRICS.values():
        series = 1
        for allowed in metric.labels.values():
            series *= 1 if isinstance(allowed, re.Pattern) else len(allowed)
        if "handler" in metric.labels:
            series = pairs * (len(statuses) if "status" in metric.labels else 1)
        most += series * (len(metric.edges) + 3 if metric.kind == "histogram" else 1)
    documented = re.search(r"at most ([0-9],[0-9]{3}) series", METRICS_DOC.read_text())
    assert documented
    assert 0.5 < most / int(documented[1].replace(",", "")) <= 1, most


def test_results_are_counted_however_a_block_ends() -> None:
    counts = Counts()
    endings: list[BaseException | None] = [
        None, ApiError(Code.NOT_FOUND, ""), ClientDisconnect(), KeyError(), CancelledError(),
    ]  # fmt: skip
    for error in endings:
        with suppress(BaseException), results(counts, UPLOADS, "server"):
            if error is not None:
                raise error
    told = {values[1]: number for values, number in counts.sums[UPLOADS].items()}
    assert told == {"ok": 1, "not_found": 1, "client_gone": 1, "failed": 2}

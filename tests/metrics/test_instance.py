"""What an instance with two web workers tells Prometheus, as one."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from http.client import HTTPConnection
from uuid import uuid4

import httpx
import psutil
import pytest

from photo_api.http.middleware import count_for_objective
from photo_api.metrics.counts import Counts
from photo_api.metrics.declared import METRICS, OBJECTIVE_REQUESTS, UNMATCHED
from photo_api.metrics.exposition import OPENMETRICS as OPENMETRICS_TYPE
from photo_api.metrics.metric import OTHER
from photo_api.settings.key_dates import date_of
from tests.metrics.scraping import OPENMETRICS, Prometheus, Scraped, prometheus, scrape
from tests.metrics.test_counts import routes
from tests.service import Service, eventually, running_service

NODE, REGION = 'a"b\\n\\\\ 서울}{#', '"'
ALBUMS = {"handler": "/api/albums", "method": "GET", "status": "401"}


@pytest.fixture(scope="module")
def instance(
    environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("instance")
    named = environ | {"PHOTO_API_NODE_NAME": NODE, "PHOTO_API_REGION": REGION}
    with running_service(named, folder, "--workers", "2") as running:
        eventually(lambda: len(running.children("web_worker")) == 2)
        yield running


@pytest.fixture(scope="module")
def watched(instance: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    target = instance.url.removeprefix("http://")
    with prometheus(tmp_path_factory.mktemp("prometheus"), target) as server:
        eventually(lambda: server.query("up == 1"), 20)
        yield server


def _refused(instance: Service, times: int) -> None:
    """Requests over connections of their own, which both workers get."""
    for _ in range(times):
        assert httpx.get(f"{instance.url}/api/albums").status_code == 401


def test_all_workers_requests_are_counted_whichever_is_asked(instance: Service) -> None:
    before = scrape(instance.url).total("http_requests_total", **ALBUMS)
    _refused(instance, 30)

    def complete() -> bool:
        numbers = [scrape(instance.url).total("http_requests_total", **ALBUMS) for _ in range(6)]
        return set(numbers) == {before + 30}

    eventually(complete)
    now = scrape(instance.url)
    labels = {"handler": "/api/albums", "method": "GET"}
    counted = now.total("http_request_duration_seconds_count", **labels)
    assert counted == now.total("http_requests_total", **labels)
    assert counted == now.total("http_request_duration_seconds_bucket", **labels, le="+Inf")

    def whole() -> bool:  # which it is a while after its first worker answers
        seen = scrape(instance.url)
        return (seen.total("photo_api_ready"), seen.total("photo_api_workers")) == (1, 2)

    eventually(whole)


SUMS = '{__name__=~"(http|photo_api)_.+_(total|count|sum|bucket)"}'


@pytest.mark.needs("prometheus", "promtool")
def test_no_sum_falls_when_processes_are_killed(instance: Service, watched: Prometheus) -> None:
    """Nor at a SIGHUP: each counter and bucket that Prometheus has seen, of whichever process."""
    _refused(instance, 20)
    counted = scrape(instance.url)
    before = counted.total("http_requests_total", **ALBUMS)
    deaths = {of: counted.total("photo_api_worker_deaths_total", process=of) for of in DYING}
    eventually(lambda: watched.query("sum(http_requests_total)"))
    began = time.monotonic()
    for process, module in DYING.items():
        eventually(partial(instance.children, module))[0].kill()
        instance.process.send_signal(signal.SIGHUP)
        died = f"photo_api_worker_deaths_total{{process='{process}'}} > {deaths[process]}"
        eventually(partial(watched.query, died), 20)
    eventually(lambda: scrape(instance.url).total("photo_api_workers") == 2, 20)
    _refused(instance, 20)
    eventually(lambda: scrape(instance.url).total("http_requests_total", **ALBUMS) >= before + 20)
    seen = watched.query(f"{SUMS}[{int(time.monotonic() - began) + 3}s]")
    assert {one["metric"].get("process") for one in seen} >= {"web", "jobs", "main"}
    for one in seen:
        numbers = [float(number) for _, number in one["values"]]
        assert numbers == sorted(numbers), one["metric"]


DYING = {"web": "web_worker", "jobs": "job_worker"}


@pytest.mark.needs("prometheus", "promtool")
def test_promtool_finds_nothing_to_say(instance: Service) -> None:
    text = httpx.get(f"{instance.url}/metrics").text
    said = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


@pytest.mark.needs("prometheus", "promtool")
def test_an_exemplar_names_a_request_that_the_log_knows(
    instance: Service, watched: Prometheus
) -> None:
    def found() -> list[str]:
        now = time.time()
        query = "http_request_duration_seconds_bucket"
        series = watched.ask("query_exemplars", query=query, start=now - 60, end=now)
        return [one["labels"]["request_id"] for item in series for one in item["exemplars"]]

    _refused(instance, 3)
    assert any(f'"request_id":"{one}"' in instance.log for one in eventually(found, 20))


def test_openmetrics_is_for_those_who_ask_for_it(instance: Service) -> None:
    plain = httpx.get(f"{instance.url}/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    open_ = httpx.get(f"{instance.url}/metrics", headers=OPENMETRICS)
    assert open_.headers["content-type"] == OPENMETRICS_TYPE
    assert open_.text.endswith("\n# EOF\n")
    assert "# TYPE http_requests counter\n" in open_.text
    assert " # {request_id=" in open_.text
    assert " # {request_id=" not in plain.text
    assert Scraped(open_.text.removesuffix("# EOF\n")).names() == Scraped(plain.text).names()


HOSTILE = (
    "PROPFIND",
    "get",
    "TRACE",
    "FOO",
    "HEAD",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "PUT",
    "POST",
    "GET",
)


@pytest.mark.needs("prometheus", "promtool")
def test_what_clients_send_becomes_no_label(instance: Service, watched: Prometheus) -> None:
    """Nor many series: thousands of paths and every method on every route are a few handlers."""
    token = uuid4().hex
    paths = [f"/{token}{number}" for number in range(300)]
    paths += [
        f"/api/share/{token}",
        "/api/photos/8675309",
        f"/api/{token}/x",
        "/api/albums/8675309",
    ]
    paths += [f"/api/share/{token}/photos/8675309/image", "/health", "/api/auth/login", "/metrics"]
    _send(instance, [("GET", path) for path in paths], token)
    _send(instance, [(method, path) for method in HOSTILE for path in paths[300:]], token)
    eventually(lambda: scrape(instance.url).total("http_requests_total", method=OTHER) >= 24)
    now = scrape(instance.url)
    told = [dict(labels) for name, labels in now.samples if name == "http_requests_total"]
    matched = {(one["method"], one["handler"]) for one in told if one["handler"] != UNMATCHED}
    assert matched <= {(method, route.path) for route in routes() for method in route.methods}
    for name, labels in now.samples:
        metric = METRICS.get(name) or METRICS[re.sub("_(bucket|sum|count)$", "", name)]
        given = {key: value for key, value in labels if key != "le"}
        assert set(given) == set(metric.labels)
        values = tuple(given[key] for key in metric.labels)
        assert metric.bounded(values) == values
        assert not any(token[:20] in value.lower() or "8675309" in value for value in values)
    [info] = watched.query("photo_api_info")
    assert (info["metric"]["node"], info["metric"]["region"]) == (NODE, REGION)
    # Prometheus takes a page with these as it took those before.
    eventually(
        lambda: watched.query(f'http_requests_total{{method="{OTHER}"}} and on () up == 1'), 20
    )


def _send(instance: Service, requests: list[tuple[str, str]], token: str) -> None:
    """In one connection, with headers as they are not meant."""
    hostile = {
        "X-Request-ID": f'"}}{token}\\',
        "X-Forwarded-For": f'"\\{{{token}',
        "Accept": "\xff;q=,",
    }
    connection = HTTPConnection(instance.url.removeprefix("http://"), timeout=30)
    for method, path in requests:
        connection.request(method, path, headers=hostile)
        connection.getresponse().read()
    connection.close()


def test_a_scrape_without_the_supervisor_is_refused_and_holds_nothing_up(
    instance: Service,
) -> None:
    supervisor = psutil.Process(instance.process.pid)
    supervisor.suspend()
    try:
        began = time.monotonic()
        answer = httpx.get(f"{instance.url}/metrics", timeout=20)
        assert (answer.status_code, answer.text) == (503, "the supervisor does not answer\n")
        assert httpx.get(f"{instance.url}/health/live").status_code == 200
        assert time.monotonic() - began < 15
    finally:
        supervisor.send_signal(signal.SIGCONT)
    eventually(lambda: httpx.get(f"{instance.url}/metrics").status_code == 200)


def test_behind_a_balancer_that_passes_everything_on_a_token_is_wanted(
    start_service: Callable[..., Service],
) -> None:
    guarded = start_service("--no-jobs", METRICS_ACCESS="token")
    token = guarded.environ["PHOTO_API_OPS_TOKEN"]
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": token + "x"}):
        answer = httpx.get(f"{guarded.url}/metrics", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    answer = httpx.get(f"{guarded.url}/metrics", headers={"Authorization": f"Bearer {token}"})
    assert "photo_api_ready 1\n" in answer.text


@pytest.mark.parametrize(
    ("kid", "day"),
    [
        ("2026", "2026-01-01"),
        ("jwt-2026-11", "2026-11-01"),
        ("k20261126b", "2026-11-26"),
        ("2026-02-31", None),
        ("dev", None),
        ("520261", None),
    ],
)
def test_a_key_s_id_may_tell_when_it_was_made(kid: str, day: str | None) -> None:
    made = date_of(kid)
    assert (made and datetime.fromtimestamp(made, UTC).date().isoformat()) == day


def test_what_counts_for_an_objective(instance: Service) -> None:
    """Answers and refusals of the API do; probes, pages and what leads nowhere do not."""
    name = "photo_api_objective_requests_total"
    before = scrape(instance.url)
    assert {"failed", "ok"} == {
        dict(labels)["result"] for one, labels in before.samples if one == name
    }, "from the start, so that the first failure is an increase"
    _refused(instance, 3)
    assert httpx.post(f"{instance.url}/api/albums", json={}).status_code == 401
    for path in ("/api/health", "/health", "/nowhere", "/api/nowhere"):
        httpx.get(instance.url + path)

    def grown(objective: str) -> float:
        return scrape(instance.url).total(name, objective=objective) - before.total(
            name, objective=objective
        )

    eventually(lambda: grown("writes") == 1)
    eventually(lambda: grown("reads") == 3)
    counts = Counts()
    for method, route, status in [
        ("GET", "/api/albums", 499),
        ("GET", "/api/health/ready", 503),
        ("GET", UNMATCHED, 404),
        ("GET", UNMATCHED, 503),
        ("POST", "/api/photos", 503),
    ]:
        count_for_objective(counts, method, route, status)
    assert counts.sums[OBJECTIVE_REQUESTS] == {("reads", "failed"): 1, ("writes", "failed"): 1}

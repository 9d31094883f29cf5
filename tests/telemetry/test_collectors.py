"""Lines on their way to Loki, to NHN's Log & Crash and to an OTLP collector: what arrives, what is
sent again, what is lost and counted, and that nothing waits for them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from photo_api.telemetry.http_sink import HttpSink
from photo_api.telemetry.logs import Logs
from photo_api.telemetry.shipping import LogQueue
from photo_api.telemetry.sinks import open_log_queues
from tests.certificates import Authority
from tests.own_stage import own_database
from tests.service import Service, eventually, free_port, jpeg
from tests.telemetry.log_settings import log_settings
from tests.telemetry.running import Running, collector

StartService = Callable[..., Service]
KINDS = ("loki", "nhn", "otlp")
NOW = f"{datetime.now(UTC):%Y-%m-%dT%H:%M}:00.%06dZ"

SPEAKER = """
import json, logging, os, signal, sys, time
from photo_api.telemetry.logs import log_shipping, open_access_log
from tests.telemetry.log_settings import IDENTITY, log_settings
settings = log_settings(**json.loads(sys.argv[1]))
with log_shipping(settings, IDENTITY, "web-1", 20) as logs:
    access_log = open_access_log(settings, IDENTITY, "web-1", logs)
"""

TALKATIVE = """
    for number in range(1500):
        access_log(number=number, route="/api/photos", status=200, ms=0.5, user_id=None)
    try:
        1 / 0
    except ZeroDivisionError:
        fields = {"number": 1500, "list": [1, {"a": None}], "is": True, "a key": 1}
        fields["text"] = "쌍" * 5000
        logging.exception("failed " + "x" * 300_000, extra={"fields": fields})
"""

KILLED = """
    for number in range(1000):
        access_log(number=number)
    while logs.state()["waiting"]:
        time.sleep(0.01)
    for number in range(1000, 1100):
        access_log(number=number)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of this process's queues are gathered for a moment only."""
    monkeypatch.setattr(HttpSink, "gathering", 0.1)


@pytest.fixture(params=KINDS)
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    with collector(request.param, tmp_path) as running:
        yield running


@pytest.fixture
def loki(tmp_path: Path) -> Iterator[Running]:
    with collector("loki", tmp_path) as running:
        yield running


@pytest.fixture
def nhn(tmp_path: Path) -> Iterator[Running]:
    with collector("nhn", tmp_path) as running:
        yield running


@pytest.fixture
def otlp(tmp_path: Path) -> Iterator[Running]:
    with collector("otlp", tmp_path) as running:
        yield running


@contextmanager
def queue_to(running: Running, **more: Any) -> Iterator[LogQueue]:
    [queue] = open_log_queues(log_settings(**running.settings(**more)), "web-1")
    try:
        yield queue
    finally:
        queue.close(0)


def put(queue: LogQueue, numbers: range, message: str = "request %d") -> None:
    for number in numbers:
        line = {"time": NOW % number, "level": "INFO", "event": "message", "number": number}
        line |= {"message": message % number, "instance": "10.0.0.1", "process": "web-1"}
        queue.put(json.dumps(line).encode() + b"\n")


def empty(queue: LogQueue) -> None:
    eventually(lambda: queue.state()["waiting"] == 0, 40)


def speak(program: str, settings: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SPEAKER + program, json.dumps(settings)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_line_arrives_in_its_order_and_is_what_the_collector_takes(each: Running) -> None:
    done = speak(TALKATIVE, each.settings())
    assert (done.returncode, "log sink" in done.stderr) == (0, False), done.stderr[-2000:]
    assert each.numbers() == list(range(1501))
    assert {request["status"] for request in each.requests()} <= {200, 204}
    last = each.kept()[-1]
    if each.kind == "loki":
        origin = {"instance": "10.0.0.1", "process": "web-1", "level": "ERROR"}
        assert last["labels"] == {"job": "photo-api", **origin}
        assert last["line"]["traceback"].endswith("division by zero")
        assert last["line"]["boot"] == "boot-1"
    elif each.kind == "nhn":
        assert last["body"].endswith("division by zero")
        assert (last["host"], last["logLevel"], last["event"]) == ("10.0.0.1", "ERROR", "message")
        assert isinstance(last["sendTime"], int)
    else:
        assert last["resource"]["service.instance.id"] == "boot-1"
        assert (last["severity"], last["is"]) == ("ERROR", True)
        assert last["exception.stacktrace"].endswith("division by zero")


@pytest.mark.slow
def test_what_fits_outlives_a_collector_that_is_away_and_one_that_is_killed(each: Running) -> None:
    each.kill()
    with queue_to(each) as queue:
        put(queue, range(700))
        time.sleep(0.4)
        assert queue.state() == {"waiting": 700, "lost": 0}
        again = Running(each.kind, each.file, each.port)
        eventually(lambda: len(again.numbers()) >= 500, 30)
        again.kill()
        put(queue, range(700, 1400))
        last = Running(each.kind, each.file, each.port)
        try:
            empty(queue)
            assert queue.close(10) == 0
        finally:
            last.kill()
    # One that was killed before it answered gets the batch again.
    assert sorted(set(last.numbers())) == list(range(1400))


@pytest.mark.parametrize("status", [429, 503, 401])
def test_what_may_pass_is_sent_again_and_not_before_the_time_asked_for(
    loki: Running, status: int
) -> None:
    loki.behave(answers=[[status, "later", {"Retry-After": "1"}]])
    with queue_to(loki) as queue:
        put(queue, range(10))
        empty(queue)
        assert queue.close(5) == 0
    first, second = loki.requests()
    assert (first["status"], second["status"]) == (status, 204)
    assert second["at"] - first["at"] >= 0.99
    assert loki.numbers() == list(range(10))


def test_what_is_refused_for_good_is_counted_and_not_sent_again(each: Running) -> None:
    each.behave(answers=[[400, "malformed", {}]])
    with queue_to(each) as queue:
        put(queue, range(10))
        empty(queue)
        assert queue.state()["lost"] == 10
        put(queue, range(10, 20))
        empty(queue)
        assert queue.close(5) == 10
    assert each.numbers() == list(range(10, 20))


def test_loki_takes_a_batch_but_for_what_is_too_old(loki: Running) -> None:
    loki.behave(too_old=["request 3", "request 5"])
    with queue_to(loki) as queue:
        put(queue, range(10))
        empty(queue)
        assert queue.close(5) == 2
    assert len(loki.requests()) == 1
    assert loki.numbers() == [0, 1, 2, 4, 6, 7, 8, 9]


def test_loki_s_streams_keep_their_order_whatever_times_threads_bring(loki: Running) -> None:
    with queue_to(loki) as queue:
        for numbers in (range(50, 60), range(40, 50), range(30, 40)):
            put(queue, numbers)
            empty(queue)
        assert queue.close(5) == 0
    assert sorted(loki.numbers()) == list(range(30, 60))


def test_loki_s_tenant_and_a_secret_that_changes(loki: Running) -> None:
    loki.behave(authorization="Bearer new", tenants=True)
    [queue] = open_log_queues(
        log_settings(**loki.settings(loki_auth="old", loki_tenant="photos")), "web-1"
    )
    put(queue, range(3))
    eventually(lambda: [one.get("status") for one in loki.requests()][:1] == [401], 20)
    queue.use(log_settings(**loki.settings(loki_auth="new", loki_tenant="photos")))
    empty(queue)
    assert queue.close(5) == 0
    assert {one["tenant"] for one in loki.requests()} == {"photos"}


def test_of_a_bulk_only_what_failed_is_sent_again(nhn: Running) -> None:
    nhn.behave(failures={"request 3.": 1, "request 7.": 2, "request 8.": 99})
    with queue_to(nhn) as queue:
        put(queue, range(10), "request %d.")
        empty(queue)
        assert queue.close(5) == 1, "what fails three times is lost, and counted"
    assert nhn.numbers() == [0, 1, 2, 4, 5, 6, 9, 3, 7]
    assert len(nhn.requests()) == 3


def test_an_app_key_that_is_not_known_waits_for_another(nhn: Running) -> None:
    [queue] = open_log_queues(log_settings(**nhn.settings(nhn_app_key="another")), "web-1")
    put(queue, range(3))
    eventually(lambda: len(nhn.requests()) > 0, 20)
    assert queue.state()["waiting"] == 3
    queue.use(log_settings(**nhn.settings()))
    empty(queue)
    assert queue.close(5) == 0
    assert nhn.numbers() == [0, 1, 2]


def test_a_partial_success_is_counted_and_not_repeated(otlp: Running) -> None:
    otlp.behave(rejected=4)
    with queue_to(otlp) as queue:
        put(queue, range(10))
        empty(queue)
        assert queue.close(5) == 4
    assert len(otlp.requests()) == 1


def test_batches_that_are_too_large_are_halved(each: Running) -> None:
    each.behave(most_bytes=4000)
    with queue_to(each) as queue:
        put(queue, range(400))
        empty(queue)
        assert queue.close(5) == 0
    assert sorted(each.numbers()) == list(range(400))
    assert max(one["size"] for one in each.requests() if one["status"] != 413) <= 4000


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_that_is_no_text_counts_by_its_status(
    status: int,
) -> None:
    """Or a batch that was taken, or refused for good, would come again for ever."""
    with speaking(b"HTTP/1.1 %d x\r\nContent-Length: 3\r\n\r\n\xff\xfe\x00" % status) as port:
        [queue] = open_log_queues(log_settings(loki_url=f"http://127.0.0.1:{port}"), "web-1")
        put(queue, range(3))
        empty(queue)
        assert queue.close(5) == (0 if status == 200 else 3)


def test_what_a_collector_tells_makes_no_sum_fall() -> None:
    told = {
        "otlp": b'{"partialSuccess": {"rejectedLogRecords": -3}}',
        "nhn": b'{"header": {"isSuccessful": true}, "body": {"data": {"errors": -3}}}',
    }
    for kind, body in told.items():
        with speaking(b"HTTP/1.1 200 x\r\nContent-Length: %d\r\n\r\n" % len(body) + body) as port:
            url = f"http://127.0.0.1:{port}"
            where = {"otlp": {"otlp_url": url}, "nhn": {"nhn_url": url, "nhn_app_key": "k"}}
            [queue] = open_log_queues(log_settings(**where[kind]), "web-1")
            put(queue, range(3))
            empty(queue)
            assert queue.close(5) == 0


def test_a_clock_that_was_ahead_spoils_nothing_of_what_comes_after(loki: Running) -> None:
    """Loki takes nothing from further ahead than ten minutes."""
    ahead = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%S}.000000Z"
    with queue_to(loki) as queue:
        line = {"time": ahead, "level": "INFO", "message": "", "instance": "10.0.0.1"}
        queue.put(json.dumps(line | {"process": "web-1"}).encode() + b"\n")
        empty(queue)
        put(queue, range(10))
        empty(queue)
        assert queue.close(5) == 1
    assert loki.numbers() == list(range(10))


def test_a_user_with_a_password_and_a_path_before_the_collector_s(otlp: Running) -> None:
    otlp.behave(authorization="Basic dXNlcjpwYXNz", below="/otlp")
    with queue_to(otlp, otlp_auth="user:pass", otlp_url=f"{otlp.url}/otlp") as queue:
        put(queue, range(3))
        empty(queue)
        assert queue.close(5) == 0


def test_a_sink_that_hangs_holds_up_neither_another_nor_the_end(
    loki: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loki.behave(slow=60)
    path = tmp_path / "file"
    settings = log_settings(**loki.settings(sink=str(path), timeout=30.0))
    queues = open_log_queues(settings, "web-1")
    for queue in queues:
        put(queue, range(10))
    logs = Logs(_Output(), queues)  # type: ignore[arg-type]
    eventually(lambda: len(loki.requests()) > 0, 20)
    began = time.monotonic()
    logs.close(1.0)
    assert time.monotonic() - began < 10, "not the 30 s that the sink may take"
    assert path.read_text().count("\n") == 10
    told = capsys.readouterr().err
    assert "10 log lines were lost on their way to the loki sink" in told
    assert "10 not written within 1 s" in told
    assert "file sink" not in told


class _Output:
    def settle(self, timeout: float) -> None: ...


@contextmanager
def speaking(answer: bytes) -> Iterator[int]:
    """The port of a server that answers whatever it is told with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    with server.accept()[0] as peer:
                        peer.recv(65536)
                        with suppress(OSError):
                            peer.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def test_what_never_ends_and_what_is_no_http_is_not_waited_for() -> None:
    """A server that speaks something else, one that closes at once, one that sends without end."""
    for answer in (b"SSH-2.0-OpenSSH\r\n", b"", b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 4_000_000):
        with speaking(answer) as port:
            settings = log_settings(loki_url=f"http://127.0.0.1:{port}", timeout=1.0)
            [queue] = open_log_queues(settings, "web-1")
            put(queue, range(3))
            time.sleep(0.4)
            assert queue.state() == {"waiting": 3, "lost": 0}
            assert queue.close(0.1) == 3


def test_a_killed_process_loses_only_what_was_queued(each: Running) -> None:
    done = speak(KILLED, each.settings())
    assert done.returncode == -signal.SIGKILL
    arrived = each.numbers()
    assert arrived == list(range(len(arrived)))
    assert 1000 <= len(arrived) <= 1100


def test_a_drain_gives_the_last_lines_of_all_processes(
    stack: dict[str, Any],
    environ: dict[str, str],
    start_service: StartService,
    tmp_path: Path,
) -> None:
    """To three collectors at the same time, and to a file. Nobody else does its jobs."""
    with ExitStack() as open_ones:
        running = [open_ones.enter_context(collector(kind, tmp_path)) for kind in KINDS]
        own = open_ones.enter_context(own_database(stack, environ))
        places = {
            "LOG_LOKI_URL": running[0].url,
            "LOG_NHN_URL": running[1].url,
            "LOG_NHN_APP_KEY": "an-app-key",
            "LOG_OTLP_URL": running[2].url,
            "DATABASE_URL": own["PHOTO_API_DATABASE_URL"],
        }
        service = start_service(LOG_SINK=str(tmp_path / "file"), LOG_FLUSH="10", **places)
        with service.new_user() as user:
            user.rendered(user.upload(jpeg())["id"])
            user.api.get("/albums/", headers={"X-Request-ID": "the-last"})
            assert service.stop() == 0
        assert re.findall(r"^(web-1|jobs): \d+ log lines were lost", service.log, re.M) == []
        written = [json.loads(line) for line in (tmp_path / "file").read_text().splitlines()]
        loki, nhn, otlp = (one.kept() for one in running)
        for process in ("web-1", "jobs"):
            texts = sorted(line["message"] for line in written if line["process"] == process)
            assert texts
            assert texts == sorted(
                entry["line"]["message"] for entry in loki if entry["labels"]["process"] == process
            )
            assert texts == sorted(entry["body"] for entry in nhn if entry["process"] == process)
            assert texts == sorted(
                entry["body"] for entry in otlp if entry["resource"]["process.role"] == process
            )
        # Of the supervisor, which ends last and has a second, at least what it said before.
        assert "ready" in {entry["line"]["message"] for entry in loki}
        told = [{entry.get("request_id") for entry in found} for found in (nhn, otlp)]
        assert all("the-last" in ids for ids in told)


@pytest.mark.slow
def test_requests_and_the_end_wait_for_no_collector(
    start_service: StartService, loki: Running, otlp: Running
) -> None:
    """One that hangs, one that refuses, one that is not there."""
    loki.behave(slow=60)
    otlp.behave(answers=[[503, "", {}]] * 1000)
    service = start_service(
        LOG_LOKI_URL=loki.url,
        LOG_OTLP_URL=otlp.url,
        LOG_NHN_URL=f"http://127.0.0.1:{free_port()}",
        LOG_NHN_APP_KEY="an-app-key",
        LOG_QUEUE="10",
        LOG_FLUSH="0.5",
    )
    eventually(lambda: loki.requests() and otlp.requests(), 30)
    with httpx.Client(base_url=service.url) as client:
        for _ in range(50):
            assert client.get("/api/photos").status_code == 401
        logs = client.get("/health/detailed").json()["checks"]["logs"]
    assert logs["ok"] is False
    assert logs["lost"] >= 3 * 40
    assert logs["waiting"] <= 3 * 10
    assert service.stop() == 0
    for name in ("loki", "otlp", "nhn"):
        assert f"on their way to the {name} sink" in service.log


@pytest.mark.slow
def test_a_collector_s_secret_is_taken_over_from_its_file(
    start_service: StartService, loki: Running, tmp_path: Path
) -> None:
    """By all processes, without a restart; no line tells either."""
    old, new = "glc_c05d7be8134f92a67de1084bf3a95c21", "glc_71c04b5dd2e8f39a6be1007c2f48d935"
    file = tmp_path / "auth"
    file.write_text(old)
    loki.behave(authorization=f"Bearer {new}")
    service = start_service(LOG_LOKI_URL=loki.url, LOG_LOKI_AUTH_FILE=str(file))
    eventually(lambda: 401 in [one.get("status") for one in loki.requests()], 30)
    file.write_text(new)
    os.kill(service.process.pid, signal.SIGHUP)
    processes = {"main", "web-1"}
    eventually(lambda: {one["line"]["process"] for one in loki.kept()} >= processes, 40)
    assert service.stop() == 0
    for text in (service.log, loki.file.read_text()):
        assert old not in text
        assert new not in text


def test_https_is_checked_against_authorities_of_one_s_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    pair = authority.server("127.0.0.1")
    with collector("loki", tmp_path, *map(str, pair)) as running:
        with queue_to(running) as queue:
            put(queue, range(3))
            time.sleep(0.5)
            assert queue.close(0.1) == 3, "who is not proven gets nothing"
        with queue_to(running, authorities=authority.certificate.read_text()) as queue:
            put(queue, range(3))
            empty(queue)
    assert running.numbers() == [0, 1, 2]

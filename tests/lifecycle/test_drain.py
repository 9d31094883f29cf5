"""The end of an instance: readiness first, requests in flight to their end, and nobody left."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.lifecycle.clients import clients
from tests.lifecycle.databases import own_postgres
from tests.lifecycle.receipts import held, told
from tests.own_stage import ask
from tests.service import Service, User, cli, eventually, jpeg

WORKERS = [(), ("--workers", "3")]
StartService = Callable[..., Service]


def slow_form(album: int, content: bytes, seconds: float) -> Iterator[bytes]:
    """An upload that takes its time."""
    yield f'--b\r\nContent-Disposition: form-data; name="album_id"\r\n\r\n{album}\r\n'.encode()
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    for part in range(10):
        yield content[part * len(content) // 10 : (part + 1) * len(content) // 10]
        time.sleep(seconds / 10)
    yield b"\r\n--b--\r\n"


class Upload(threading.Thread):
    """A slow upload beside the test."""

    def __init__(self, user: User, album: int, seconds: float) -> None:
        super().__init__()
        self.status: int | str = "none"
        self._user, self._album, self._seconds = user, album, seconds

    def run(self) -> None:
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        body = slow_form(self._album, jpeg(200, 200), self._seconds)
        try:
            answer = self._user.api.post("/photos/", content=body, headers=headers)
            self.status = answer.status_code
        except httpx.TransportError as error:
            self.status = type(error).__name__


@pytest.mark.parametrize("workers", WORKERS)
def test_a_drain_serves_on_and_finishes_what_it_began(
    start_service: StartService, workers: tuple[str, ...]
) -> None:
    service = start_service(*workers, LAME_DUCK="2", DRAIN_WAIT="5")
    with service.new_user() as user:
        upload = Upload(user, user.album()["id"], 4)
        upload.start()
        time.sleep(0.5)
        service.process.send_signal(signal.SIGTERM)
        eventually(lambda: httpx.get(f"{service.url}/health").status_code == 503, 1.5)
        draining = httpx.get(f"{service.url}/health")
        assert draining.json()["status"] == "draining"
        assert draining.headers["Connection"] == "close"
        assert httpx.get(f"{service.url}/health/live").status_code == 200
        served = httpx.get(f"{service.url}/api/auth/me", headers=dict(user.api.headers))
        assert (served.status_code, served.headers["Connection"]) == (200, "close")
        upload.join(15)
        assert upload.status == 201
        assert service.process.wait(10) == 0
    receipt = held(service)
    assert (receipt["ending"], receipt["lame_duck_end"]) == ("drained", "elapsed")
    assert receipt["in_flight_s"] > 0.5


def test_a_second_signal_ends_at_once_and_an_echo_does_not(start_service: StartService) -> None:
    service = start_service(LAME_DUCK="30")
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    service.process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    assert service.process.poll() is None, "0.1 s later it is the same signal"
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(10)
    receipt = held(service)
    assert (receipt["ending"], receipt["untold"]) == ("broken_off", 2)
    assert {receipt["lame_duck_end"], receipt["requests_cut"], receipt["jobs_kept"]} == {None}


@pytest.mark.parametrize("workers", WORKERS)
def test_a_stuck_request_is_cut_at_the_limit(
    start_service: StartService, workers: tuple[str, ...]
) -> None:
    service = start_service(*workers, LAME_DUCK="0", DRAIN_WAIT="1")
    family = psutil.Process(service.process.pid).children(recursive=True)
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as stuck:
        head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        stuck.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        time.sleep(0.3)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(10) == 0
        answer = stuck.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in answer.lower()
    assert b'"code":"overloaded"' in answer
    assert not [process for process in family if _runs(process)]
    assert "requests cut at the limit" in service.log
    assert last_row(service)["cause"] == "SIGTERM; 1 request cut at the limit"
    assert held(service)["requests_cut"] == 1


def last_row(service: Service) -> Any:
    """The registry's row of this service."""
    port = int(service.url.rsplit(":", 1)[1])
    query = "SELECT * FROM instances WHERE port = $1 ORDER BY started_at DESC LIMIT 1"
    return ask(service.environ, query, port)[0]


@pytest.mark.parametrize("workers", WORKERS)
def test_keep_alive_clients_see_no_broken_request(
    start_service: StartService, workers: tuple[str, ...]
) -> None:
    service = start_service(*workers, LAME_DUCK="2")
    with service.new_user() as user:
        headers = {"Authorization": user.api.headers["Authorization"]}
        with clients(16, service.url, "/api/albums/", headers) as busy:
            time.sleep(1)
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(15) == 0
    outcomes = sum((client.outcomes for client in busy), Counter())
    assert set(outcomes) == {"200", "nobody there"}, outcomes
    assert outcomes["200"] > 16


@pytest.mark.slow
@pytest.mark.parametrize("workers", WORKERS)
def test_a_slow_upload_and_a_slow_download_finish(
    start_service: StartService, workers: tuple[str, ...]
) -> None:
    settings = {"LAME_DUCK": "3", "DRAIN_WAIT": "30", "DELIVERY": "stream"}
    service = start_service(*workers, **settings)
    with service.new_user() as user:
        large = jpeg(200, 200) + os.urandom(30_000_000)
        photo = user.upload(large)["id"]
        upload = Upload(user, user.album()["id"], 20)
        download = Download(service, user, photo, 20)
        upload.start()
        download.start()
        time.sleep(1)
        service.process.send_signal(signal.SIGTERM)
        upload.join(40)
        download.join(40)
        assert upload.status == 201
        assert download.content == large
        assert service.process.wait(10) == 0
    assert last_row(service)["state"] == "stopped"


class Download(threading.Thread):
    """Reads a photo slowly, beside the test."""

    def __init__(self, service: Service, user: User, photo: int, seconds: float) -> None:
        super().__init__()
        self.content = b""
        self._url = f"{service.url}/api/photos/{photo}/image"
        self._token, self._seconds = user.api.headers["Authorization"], seconds

    def run(self) -> None:
        headers = {"Authorization": self._token}
        with httpx.stream("GET", self._url, headers=headers, timeout=60) as answer:
            pieces = []
            pause = self._seconds / (int(answer.headers["Content-Length"]) / 1_000_000)
            for piece in answer.iter_bytes(1_000_000):
                pieces.append(piece)
                time.sleep(pause)
        self.content = b"".join(pieces)


async def test_a_drain_goes_on_without_the_database(
    tmp_path: Path, start_service: StartService
) -> None:
    async with own_postgres(tmp_path) as database:
        service = await asyncio.to_thread(start_service, DATABASE_URL=database.url(), LAME_DUCK="1")
        await database.stop()
        service.process.send_signal(signal.SIGTERM)
        assert httpx.get(f"{service.url}/health/live").status_code == 200
        assert await asyncio.to_thread(service.process.wait, 15) == 0
        assert "the registry does not know that this instance stopped" in service.log
        line = told(service)
    assert (line["ending"], line["registry_s"], line["balancers"]) == ("drained", None, None)
    assert line["requests_accepted"] == line["requests_finished"] > 0


@pytest.mark.parametrize("workers", WORKERS)
def test_the_lame_duck_ends_early_when_every_balancer_has_let_go(
    start_service: StartService, workers: tuple[str, ...]
) -> None:
    service = start_service(*workers, LAME_DUCK="50", GRACE="90")
    eventually(lambda: '"message":"ready"' in service.log)
    balancers = [str(uuid4()), str(uuid4())]
    for balancer in balancers:
        write(service, "INSERT INTO balancers (id, name) VALUES ($1::uuid, 'test')", balancer)
    try:
        service.process.send_signal(signal.SIGTERM)
        boot = str(last_row(service)["boot_id"])
        acknowledge = "INSERT INTO balancer_removals VALUES ($1::uuid, $2::uuid)"
        write(service, acknowledge, balancers[0], boot)
        with pytest.raises(subprocess.TimeoutExpired):
            service.process.wait(3)
        write(service, acknowledge, balancers[1], boot)
        assert service.process.wait(15) == 0
    finally:
        for balancer in balancers:
            write(service, "DELETE FROM balancers WHERE id = $1::uuid", balancer)
    assert "every balancer let go" in service.log
    receipt = held(service)
    assert (receipt["lame_duck_end"], receipt["balancers"]) == ("removed", 2)
    assert receipt["acknowledged"] == 2


def write(service: Service, statement: str, *args: object) -> None:
    ask(service.environ, statement, *args)


def test_only_the_supervisor_hears_signals(service: Service) -> None:
    """As the kernel tells it, after everything was imported and started."""
    eventually(lambda: '"message":"ready"' in service.log, 20)
    ending = {signal.SIGTERM, signal.SIGINT}
    assert ending <= _signals(service.process.pid, "SigCgt")
    workers = service.children("photo_api.web_worker")
    workers += service.children("photo_api.job_worker")
    assert workers
    for worker in workers:
        assert ending <= _signals(worker.pid, "SigIgn")


def _signals(pid: int, kind: str) -> set[signal.Signals]:
    status = Path(f"/proc/{pid}/status").read_text()
    bits = int(status.split(f"{kind}:")[1].split()[0], 16)
    return {number for number in signal.Signals if bits >> (number - 1) & 1}


def test_a_displaced_handler_is_taken_back() -> None:
    """In a process of its own, whose supervisor's handler some library displaces."""
    program = """
import asyncio, os, signal
from photo_api.supervisor.signals import SignalHandlers
async def main():
    stopped = asyncio.Event()
    handlers = SignalHandlers(lambda cause: stopped.set(), lambda: None, lambda: None)
    handlers.install()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    handlers.restore()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(stopped.wait(), 5)
asyncio.run(main())
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30
    )
    assert ran.returncode == 0, ran.stderr
    assert "displaced" in ran.stderr


@pytest.mark.needs("unshare")
def test_as_process_1_it_drains_and_buries_orphans(environ: dict[str, str]) -> None:
    """As in a container: nobody else is there to take signals or to bury the dead."""
    serve = [sys.executable, "-m", "photo_api.cli", "serve", "--host", "127.0.0.1", "--port", "0"]
    own_user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
    isolated = ["unshare", *own_user, "--pid", "--fork", "--mount-proc"]
    assert cli(environ, "migrate").returncode == 0
    process = subprocess.Popen(
        [*isolated, "--kill-child", *serve], env=environ, stderr=subprocess.PIPE, text=True
    )
    try:
        own = psutil.Process(process.pid)
        first = eventually(lambda: own.children(), 10)[0]
        log = _lines(process)
        eventually(lambda: any('"message":"ready"' in line for line in log), 30)
        decoding = first.children(recursive=True)
        [jobs] = [child for child in decoding if "photo_api.job_worker" in _command(child)]
        jobs.kill()
        eventually(lambda: not [p for p in first.children() if _is_zombie(p)], 10)
        eventually(lambda: any("process died; restarting" in line for line in log), 10)
        first.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, [line for line in log if "ERROR" in line]
    finally:
        process.kill()


def _is_zombie(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # buried meanwhile
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    return False


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def _lines(process: "subprocess.Popen[str]") -> list[str]:
    """What the process says, while it says it."""
    lines: list[str] = []
    assert process.stderr is not None
    threading.Thread(target=lines.extend, args=(process.stderr,), daemon=True).start()
    return lines


@pytest.mark.parametrize("workers", WORKERS)
def test_kill_9_of_the_parent_leaves_no_process(
    start_service: StartService, workers: tuple[str, ...]
) -> None:
    service = start_service(*workers)
    with service.new_user() as user:
        user.rendered(user.upload()["id"])
    family = psutil.Process(service.process.pid).children(recursive=True)
    assert len(family) >= 2
    service.process.kill()
    service.process.wait()
    eventually(lambda: not [process for process in family if _runs(process)], 2)


def test_kill_9_of_the_parent_ends_processes_that_are_stopped_too(
    start_service: StartService,
) -> None:
    """A stopped process does not see the end of its socket; the kernel ends it."""
    service = start_service()
    eventually(lambda: '"message":"ready"' in service.log, 20)
    family = psutil.Process(service.process.pid).children(recursive=True)
    for process in family:
        process.suspend()
    service.process.kill()
    service.process.wait()
    eventually(lambda: not [process for process in family if _runs(process)], 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_worker_acts_on_a_signal(service: Service, number: signal.Signals) -> None:
    """Group signals, Ctrl-C and systemd reach every process; only the supervisor obeys."""
    workers = service.children("photo_api.web_worker")
    workers += service.children("photo_api.job_worker")
    for worker in workers:
        os.kill(worker.pid, number)
    time.sleep(0.5)
    assert all(_runs(worker) for worker in workers)
    assert httpx.get(f"{service.url}/health").status_code == 200


def test_a_signal_to_the_whole_group_is_a_drain(start_service: StartService) -> None:
    service = start_service(LAME_DUCK="1")
    family = [psutil.Process(service.process.pid)]
    family += family[0].children(recursive=True)
    for process in family:
        os.kill(process.pid, signal.SIGTERM)
    assert httpx.get(f"{service.url}/health/live").status_code == 200
    assert service.process.wait(10) == 0


@pytest.mark.parametrize("pause", [0.0, 0.4, 0.8])
def test_sigterm_while_starting_ends_cleanly(environ: dict[str, str], pause: float) -> None:
    command = [sys.executable, "-m", "photo_api.cli", "serve", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
    try:
        own = psutil.Process(process.pid)
        eventually(lambda: own.children(), 10, 0.01)
        time.sleep(pause)
        family = own.children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert not [child for child in family if _runs(child)]
    finally:
        process.kill()


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

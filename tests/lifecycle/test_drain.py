"""The end of an instance: readiness first, requests in flight to their end, and nobody left."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from tests.service import Service, User, eventually, jpeg

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


def test_a_second_signal_ends_at_once_and_an_echo_does_not(start_service: StartService) -> None:
    service = start_service(LAME_DUCK="30")
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    service.process.send_signal(signal.SIGTERM)
    time.sleep(1.5)
    assert service.process.poll() is None, "0.1 s later it is the same signal"
    service.process.send_signal(signal.SIGTERM)
    service.process.wait(10)


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
        service.process.wait(10)
    assert not [process for process in family if _runs(process)]


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_worker_acts_on_a_signal(service: Service, number: signal.Signals) -> None:
    """Group signals, Ctrl-C and systemd reach every process; only the supervisor obeys."""
    workers = service.children("photo_api.lifecycle.worker")
    workers += service.children("photo_api.jobs.process")
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

"""A worker is replaced, on demand or after so many requests, and nobody notices."""

import re
import signal
import socket
import time
from collections.abc import Callable

import httpx
import pytest

from tests.lifecycle.clients import clients
from tests.lifecycle.test_drain import WORKERS, StartService, Upload
from tests.metrics.scraping import scrape
from tests.service import Service, eventually

WEB = "photo_api.web_worker"
REPLACED = re.compile(r'"message":"process replaced".*"name":"web-1"')


def _pids(service: Service) -> set[int]:
    return {worker.pid for worker in service.children(WEB)}


def _all_replaced(service: Service, before: set[int]) -> Callable[[], bool]:
    return lambda: not (_pids(service) & before) and len(_pids(service)) >= len(before)


@pytest.mark.parametrize("workers", WORKERS)
def test_sighup_replaces_every_worker_without_a_broken_request(
    start_service: StartService, workers: tuple[str, ...]
) -> None:
    service = start_service(*workers)
    with service.new_user() as user:
        headers = {"Authorization": user.api.headers["Authorization"]}
        with clients(8, service.url, "/api/albums/", headers) as busy:
            before = _pids(service)
            service.process.send_signal(signal.SIGHUP)
            eventually(_all_replaced(service, before), 40)
        assert not [client.broken for client in busy if client.broken]
        assert {status for client in busy for status in client.outcomes} == {"200"}
    assert service.stop() == 0


def test_a_worker_is_replaced_after_so_many_requests(start_service: StartService) -> None:
    service = start_service(RECYCLE_AFTER="200")
    with clients(4, service.url, "/health", {}) as busy:
        before = _pids(service)
        eventually(_all_replaced(service, before), 40)
        again = _pids(service)
        eventually(_all_replaced(service, again), 40)
    assert not [client.broken for client in busy if client.broken]
    assert {status for client in busy for status in client.outcomes} == {"200"}, (
        "a worker that retires does not make the instance unhealthy"
    )
    assert "process died" not in service.log


def test_a_drain_right_after_a_replacement_finishes_what_the_retired_worker_carries(
    start_service: StartService,
) -> None:
    service = start_service(DRAIN_WAIT="20")
    with service.new_user() as user:
        upload = Upload(user, user.album()["id"], 6)
        upload.start()
        time.sleep(0.5)
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: REPLACED.search(service.log), 20)
        time.sleep(0.3)
        service.process.send_signal(signal.SIGTERM)
        upload.join(30)
        assert upload.status == 201
        assert service.process.wait(20) == 0
    assert "Traceback" not in service.log


def test_the_death_of_a_worker_that_retires_is_told_of(start_service: StartService) -> None:
    service = start_service()
    [old] = service.children(WEB)
    with socket.create_connection(("127.0.0.1", httpx.URL(service.url).port)) as held:
        held.sendall(b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{")
        time.sleep(0.5)
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: REPLACED.search(service.log), 20)
        old.kill()
        eventually(lambda: '"message":"a process failed at its end"' in service.log)
        deaths = "photo_api_worker_deaths_total"
        eventually(lambda: scrape(service.url).total(deaths, process="web") == 1)


def test_a_stop_during_a_replacement_ends_both(start_service: StartService) -> None:
    """Stopped while the successor starts: both end, and it counts as a clean end."""
    service = start_service()
    service.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(_pids(service)) == 2, 10, 0.01)
    both = service.children(WEB)
    assert service.stop() == 0
    assert not [worker for worker in both if worker.is_running()]

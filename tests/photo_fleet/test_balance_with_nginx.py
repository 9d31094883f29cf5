"""A balancer beside the real nginx, with the real registry and real instances behind it."""

import itertools
import os
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest

from photo_fleet.spec.fleet import Fleet
from tests.own_stage import ask, own_database
from tests.photo_fleet.balancers import Balancer, balancing, boot_of, own_settings, role_url
from tests.photo_fleet.nginx_stage import Front, running_front, short_folder, spec, start
from tests.service import Service, eventually, serving

pytestmark = pytest.mark.needs("nginx")

StartInstance = Callable[..., Service]


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """A registry of its own."""
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture(scope="module")
def url(stack: dict[str, Any], settings: dict[str, str]) -> str:
    """The registry's address with the balancer's own rights."""
    owner = settings["PHOTO_API_DATABASE_URL"]
    return role_url(owner, stack["superuser_url"], f"balance_{uuid4().hex}")


@pytest.fixture
def instance(settings: dict[str, str], tmp_path: Path) -> Iterator[StartInstance]:
    """Start an instance, with a lame duck of so many seconds."""
    number = itertools.count()
    with ExitStack() as running:

        def start(lame_duck: int) -> Service:
            log = tmp_path / f"instance-{next(number)}.log"
            changed = own_settings(settings, LAME_DUCK=str(lame_duck), GRACE="120")
            service = running.enter_context(serving(changed, log, "--no-jobs"))
            eventually(service.is_healthy, 30)
            return service

        yield start


def boots(front: Front) -> set[str]:
    try:
        return {member["id"] for member in front.held()["members"]}
    except httpx.TransportError:
        return set()


@contextmanager
def requests_through(front: Front) -> Iterator[Counter[int | str]]:
    """What clients see that ask all the time, each over one connection."""
    seen: Counter[int | str] = Counter()
    over = threading.Event()

    def ask_on() -> None:
        with httpx.Client(base_url=front.url, timeout=10) as client:
            while not over.is_set():
                try:
                    seen[client.get("/health/live").status_code] += 1
                except httpx.HTTPError as error:
                    seen[repr(error)] += 1
                time.sleep(0.01)

    clients = [threading.Thread(target=ask_on, daemon=True) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        yield seen
    finally:
        over.set()
        for client in clients:
            client.join(15)


def test_a_drain_behind_nginx_fails_no_request_and_nginx_gets_its_members_back(
    url: str, instance: StartInstance, tmp_path: Path
) -> None:
    staying, leaving = instance(0), instance(50)
    remaining, removed = boot_of(staying), boot_of(leaving)
    with short_folder() as folder, running_front(spec(), folder=folder) as front:
        nginx_socket = Path(front.places.members_socket)
        with balancing(url, nginx_socket, tmp_path / "one") as balancer:
            eventually(lambda: boots(front) == {remaining, removed}, 20)
            with requests_through(front) as seen:
                time.sleep(0.5)
                leaving.process.send_signal(signal.SIGTERM)
                assert leaving.process.wait(20) == 0
                time.sleep(0.5)
            assert set(seen) == {200}, seen
            assert "every balancer let go" in leaving.log
            assert boots(front) == {remaining}
            _restart_without_memory(front, balancer)
            eventually(lambda: boots(front) == {remaining}, 20)


def _restart_without_memory(front: Front, balancer: Balancer) -> None:
    workers = psutil.Process(front.process.pid).children()
    front.process.kill()
    front.process.wait(10)
    for worker in workers:  # which would serve on without a master
        worker.kill()
    eventually(lambda: balancer.said("nginx does not answer"), 10)
    Path(front.places.members_file).unlink()
    front.process = start(front.places)


@pytest.mark.slow
def test_by_reload_a_removal_counts_when_no_older_worker_is_left(
    url: str, instance: StartInstance, tmp_path: Path
) -> None:
    staying, leaving = instance(0), instance(50)
    removed = boot_of(leaving)
    fleet = spec(membership="reload")
    with short_folder() as folder, running_front(fleet, folder=folder) as front:
        file = _spec_file(fleet, tmp_path)
        directory = tmp_path / "one"
        with balancing(url, Path(front.places.members_socket), directory, str(file)) as balancer:
            included = Path(front.places.members_include)
            eventually(lambda: _address(leaving) in included.read_text(), 20)
            eventually(lambda: _address(staying) in included.read_text(), 10)
            eventually(lambda: httpx.get(f"{front.url}/health/live").status_code == 200, 10)
            with _upload_under_way(front):
                leaving.process.send_signal(signal.SIGTERM)
                eventually(lambda: _address(leaving) not in included.read_text(), 10)
                with pytest.raises(subprocess.TimeoutExpired):
                    leaving.process.wait(5)
                assert not acknowledged(leaving, removed), "an old worker has the upload"
            eventually(lambda: acknowledged(leaving, removed), 10)
            assert leaving.process.wait(20) == 0
            assert httpx.get(f"{front.url}/health/live").status_code == 200
            assert balancer.process.poll() is None


def acknowledged(service: Service, boot: str) -> bool:
    query = "SELECT count(*) > 0 FROM balancer_removals WHERE boot_id = $1::uuid"
    return bool(ask(service.environ, query, boot)[0][0])


def _address(service: Service) -> str:
    return f"server {service.url.removeprefix('http://')} "


def _spec_file(fleet: Fleet, folder: Path) -> Path:
    file = folder / "fleet.toml"
    file.write_text(f'[balancer]\nmembership = "{fleet.balancer.membership}"\n')
    return file


@contextmanager
def _upload_under_way(front: Front) -> Iterator[None]:
    """A request whose body is still coming in: nginx's worker cannot end before it does."""
    host, port = front.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = "POST /api/photos/ HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head.encode() + os.urandom(1000))
        time.sleep(0.5)
        yield

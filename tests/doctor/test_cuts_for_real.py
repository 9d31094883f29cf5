"""Cut requests, for real: other numbers, drains that cut, an nginx that was altered."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import psutil
import pytest

from photo_fleet.doctor.cuts import RULES, STALE
from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looking import judge
from photo_fleet.doctor.looks import nginx
from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.reach import Reach
from photo_fleet.doctor.seen import Seen
from photo_fleet.spec.changes import changed
from photo_fleet.spec.fleet import Fleet
from tests.doctor.seeing import reach_of, seen_through
from tests.lifecycle.fleet import hanging
from tests.own_stage import ask, own_database
from tests.photo_fleet.nginx_stage import (
    Backend,
    Backends,
    Front,
    Received,
    answer,
    backends,
    reset,
    running_front,
)
from tests.service import Service, eventually, serving

NUMBERS = {"LAME_DUCK": "0", "DRAIN_WAIT": "2", "LOG_FLUSH": "1", "GRACE": "60"}
SPEC = {
    "drain.lame_duck": 0.0,
    "drain.in_flight_wait": 2.0,
    "drain.log_flush": 1.0,
    "drain.grace": 60.0,
}


@dataclass
class Ends:
    """A registry with two instances that serve, and of some that ended, each in its way. `fleet`
    has the numbers of the first."""

    environ: dict[str, str]
    fleet: Fleet
    names: dict[str, str]

    def found(self) -> list[Finding]:
        reach = reach_of(self.environ, spec=self.fleet)
        return judge(asyncio.run(seen_through(reach)), RULES)[0]

    def about(self, code: str) -> list[str]:
        return [one.evidence for one in self.found() if one.code == code]


@pytest.fixture(scope="module")
def ends(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ends]:
    folder = tmp_path_factory.mktemp("ends")
    with own_database(stack, environ) as own, hanging() as deaf, ExitStack() as running:
        runs: dict[str, Service] = {}
        loki = {"LOG_LOKI_URL": f"http://127.0.0.1:{deaf}"}
        for name, settings in {
            "sound": {},
            "other": {"KEEP_ALIVE": "5", "LAME_DUCK": "1", "DATABASE_POOL": "7"},
            "cut": loki | {"LAME_DUCK": "1"},
            "killed": {},
            "broken off": {"LAME_DUCK": "40"},
            "vanished": {"LAME_DUCK": "40"},
        }.items():
            told = {f"PHOTO_API_{key}": value for key, value in (NUMBERS | settings).items()}
            run_dir = {"PHOTO_API_RUN_DIR": str(folder)}
            runs[name] = running.enter_context(
                serving(own | told | run_dir, folder / name, "--no-jobs")
            )
            if name == "sound":  # the others are younger: no deploy brings its numbers
                eventually(runs[name].is_healthy, 60)
        for service in runs.values():
            eventually(service.is_healthy, 60)
        _end(runs)
        yield Ends(
            own, changed(Fleet(), SPEC), {name: service.url for name, service in runs.items()}
        )


def _end(runs: dict[str, Service]) -> None:
    """All at once."""
    cut, killed, broken_off = runs["cut"], runs["killed"], runs["broken off"]
    ended = (cut, killed, broken_off, vanished := runs["vanished"])
    with _stuck_request(cut):
        for process in killed.children("photo_api.web_worker"):
            process.suspend()
        for service in ended:
            service.process.send_signal(signal.SIGTERM)
        time.sleep(1.5)
        broken_off.process.send_signal(signal.SIGTERM)
        for process in psutil.Process(vanished.process.pid).children(recursive=True):
            process.kill()
        vanished.process.kill()
        for service in ended:
            service.process.wait(30)
    # The one that serves on finds that it does not answer either.
    environ = vanished.environ
    ask(
        environ,
        "UPDATE instances SET heartbeat_at = now() - interval '1 h' WHERE state = 'draining'",
    )
    lost = "SELECT FROM instance_receipts WHERE ending = 'lost'"
    eventually(lambda: ask(environ, lost), 30)


@contextmanager
def _stuck_request(service: Service) -> Iterator[None]:
    """Its body never ends."""
    address = urlsplit(service.url)
    head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection((address.hostname or "", address.port or 0)) as stuck:
        stuck.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        time.sleep(2.0)  # until a busy worker has read it
        yield


@pytest.mark.slow
def test_drains_that_cut_are_told_by_their_receipts(ends: Ends) -> None:
    (cut,) = ends.about("drain-cut")
    assert cut.startswith("receipts: 1 of 4 ends cut 1 requests")
    killed = " ".join(ends.about("drain-killed"))
    assert "1 of 4 ends were 'killed'" in killed
    assert "1 of 4 ends were 'broken_off'" in killed
    assert "1 of 4 ends were 'lost' (it drained and was never heard of again)" in killed
    (lost,) = ends.about("flush-short")
    assert "1 of 4 instances that ended had lost" in lost


@pytest.mark.slow
def test_instances_with_other_numbers_are_told(ends: Ends) -> None:
    found = [one for one in ends.found() if one.code.startswith("reality")]
    evidence = [one.evidence for one in found]
    differences = ("server-lame-duck", "server-keep-alive", "server-pool")
    for name in differences:
        assert any(one.startswith(f"{name}: ") for one in evidence), name
    assert any("service.keep_alive 5s ≤ balancer.keep_alive 60s" in one for one in evidence)
    assert not any("server-port" in one for one in evidence), "balancers read it in the registry"
    other = urlsplit(ends.names["other"]).port
    assert all(one.command.endswith(f":{other}") for one in found)


@pytest.mark.slow
def test_a_registry_that_nobody_follows_is_told(ends: Ends) -> None:
    nobody, _ = ends.about("never-deregistered")
    assert "none was ever seen" in nobody
    ask(
        ends.environ,
        "INSERT INTO balancers (id, session, name) VALUES ($1::uuid, $1::uuid, 'nginx-1')",
        str(uuid4()),
    )
    (deaf,) = ends.about("never-deregistered")
    assert "1 of 1 drains ended without every balancer's word" in deaf
    assert "no balancer was live" in deaf


@dataclass
class Altered:
    """An nginx whose file a test alters."""

    front: Front
    servers: Backends

    @property
    def file(self) -> Path:
        return Path(self.front.places.prefix) / "nginx.conf"

    @contextmanager
    def altered(self, old: str, new: str) -> Iterator[list[Finding]]:
        """What the doctor says of it while nginx works by it."""
        before = self.file.read_text()
        assert old in before
        self.file.write_text(before.replace(old, new))
        self.reload()
        try:
            yield self.found()
        finally:
            self.file.write_text(before)
            self.reload()

    def reload(self) -> None:
        old = self.look().read_at or 0.0
        self.front.process.send_signal(signal.SIGHUP)
        eventually(lambda: (self.look().read_at or 0.0) > old, 10)

    def look(self) -> NginxLook:
        reach = Reach(self.front.fleet, "fleet.toml", places=self.front.places)
        return asyncio.run(nginx.take(reach, Seen(self.front.fleet, 0, {})))

    def found(self) -> list[Finding]:
        looks = {NginxLook: self.look(), RegistryLook: RegistryLook(0, 0)}
        return judge(Seen(self.front.fleet, time.time(), looks), RULES)[0]


@pytest.fixture(scope="module")
def nginx_at_work() -> Iterator[Altered]:
    with backends() as servers, running_front() as front:
        yield Altered(front, servers)


@pytest.mark.needs("nginx")
def test_the_nginx_that_is_rendered_is_fine(nginx_at_work: Altered) -> None:
    assert nginx_at_work.found() == []
    assert (nginx_at_work.look().version or (0,))[0] >= 1


@pytest.mark.needs("nginx")
def test_an_nginx_that_repeats_writes_is_told(nginx_at_work: Altered) -> None:
    def posts() -> int:
        first, second = nginx_at_work.servers.start(reset), nginx_at_work.servers.start(reset)
        nginx_at_work.front.put(first, second)
        httpx.post(f"{nginx_at_work.front.url}/api/albums/", json={})
        return len(first.requests) + len(second.requests)

    assert posts() == 1
    with nginx_at_work.altered("error timeout;", "error timeout non_idempotent;") as (found,):
        assert found.code == "proxy-retries"
        assert posts() == 2, "the fault is real"


@pytest.mark.slow
@pytest.mark.needs("nginx")
@pytest.mark.parametrize("line", ['proxy_set_header Connection "";', "keepalive 64;"])
def test_an_nginx_that_keeps_no_connection_is_told(nginx_at_work: Altered, line: str) -> None:
    def connections() -> int:
        server = nginx_at_work.servers.start(close_when_told)
        nginx_at_work.front.put(server)
        with httpx.Client() as client:
            for _ in range(8):
                client.get(f"{nginx_at_work.front.url}/api/albums/").raise_for_status()
        return server.connections

    assert connections() < 8
    with nginx_at_work.altered(line, "") as (found,):
        assert found.code == "proxy-without-keep-alive"
        assert connections() == 8, "the fault is real"


async def close_when_told(
    backend: Backend, request: Received, writer: asyncio.StreamWriter
) -> None:
    """As the service does."""
    await answer(backend, request, writer)
    if request.headers.get("connection") == "close":
        writer.close()


@pytest.mark.needs("nginx")
def test_a_file_that_nginx_has_not_read_is_told(nginx_at_work: Altered) -> None:
    later = time.time() + STALE + 1
    os.utime(nginx_at_work.file, (later, later))
    (found,) = nginx_at_work.found()
    assert found.code == "reality-differs"
    assert "after the running nginx had read them" in found.evidence
    os.utime(nginx_at_work.file)
    nginx_at_work.reload()
    assert nginx_at_work.found() == []

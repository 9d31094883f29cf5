"""What a real Prometheus and a real Pushgateway say of a fleet, held against its registry."""

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.reach import USUAL_WINDOW
from photo_fleet.spec.fleet import Balancer, Fleet, HealthCheck, Metrics, Service
from tests.doctor.traffic_stage import Stage, Toy, metrics_of, traffic_stage
from tests.metrics.scraping import Prometheus, prometheus_with
from tests.own_stage import own_database
from tests.photo_fleet.nginx_stage import die_with_parent, spec
from tests.service import eventually, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("nginx", "prometheus", "prometheus-pushgateway"),
]

SCRAPED = """
global: {{scrape_interval: 500ms, scrape_timeout: 500ms}}
scrape_configs:
- job_name: photo-api
  static_configs: [{{targets: {targets}}}]
- job_name: pushgateway
  honor_labels: true
  static_configs: [{{targets: ['{gateway}']}}]
"""


@dataclass
class Watched:
    """The fleet, of which Prometheus scrapes all but the last instance, and one that is gone."""

    stage: Stage
    prometheus: Prometheus
    gateway: str
    gone: Toy

    def findings(
        self, fleet: Fleet | None = None, since: float = USUAL_WINDOW
    ) -> dict[str, Finding]:
        told = fleet or self.stage.front.fleet
        reach = replace(self.stage.reach, prometheus=self.prometheus.url, since=since, spec=told)
        return self.stage.findings(reach)


@pytest.fixture(scope="module")
def whole(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    fleet = replace(spec(), health_check=HealthCheck(timeout=2), metrics=Metrics(interval=1))
    folder = tmp_path_factory.mktemp("prometheus")
    with own_database(stack, environ) as settings, traffic_stage(settings, 3, fleet) as stage:
        gone, gateway = stage.another(), f"127.0.0.1:{free_port()}"
        targets = [toy.backend.address for toy in (*stage.toys[:2], gone)]
        with (
            pushgateway(gateway),
            prometheus_with(folder, SCRAPED.format(targets=targets, gateway=gateway)) as server,
        ):
            eventually(lambda: len(server.query("photo_api_info")) == 3, 20)
            yield Watched(stage, server, gateway, gone)


@contextmanager
def pushgateway(address: str) -> Iterator[None]:
    command = ["prometheus-pushgateway", f"--web.listen-address={address}", "--persistence.file="]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def watched(whole: Watched) -> Watched:
    whole.stage.sound(*whole.stage.toys[:2])
    return whole


def test_a_sound_fleet_that_is_watched(watched: Watched) -> None:
    watched.stage.asked(100)
    assert watched.findings() == {}
    watched.stage.registered(watched.gone, "lost", since=60)
    assert watched.findings() == {}, "Prometheus looks back for longer"


def test_the_clock_here_says_nothing_of_prometheus(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    for off in (-3600, 3600):
        monkeypatch.setattr(time, "time", lambda off=off: real() + off)
        assert not {"instance-unscraped", "series-ghost"} & set(watched.findings())


def test_one_that_is_ready_and_not_scraped(watched: Watched) -> None:
    stage, unseen = watched.stage, watched.stage.toys[2]
    stage.sound()
    found = watched.findings()
    assert set(found) == {"instance-unscraped"}
    told = found["instance-unscraped"]
    assert told.subjects == (unseen.name,)
    assert "of 3 ready instances (registry)" in told.evidence
    assert f"({unseen.backend.address}), ready for 50 min: no target of this address" in (
        told.evidence
    )
    stage.registered(unseen, since=3, started=10)
    assert "instance-unscraped" not in watched.findings(), "it may come with the next scrape"


def test_a_target_that_is_gone_and_is_still_told_of(watched: Watched) -> None:
    watched.stage.registered(watched.gone, "lost", since=900)
    found = watched.findings()
    assert set(found) == {"series-ghost"}
    told = found["series-ghost"]
    assert f"{watched.gone.backend.address}: lost for 15 min" in told.evidence
    assert "targets" in told.command


def test_a_group_that_stays_at_the_pushgateway(watched: Watched) -> None:
    stage, gone = watched.stage, watched.stage.another()
    group = f"http://{watched.gateway}/metrics/job/photo-api/instance/{gone.backend.address}"
    pushing = replace(
        stage.front.fleet,
        metrics=replace(stage.front.fleet.metrics, pushgateway=f"http://{watched.gateway}"),
    )
    eventually(lambda: httpx.put(group, content=metrics_of(gone)).is_success, 10)
    stage.registered(gone, "stopped", since=900)
    eventually(lambda: len(watched.prometheus.query("photo_api_info")) == 4, 10)
    found = watched.findings(pushing)
    assert set(found) == {"series-ghost"}
    assert f"{gone.backend.address}: stopped for 15 min" in found["series-ghost"].evidence
    assert found["series-ghost"].fix == f"curl -X DELETE {group}"
    stage.registered(gone, "ready", since=900)
    assert "series-ghost" not in watched.findings(pushing)
    assert httpx.delete(group).is_success
    eventually(lambda: len(watched.prometheus.query("photo_api_info")) == 3, 10)
    unseen = stage.toys[2]
    stage.registered(unseen)
    told = watched.findings(pushing)["instance-unscraped"]
    assert unseen.name in told.subjects
    assert "no push of it" in told.evidence


def test_hosts_with_different_members(watched: Watched) -> None:
    for host, number in (("nginx-1", 2), ("nginx-2", 1)):
        group = f"http://{watched.gateway}/metrics/job/photo-fleet-balance/instance/{host}"
        assert httpx.put(group, content=f"photo_fleet_members {number}\n").is_success
    eventually(lambda: len(watched.prometheus.query("photo_fleet_members")) == 2, 10)
    assert "members-differ" not in watched.findings(), "one follows: the other may be a stranger"
    watched.stage.followed("nginx-2")
    told = watched.findings()["members-differ"]
    assert (told.level, told.subjects) == ("warning", ("nginx-2",))
    assert "nginx-2 1, others 2" in told.evidence


@dataclass
class Relay:
    """A balancer of connections, as a cloud has them: of those that begin, one after the other to
    each target."""

    targets: list[str]
    turn: int = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = self.targets[self.turn % len(self.targets)]
        self.turn += 1
        host, _, port = target.rpartition(":")
        to_reader, to_writer = await asyncio.open_connection(host, int(port))
        both = [_copied(reader, to_writer), _copied(to_reader, writer)]
        await asyncio.gather(*both, return_exceptions=True)


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65_536):
        writer.write(piece)
        await writer.drain()
    writer.close()


def test_connections_stay_where_they_began(watched: Watched) -> None:
    """On a busy machine single scrapes fail, and what was asked around them counts for nothing:
    clients ask until enough is left."""
    stage = watched.stage
    old, young = stage.toys[:2]
    stage.sound(old)
    stage.registered(young, since=20, started=25)
    cloud = Fleet(
        service=Service(keep_alive=1),
        health_check=HealthCheck(interval=0.1, timeout=2),
        balancer=Balancer(kind="cloud"),
        metrics=Metrics(interval=1),
    )
    with _asked_over_pinned_connections(old, young):
        found = eventually(lambda: watched.findings(cloud, 60), 60, 0.5)
        assert set(found) == {"connections-pinned"}
        told = found["connections-pinned"]
        assert told.subjects == (young.name,)
        assert "the more an instance has, the longer it is there" in told.evidence
        stage.registered(young, since=3100)
        found = eventually(lambda: watched.findings(cloud, 60), 60, 0.5)
        assert set(found) == {"traffic-uneven"}, "age does not explain it"


@contextmanager
def _asked_over_pinned_connections(old: Toy, young: Toy) -> Iterator[None]:
    """Eight clients came when there was one instance, and two more when there were both."""
    relay = Relay([old.backend.address])

    async def ask() -> None:
        server = await asyncio.start_server(relay.carry, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        clients = [httpx.AsyncClient(base_url=url, timeout=30) for _ in range(10)]
        for number, client in enumerate(clients):
            if number == 8:
                relay.targets.append(young.backend.address)
            await client.get("/api/albums")
        while not enough.is_set():
            await asyncio.gather(*(client.get("/api/albums") for client in clients))
            await asyncio.sleep(0.05)
        for client in clients:
            await client.aclose()
        await asyncio.sleep(0.2)  # until the other half of each connection has ended
        server.close()

    enough = threading.Event()
    with ThreadPoolExecutor(1) as thread:
        asking = thread.submit(asyncio.run, ask())
        try:
            yield
        finally:
            enough.set()
            asking.result(60)


@pytest.mark.parametrize("number", [2, 3])
def test_machines_that_differ(watched: Watched, number: int) -> None:
    """Processor time of a request, and web workers."""
    stage, toys = watched.stage, watched.stage.toys[:number]
    slow = toys[0]
    stage.sound(*toys)
    before = [toy.served for toy in toys]
    for toy in toys:
        toy.served, toy.spent = 40_000, 400.0 if toy is slow else 160.0
    stage.registered(toys[1], workers=4)
    told = stage.findings()["machines-uneven"]
    slow.spent = 200.0
    less = stage.findings()["machines-uneven"]
    for toy, served in zip(toys, before, strict=True):
        toy.served = served
    assert f"{slow.name} 10; usual 4" in told.evidence
    assert f"{toys[1].name} 4; usual 1" in told.evidence
    assert "processor time" not in less.evidence

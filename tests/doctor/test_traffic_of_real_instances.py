"""Faults of traffic with real instances, nginx and `photo-fleet balance`, one after the other."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looks import servers
from photo_fleet.doctor.reach import Reach
from photo_fleet.spec.fleet import HealthCheck
from tests.doctor.seeing import reach_of
from tests.doctor.traffic_stage import judged
from tests.own_stage import ask, own_database
from tests.photo_fleet.balancers import Balancer, balancing, own_settings
from tests.photo_fleet.nginx_stage import Front, running_front, spec
from tests.service import Service, eventually, serving

pytestmark = [pytest.mark.slow, pytest.mark.needs("nginx")]

LOOPBACK = ("127.0.8.1", "127.0.8.2", "127.0.8.3")


@dataclass
class Fleet:
    """What there is of it."""

    services: list[Service]
    front: Front
    balancer: Balancer

    @property
    def settings(self) -> dict[str, str]:
        return self.services[0].environ

    @property
    def reach(self) -> Reach:
        front = self.front
        more = {"spec": front.fleet, "edge": front.url, "places": front.places}
        return reach_of(self.settings, **more)

    def findings(self, reach: Reach | None = None) -> dict[str, Finding]:
        return {one.code: one for one in judged(reach or self.reach)[0]}

    def asked(self, times: int) -> Counter[str]:
        with httpx.Client(base_url=self.front.url) as client:
            answers = [client.get("/api/albums") for _ in range(times)]
        return Counter(one.headers["X-Instance"] for one in answers)


@pytest.fixture(scope="module")
def fleet(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    folder, kind = tmp_path_factory.mktemp("fleet"), replace(spec(), health_check=HealthCheck())
    with ExitStack() as running:
        settings = running.enter_context(own_database(stack, environ))
        front = running.enter_context(running_front(kind))
        services = []
        for name in LOOPBACK:
            place = folder / name
            place.mkdir()
            own = own_settings(settings, INSTANCE_IP=name, RUN_DIR=str(place))
            log = place / "service.log"
            services.append(running.enter_context(serving(own, log, "--no-jobs")))
        socket, state = Path(front.places.members_socket), Path(front.places.state)
        url = settings["PHOTO_API_DATABASE_URL"]
        balancer = running.enter_context(balancing(url, socket, state))
        eventually(lambda: len(front.held()["members"]) == len(services), 30)
        ask(settings, "UPDATE instances SET changed_at = changed_at - interval '5 minutes'")
        os.utime(front.places.members_file, (0, 0))
        yield Fleet(services, front, balancer)


def test_it_is_sound(fleet: Fleet) -> None:
    assert set(fleet.asked(150)) == set(LOOPBACK)
    assert fleet.findings() == {}


def test_one_machine_has_fewer_processors(fleet: Fleet) -> None:
    [worker] = fleet.services[1].children("photo_api.web_worker")
    all_of_them = worker.cpu_affinity()
    if len(all_of_them) < 2:
        pytest.skip("this machine has one processor")
    worker.cpu_affinity(all_of_them[:1])
    try:
        found = fleet.findings()
    finally:
        worker.cpu_affinity(all_of_them)
    assert set(found) == {"machines-uneven"}
    assert found["machines-uneven"].subjects == (LOOPBACK[1],)
    usual = len(all_of_them)
    assert f"processors (/health/detailed): {LOOPBACK[1]} 1; usual {usual}" in (
        found["machines-uneven"].evidence
    )


def test_one_stands_still(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "MOST_PATIENCE", 0.5)
    ill = psutil.Process(fleet.services[2].process.pid)
    processes = [ill, *ill.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        found = fleet.findings()
    finally:
        for process in processes:
            process.resume()
    assert set(found) == {"member-silent"}
    assert found["member-silent"].subjects == (LOOPBACK[2],)
    assert "no answer within" in found["member-silent"].evidence
    eventually(lambda: len(fleet.front.held()["members"]) == len(LOOPBACK), 20, 0.2)


def test_its_balancer_is_gone_and_an_instance_ends(fleet: Fleet) -> None:
    """The last: what it breaks stays broken."""
    fleet.balancer.process.send_signal(signal.SIGKILL)
    fleet.balancer.process.wait()
    gone = fleet.services[0]
    assert gone.stop() == 0
    ask(fleet.settings, "UPDATE balancers SET seen_at = now() - interval '1 minute'")
    ask(
        fleet.settings,
        "UPDATE instances SET changed_at = now() - interval '1 minute' WHERE state = 'stopped'",
    )
    found = fleet.findings()
    assert {"member-ghost", "members-differ"} <= set(found)
    assert found["member-ghost"].subjects == (LOOPBACK[0],)
    assert "stopped for 60 s" in found["member-ghost"].evidence
    assert "no balancer follows the registry" in found["members-differ"].evidence

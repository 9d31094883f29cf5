"""Uneven traffic: of a real nginx whose members are in files, where weights and ties can be had."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looks.access_log import AccessLogLook
from photo_fleet.doctor.looks.edge import EdgeLook
from photo_fleet.doctor.looks.nginx import NginxLook
from photo_fleet.doctor.looks.registry import RegistryLook
from photo_fleet.doctor.looks.servers import ServersLook
from photo_fleet.doctor.seen import Seen, Unseen
from photo_fleet.doctor.traffic import sticky, uneven
from photo_fleet.spec.fleet import HealthCheck
from tests.doctor.traffic_stage import Stage, judged, seen, traffic_stage
from tests.own_stage import own_database
from tests.photo_fleet.nginx_stage import spec

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture(scope="module")
def whole(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[Stage]:
    fleet = replace(spec(membership="reload"), health_check=HealthCheck(timeout=2))
    with own_database(stack, environ) as settings, traffic_stage(settings, 3, fleet) as stage:
        yield stage


@pytest.fixture
def stage(whole: Stage) -> Stage:
    whole.sound()
    return whole


def reloaded(stage: Stage, before: str, after: str) -> None:
    """nginx works by other members: by the file with this change."""
    text = Path(stage.front.places.members_include).read_text()
    assert before in text
    stage.reload(text.replace(before, after, 1))


def test_a_sound_fleet_whose_members_are_in_files(stage: Stage) -> None:
    stage.asked(200)
    assert judged(stage.reach)[0] == []


def test_one_has_a_larger_weight(stage: Stage) -> None:
    heavy = stage.toys[0]
    reloaded(stage, f"server {heavy.backend.address}", f"server {heavy.backend.address} weight=4")
    assert stage.asked(300)[heavy.name] == 200
    found = stage.findings()
    assert set(found) == {"traffic-uneven", "balancing-sticky"}
    told = found["traffic-uneven"]
    assert (told.level, heavy.name in told.subjects) == ("error", True)
    assert f"of 300 requests while 3 instances served ({stage.front.places.access_log})" in (
        told.evidence
    )
    assert f"{heavy.name} 200 (2.00 times an equal share, 100)" in told.evidence
    assert "weight=4; balancer.algorithm is round-robin" in found["balancing-sticky"].evidence


def test_ten_requests_are_no_verdict(stage: Stage) -> None:
    heavy = stage.toys[0]
    reloaded(stage, f"server {heavy.backend.address}", f"server {heavy.backend.address} weight=4")
    stage.asked(20)
    assert set(stage.findings()) == {"balancing-sticky"}


def test_clients_are_tied_to_instances(stage: Stage) -> None:
    reloaded(stage, "server ", "ip_hash; server ")
    for network in range(20, 32):
        stage.asked(20, f"127.0.{network}.1")
    look = seen(stage.reach)
    by_files = next(iter(sticky(look)))
    assert "members.conf" in by_files.evidence
    assert "ip_hash ties each client to one instance" in by_files.evidence

    unread = Unseen("nobody may read nginx's files", "sudo")
    by_clients: list[Finding] = []
    with pytest.raises(Unseen, match="nobody may read"):
        by_clients.extend(sticky(without(look, NginxLook, unread)))
    [told] = by_clients
    assert "12 of 12 clients with 14 requests or more always met the same one" in told.evidence


def test_another_algorithm_than_the_spec_s(stage: Stage) -> None:
    reloaded(stage, "server ", "least_conn; server ")
    told = stage.findings()["balancing-sticky"]
    assert "least-connections; balancer.algorithm is round-robin" in told.evidence
    balancer = replace(stage.front.fleet.balancer, algorithm="least-connections")
    same = replace(stage.front.fleet, balancer=balancer)
    assert stage.findings(replace(stage.reach, spec=same)) == {}


def test_one_that_came_now_is_not_held_against_the_others(stage: Stage) -> None:
    late = stage.toys[2]
    stage.put(*stage.toys[:2])
    stage.asked(200)
    stage.put(*stage.toys)
    stage.registered(late, since=3, started=10)
    assert stage.findings() == {}


def test_without_a_registry_nothing_is_known(stage: Stage) -> None:
    blind = without(seen(stage.reach), RegistryLook, Unseen("no registry", "psql"))
    with pytest.raises(Unseen, match="no registry"):
        list(uneven(blind))


def without(look: Seen, kind: type[Any], unseen: Unseen) -> Seen:
    kinds = (RegistryLook, NginxLook, EdgeLook, AccessLogLook, ServersLook)
    looks: dict[type[Any], Any] = {one: look.look(one) for one in kinds}
    return Seen(look.spec, look.at, {**looks, kind: unseen})

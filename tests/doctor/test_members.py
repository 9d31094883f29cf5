"""What the doctor finds wrong with nginx's members: of a real nginx and a real registry."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from photo_fleet.doctor.looks import servers
from photo_fleet.spec.fleet import Group, HealthCheck
from tests.doctor.traffic_stage import Stage, Toy, judged, traffic_stage
from tests.own_stage import ask, own_database
from tests.photo_fleet.nginx_stage import hang, spec
from tests.service import eventually, free_port

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture(scope="module")
def whole(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[Stage]:
    fleet = replace(spec(), health_check=HealthCheck(timeout=2))
    with own_database(stack, environ) as settings, traffic_stage(settings, 3, fleet) as stage:
        yield stage


@pytest.fixture
def stage(whole: Stage) -> Stage:
    whole.sound()
    return whole


def test_a_sound_fleet_has_no_finding(stage: Stage) -> None:
    assert sum(stage.asked(120).values()) == 120
    findings, unknown = judged(stage.reach)
    assert findings == []
    watched = {"instance-unscraped", "series-ghost"}
    assert {one.code for one in unknown} == {*watched, "machines-uneven"}, (
        "no Prometheus was named, and these tell no configuration"
    )


def test_one_that_is_ready_and_no_member(stage: Stage) -> None:
    stage.put(*stage.toys[:2])
    found = stage.findings()
    assert set(found) == {"member-missing"}
    told = found["member-missing"]
    assert told.subjects == (stage.toys[2].name,)
    assert "ready for 50 min" in told.evidence
    assert "answers 200 healthy here" in told.evidence
    assert stage.toys[2].backend.address in told.command


def test_one_that_becomes_ready_just_now_is_not_missed(stage: Stage) -> None:
    stage.registered(stage.toys[2], since=3, started=10)
    stage.put(*stage.toys[:2])
    assert stage.findings() == {}


def test_one_that_has_just_begun_to_drain_is_not_missed(stage: Stage) -> None:
    leaving = stage.toys[2]
    stage.put(*stage.toys[:2])
    leaving.word = "draining"
    try:
        assert stage.findings() == {}, "the registry was read before it said so"
    finally:
        leaving.word = "healthy"


def test_a_stranger_misses_it_by_its_number(stage: Stage) -> None:
    stage.put(*stage.toys[:2])
    found = stage.findings(replace(stage.reach, places=None))
    assert "nginx has 2 members (/edge/health)" in found["member-missing"].evidence


def test_a_member_that_has_ended(stage: Stage) -> None:
    gone, unknown = stage.toys[1:]
    stage.registered(gone, "lost", since=90)
    ask(stage.settings, "DELETE FROM instances WHERE boot_id = $1::uuid", unknown.boot_id)
    told = stage.findings()["member-ghost"]
    assert set(told.subjects) == {gone.name, unknown.name}
    assert "lost for 90 s" in told.evidence
    assert "the registry does not have it" in told.evidence


def test_one_that_drains_and_is_still_sent_to(stage: Stage) -> None:
    draining = stage.toys[0]
    stage.registered(draining, "draining", since=40)
    found = stage.findings()
    assert "draining for 40 s" in found["member-ghost"].evidence
    told = found["members-differ"].evidence
    assert f"nginx-1 has not acknowledged that {draining.name} drains for 40 s" in told
    stage.registered(draining, "draining", since=1)
    assert stage.findings() == {}, "it is about to leave"


def test_balancers_that_follow_no_more(stage: Stage) -> None:
    stage.followed("nginx-2", unseen=300)
    told = stage.findings()["members-differ"]
    assert (told.level, told.subjects) == ("warning", ("nginx-2",))
    assert "nginx-2 for 5 min" in told.evidence
    ask(stage.settings, "UPDATE balancers SET seen_at = now() - interval '1 hour'")
    told = stage.findings()["members-differ"]
    assert told.level == "error"
    assert "no balancer follows the registry: the last was seen 60 min ago" in told.evidence
    ask(stage.settings, "DELETE FROM balancers")
    assert "none has a row there" in stage.findings()["members-differ"].evidence


def test_one_that_came_back_under_another_id_is_not_away(stage: Stage) -> None:
    stage.followed("nginx-1", unseen=7200)
    assert stage.findings() == {}


def test_nginx_has_other_members_than_its_balancer_wants(stage: Stage) -> None:
    file = Path(stage.front.places.state) / "balancer.json"
    file.parent.mkdir(exist_ok=True)
    state = {"id": "b", "name": "nginx-1", "database": True, "nginx": True, "panic": False}
    wanted = [toy.member for toy in stage.toys[:2]]
    try:
        file.write_text(json.dumps(state | {"members": wanted}))
        found = stage.findings()
        assert set(found) == {"members-differ"}
        assert "it wants 2 members, and nginx has 3" in found["members-differ"].evidence
        members = [toy.member for toy in stage.toys]
        file.write_text(json.dumps(state | {"members": members, "database": False}))
        assert "the registry does not answer it" in stage.findings()["members-differ"].evidence
        file.write_text("[" * 100_000)
        assert stage.findings() == {}, "what is broken tells nothing"
    finally:
        file.unlink()


def test_one_whose_connections_fail_is_left_out(stage: Stage) -> None:
    ill = stage.another()
    stage.servers.stop_listening(ill.backend)
    stage.registered(ill)
    stage.put(*stage.toys, ill)
    eventually(lambda: stage.asked(8) and _left_out(stage, ill), 10)
    stage.asked(200)
    found = stage.findings()
    assert set(found) == {"member-quarantined", "member-silent"}
    told = found["member-quarantined"]
    assert (told.level, told.subjects) == ("error", (ill.name,))
    assert "3 connections to it failed within 10 s" in told.evidence
    assert "connection refused" in found["member-silent"].evidence


def _left_out(stage: Stage, toy: Toy) -> bool:
    members = stage.front.held()["members"]
    return any(one["id"] == toy.boot_id and one["quarantined_until"] for one in members)


def test_a_member_that_hangs_or_gives_no_sign(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "MOST_PATIENCE", 0.4)
    ill = stage.toys[0]
    before, ill.backend.behaviour = ill.backend.behaviour, hang
    try:
        told = stage.findings()["member-silent"]
        assert (
            f"{ill.name} is ready (registry), and {ill.backend.address}: no answer" in told.evidence
        )
    finally:
        ill.backend.behaviour = before
    stage.registered(ill, silent=50)
    told = stage.findings()["member-silent"]
    assert re.search(rf"{ill.name} \(ready\) gave its last sign of life 5\d s ago", told.evidence)
    assert told.subjects == (ill.name,)


def test_another_algorithm_than_the_spec_s(stage: Stage) -> None:
    balancer = replace(stage.front.fleet.balancer, algorithm="least-connections")
    told = stage.findings(replace(stage.reach, spec=replace(stage.front.fleet, balancer=balancer)))
    assert "round-robin; balancer.algorithm is least-connections" in (
        told["balancing-sticky"].evidence
    )


def test_a_panic(stage: Stage) -> None:
    stage.put(*stage.toys, panic=True)
    found = stage.findings()
    assert set(found) == {"balancer-panic"}
    assert "fewer than half of nginx's 3 members pass" in found["balancer-panic"].evidence


def test_what_nginx_kept_is_read_where_it_does_not_answer(stage: Stage) -> None:
    """The members' file, without the socket: what nginx knows of each is not in it."""
    places = stage.front.places
    socket = Path(places.members_socket)
    away = socket.with_name("away")
    stage.put(*stage.toys[:2])
    socket.rename(away)
    try:
        found = stage.findings()
        assert places.members_file in found["member-missing"].evidence
    finally:
        away.rename(socket)


def test_nginx_stands_still(stage: Stage) -> None:
    master = psutil.Process(stage.front.process.pid)
    still = [master, *master.children()]
    for process in still:
        process.suspend()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("photo_fleet.doctor.looks.edge.PATIENCE", 1.0)
            told = stage.findings()["balancer-silent"]
            elsewhere = judged(replace(stage.reach, places=None))
    finally:
        for process in still:
            process.resume()
    assert "/edge/health gave no answer within 1 s, twice" in told.evidence
    assert stage.front.places.error_log in told.command
    assert "balancer-silent" not in {one.code for one in elsewhere[0]}
    assert "balancer-silent" in {one.code for one in elsewhere[1]}


def test_nobody_listens_where_nginx_should(stage: Stage) -> None:
    reach = replace(stage.reach, edge=f"http://127.0.0.1:{free_port()}")
    assert "nobody takes a connection" in stage.findings(reach)["balancer-silent"].evidence


@pytest.mark.parametrize(("least", "level"), [(2, "error"), (1, "warning")])
def test_one_has_all_requests(stage: Stage, least: int, level: str) -> None:
    [alone] = stage.toys[:1]
    for other in stage.toys[1:]:
        stage.registered(other, "stopped", since=400)
    stage.put(alone)
    fleet = replace(stage.front.fleet, group=Group(min=least, desired=2, max=4))
    told = stage.findings(replace(stage.reach, spec=fleet))["single-member"]
    assert (told.level, told.subjects) == (level, (alone.name,))
    assert "the one before it ended 7 min ago" in told.evidence
    meant = replace(fleet, group=Group(min=1, desired=1, max=1))
    assert stage.findings(replace(stage.reach, spec=meant)) == {}
    stage.registered(alone, started=30, since=20)
    assert "single-member" not in stage.findings(replace(stage.reach, spec=fleet)), "it begins"


def test_a_cloud_s_balancer_has_no_members_here(stage: Stage) -> None:
    ask(stage.settings, "DELETE FROM balancers")
    cloud = replace(stage.front.fleet, balancer=replace(stage.front.fleet.balancer, kind="cloud"))
    findings, unknown = judged(replace(stage.reach, spec=cloud, edge="", places=None))
    assert findings == []
    prometheus = {"traffic-uneven", "connections-pinned", "instance-unscraped", "series-ghost"}
    assert {one.code for one in unknown} == {*prometheus, "balancing-sticky", "machines-uneven"}

"""The control API of the members, and what of them outlives restarts, reloads and crashes."""

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.photo_fleet.nginx_stage import (
    Backends,
    Front,
    backends,
    hang,
    running_front,
    short_folder,
    start,
)
from tests.photo_fleet.test_nginx_membership import hanging_requests, who_answers, workers
from tests.service import eventually

pytestmark = pytest.mark.needs("nginx")


@pytest.fixture
def servers() -> Iterator[Backends]:
    with backends() as started:
        yield started


def test_a_restart_keeps_the_members(servers: Backends) -> None:
    member = servers.start()
    with short_folder() as folder:
        with running_front(None, member, folder=folder) as front:
            front.put(member, panic=True)
            places = front.places
        with running_front(None, folder=folder, places=places) as front:
            assert front.held()["generation"] == 2
            assert front.held()["panic"] is True
            assert who_answers(front, 3) == {member.name: 3}
            assert front.put()["generation"] == 3


def test_a_damaged_file_of_members_is_told_and_not_used(servers: Backends) -> None:
    for damaged in ("{", '{"generation": 3, "members": [{"id": "a"}]}', "[]"):
        with short_folder() as folder:
            (folder / "run").mkdir()
            (folder / "run" / "members.json").write_text(damaged)
            with running_front(None, folder=folder) as front:
                assert front.held()["members"] == []
                assert "members.json cannot be used" in front.logs


def test_a_full_disk_keeps_the_file_of_members_and_is_told(servers: Backends) -> None:
    """`/dev/full` takes what is written to it and refuses it when it is to be stored."""
    first, second = servers.start(), servers.start()
    with running_front(None, first) as front:
        file = Path(front.places.members_file)
        before = file.read_text()
        Path(f"{file}.new").symlink_to("/dev/full")
        assert front.put(second)["saved"] is False
        assert who_answers(front, 2) == {second.name: 2}, "a full disk stops no traffic"
        assert file.read_text() == before
        assert "a restart would not have these members" in front.logs
        assert front.put(second)["saved"] is True
        assert json.loads(file.read_text())["members"] == [second.as_member()]


def test_a_reload_and_a_crashed_worker_change_nothing(servers: Backends) -> None:
    busy, member = servers.start(hang), servers.start()
    with running_front(None, busy) as front:
        with hanging_requests(front, busy):
            for worker in workers(front):
                os.kill(worker, signal.SIGKILL)
        front.put(busy, member)
        assert front.member(busy)["in_flight"] == 0, "nobody will end the crashed worker's"
        before = workers(front)
        front.process.send_signal(signal.SIGHUP)
        eventually(lambda: not set(before) & set(workers(front)), 10)
        front.put(member)
        assert who_answers(front, 4) == {member.name: 4}


def test_a_killed_nginx_s_socket_does_not_hinder_the_next(servers: Backends) -> None:
    with running_front(None, servers.start()) as front:
        old_workers = workers(front)
        front.process.kill()
        front.process.wait()
        for worker in old_workers:
            os.kill(worker, signal.SIGKILL)
        front.process = again = start(front.places)
        try:
            eventually(lambda: Path(front.places.members_socket).exists(), 10)
            assert len(eventually(lambda: _held_or_none(front), 10)["members"]) == 1
        finally:
            again.terminate()
            again.wait(10)


def _held_or_none(front: Front) -> dict[str, Any]:
    try:
        return front.held()
    except httpx.TransportError:
        return {}


def test_only_its_own_user_and_group_reach_the_control_socket() -> None:
    with running_front() as front:
        mode = stat.S_IMODE(os.stat(front.places.members_socket).st_mode)
        assert mode == 0o660
        assert httpx.get(f"{front.url}/members").status_code == 404


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"members": [], }', "not JSON"),
        ('{"members": []} x', "not JSON"),
        ("[" * 100, "not JSON: nested too deeply"),
        ("[]", "members must be a list"),
        ('{"members": {}}', "members must be a list"),
        ('{"members": [1]}', "member 1 needs an id"),
        ('{"members": [{"id": "a b", "instance": "i", "address": "10.0.0.1:80"}]}', "needs an id"),
        ('{"members": [{"id": "a", "instance": "i", "address": "evil.example:80"}]}', "an address"),
        ('{"members": [{"id": "a", "instance": "i", "address": "10.0.0.256:80"}]}', "an address"),
        ('{"members": [{"id": "a", "instance": "i", "address": "10.0.0.1:0"}]}', "an address"),
        (
            '{"members": [{"id": "a", "instance": "i", "address": "10.0.0.1:1"},'
            ' {"id": "a", "instance": "i", "address": "10.0.0.1:2"}]}',
            "member 2 is there twice",
        ),
    ],
)
def test_what_is_no_list_of_members_changes_nothing(
    strict: Front, body: str, complaint: str
) -> None:
    before = strict.held()
    refused = strict.control("PUT", body)
    assert refused.status_code == 400
    assert complaint in refused.json()["detail"]
    assert strict.held() == before
    assert len(before["members"]) == 1


@pytest.fixture(scope="module")
def strict() -> Iterator[Front]:
    member = {"id": "a", "address": "[2001:db8::1]:8000", "instance": "2001:db8::1"}
    with running_front(None, member) as front:
        yield front


def test_the_control_api_knows_two_methods(strict: Front) -> None:
    refused = strict.control("DELETE")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, PUT")
    assert strict.control("GET", path="/").status_code == 404

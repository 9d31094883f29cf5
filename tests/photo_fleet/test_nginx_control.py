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
    Backend,
    Backends,
    Front,
    as_lines,
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
    """One that was cut short among them, and no older one in its place."""
    whole = as_lines(servers.start())
    for damaged in ("", whole[:-2], "generation 3\nmember a\nend 1\n", "[]"):
        with short_folder() as folder:
            (folder / "run").mkdir()
            (folder / "run" / "members.list").write_text(damaged)
            (folder / "run" / "members.json").write_text('{"generation":3,"members":[]}')
            with running_front(None, folder=folder) as front:
                assert front.held()["members"] == []
                assert front.held()["generation"] == 0
                assert "members.list cannot be used" in front.logs


def of_before(*members: Backend) -> str:
    """As earlier releases sent it and kept it."""
    return json.dumps({"members": [one.as_member() for one in members], "panic": True})


def test_an_upgrade_keeps_the_members(servers: Backends) -> None:
    """What the release before kept is read, and what its balancer still sends is taken."""
    member, other = servers.start(), servers.start()
    kept = {"generation": 7, **json.loads(of_before(member))}
    with short_folder() as folder:
        (folder / "run").mkdir()
        (folder / "run" / "members.json").write_text(
            json.dumps(kept, separators=(",", ":"), sort_keys=True)
        )
        with running_front(None, folder=folder) as front:
            assert (front.held()["generation"], front.held()["panic"]) == (7, True)
            assert who_answers(front, 2) == {member.name: 2}
            assert front.control("PUT", of_before(member, other)).json()["generation"] == 8
            assert who_answers(front, 4) == {member.name: 2, other.name: 2}
            assert Path(front.places.members_file).read_text().startswith("generation 8\n")


@pytest.mark.parametrize(
    "damaged", ["{", '{"generation":3,"members":[{"id":"a"}]}', '{"members":[1]}', "{}"]
)
def test_a_damaged_file_of_the_release_before_is_told_and_not_used(damaged: str) -> None:
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
        assert file.read_text() == f"generation 3\n{as_lines(second)}"


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
        ("", "the end is missing"),
        ("panic false\n", "the end is missing"),
        ("end 0\nend 0\n", "something follows the end"),
        ("end 1\n", "another number of members"),
        ("end\n", "line 1 is neither"),
        ("panic maybe\nend 0\n", "line 1 is neither"),
        ("panic false\nMEMBER\nend 0\n", "line 2 is neither"),
        ("[" * 100, "line 1 is neither"),
        ('{"members": [], }x', "line 1 is neither"),
        ('{"members": {}}', "line 1 is neither"),
        ('{"members": [1]}', "line 1 is neither"),
        ("member 1\nend 1\n", "member 1 needs an id"),
        ("member a b i 10.0.0.1:80\nend 1\n", "needs an id"),
        ('member a" 10.0.0.1:80 i\nend 1\n', "needs an id"),
        ("member a evil.example:80 i\nend 1\n", "an address"),
        ("member a 10.0.0.256:80 i\nend 1\n", "an address"),
        ("member a 10.0.0.1:0 i\nend 1\n", "an address"),
        ("member a 10.0.0.1:1 i\nmember a 10.0.0.1:2 i\nend 2\n", "member 2 is there twice"),
        ("member a 10.0.0.1:1 i\nmember b 10.0.0.1:2 i\nend 1\n", "another number of members"),
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

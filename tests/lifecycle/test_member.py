"""`photo-api member`: the instance leaves the cloud's load balancer and returns, whatever that
answers, and its end never waits for longer than it may."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import pytest

from photo_api.cloud import member as module
from photo_api.cloud.member import NotAtAll, NotNow, Place, Pool, bring
from photo_api.cloud.member_command import member_command
from photo_api.settings.member import load_member
from photo_base.environment import SettingsError
from tests.openstack.keystone_v2 import PASSWORD, KeystoneV2
from tests.openstack.load_balancer import BALANCER, LoadBalancer, running, settings

NOTHING: Mapping[str, str] = MappingProxyType({})
HERE = Place("10.0.0.4", 8000)


@dataclass
class World:
    balancer: LoadBalancer
    keystone: KeystoneV2
    own: str

    def pool(self, **changed: str) -> Pool:
        environ = settings(self.balancer, self.keystone) | changed
        return Pool(load_member(environ))

    def bring(self, *, up: bool, seconds: float = 10.0, **changed: str) -> bool:
        """Whether there is a member, which is as it should be then."""
        found = bring(self.pool(**changed), HERE, up=up, until=time.monotonic() + seconds)
        return found is not None and found.id == self.own

    @property
    def is_in(self) -> bool:
        return bool(self.balancer.members[self.own]["admin_state_up"])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(module, "PAUSE", 0.02)
    with running() as (balancer, keystone):
        balancer.add("10.0.0.3", HERE.port)
        own = balancer.add(HERE.address, HERE.port)
        balancer.add(HERE.address, HERE.port + 1)
        yield World(balancer, keystone, own)


def test_its_own_member_alone_leaves_and_returns(world: World) -> None:
    balancer = world.balancer
    assert world.bring(up=False)
    downs = [key for key, one in balancer.members.items() if not one["admin_state_up"]]
    assert downs == [world.own]
    assert time.monotonic() >= balancer.busy_until  # it has taken effect
    assert world.bring(up=True)
    assert all(one["admin_state_up"] for one in balancer.members.values())
    assert balancer.changes == 2
    assert world.keystone.asked == 2


def test_a_member_that_is_as_it_should_be_starts_no_balancer_anew(world: World) -> None:
    assert world.bring(up=True)
    assert world.balancer.changes == 0


def test_every_member_of_its_place_leaves_and_returns(world: World) -> None:
    """Nobody is sent here by another of the same address, on whatever page it stands."""
    balancer = world.balancer
    balancer.page = 1
    own = {world.own, balancer.add(HERE.address, HERE.port)}
    for up in (False, True):
        assert world.bring(up=up)
        assert {balancer.members[key]["admin_state_up"] for key in own} == {up}


def test_it_waits_for_the_balancer_to_do_it(world: World) -> None:
    world.balancer.takes = 0.4
    began = time.monotonic()
    assert world.bring(up=False)
    assert time.monotonic() - began >= 0.4


def test_another_s_change_is_waited_for(world: World) -> None:
    """409: the balancer takes one at a time, and a group scales in several instances at once."""
    world.balancer.busy_until = time.monotonic() + 0.4
    assert world.bring(up=False)
    assert not world.is_in


@pytest.mark.parametrize("fault", ["lose", 409, 429, 500, 503, 404])
@pytest.mark.parametrize("request_number", range(4))
def test_an_answer_that_does_not_come_or_is_none_is_asked_for_again(
    world: World, fault: int | str, request_number: int
) -> None:
    world.balancer.faults.extend([None] * request_number + [fault])
    assert world.bring(up=False)
    assert not world.is_in
    assert not world.balancer.faults
    assert world.balancer.changes <= 2


def test_a_token_that_is_void_is_replaced(world: World) -> None:
    pool = world.pool()
    pool.find(HERE)
    world.balancer.tokens.clear()
    assert bring(pool, HERE, up=False, until=time.monotonic() + 10)
    assert world.keystone.asked == 2


@pytest.mark.parametrize("faults", [[], [None, 404]], ids=["before", "meanwhile"])
def test_a_member_that_is_gone_is_out(world: World, faults: list[int | str | None]) -> None:
    world.balancer.faults.extend(faults)
    del world.balancer.members[world.own]
    assert not world.bring(up=False)
    assert world.balancer.changes == 0


def test_what_is_refused_for_good_is_not_asked_again(world: World) -> None:
    world.balancer.faults.append(403)
    with pytest.raises(NotAtAll, match="403"):
        world.bring(up=False)
    with pytest.raises(NotAtAll, match="refuses the user or the password"):
        world.bring(up=False, PHOTO_API_MEMBER_PASSWORD="wrong")
    assert world.keystone.asked == 2  # no account is locked for too many attempts
    assert world.is_in


@pytest.mark.parametrize(
    "answer",
    [
        *([], {}, {"members": None}, {"members": [{}]}, {"members": [7]}),
        {"members": [{"address": "x", "protocol_port": 8000}]},
        {"members": [{"address": HERE.address, "protocol_port": str(HERE.port)}]},
        {"members": [{"address": "10.0.0.4", "protocol_port": 8000, "id": "a/../b"}]},
        {"members": [{"address": "10.0.0.4", "protocol_port": 8000, "id": "a"}]},
        {"members": [], "members_links": [{"rel": "next"}]},
    ],
)
def test_an_answer_of_another_form_changes_nothing(world: World, answer: object) -> None:
    world.balancer.answer = answer
    with pytest.raises(NotNow, match="not one to go by"):
        world.bring(up=False, seconds=0.1)
    assert world.balancer.changes == 0


def test_members_are_found_on_whatever_page_and_without_filters(world: World) -> None:
    world.balancer.filters, world.balancer.page = False, 1
    for number in range(module.MOST_PAGES - 5):
        world.balancer.add(f"10.0.1.{number}", HERE.port)
    world.balancer.add("10.0.0.9", HERE.port + 1)
    world.own = world.balancer.add("10.0.0.9", HERE.port)
    elsewhere = Place("10.0.0.9", HERE.port)
    found = bring(world.pool(), elsewhere, up=False, until=time.monotonic() + 10)
    assert found is not None
    assert found.id == world.own
    world.balancer.add("10.0.2.1", HERE.port)
    with pytest.raises(NotAtAll, match="pages"):
        world.pool().find(Place("10.0.3.1", HERE.port))


def test_a_balancer_that_never_gets_done_is_told(world: World) -> None:
    world.balancer.takes = 60
    with pytest.raises(NotNow, match="has not done it yet"):
        world.bring(up=False, seconds=0.3)


class Service(ThreadingHTTPServer):
    """What a machine's instance answers to /health."""

    daemon_threads = True
    status = 503
    asked = 0


class _Health(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(self.server.status if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def service() -> Iterator[Service]:
    own = Service(("127.0.0.1", 0), _Health)
    thread = threading.Thread(target=own.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield own
    finally:
        own.shutdown()
        own.server_close()
        thread.join()


def environ_of(world: World, changed: Mapping[str, str]) -> dict[str, str]:
    own = {"PHOTO_API_MEMBER_ADDRESS": HERE.address}
    return settings(world.balancer, world.keystone) | own | dict(changed)


def command(
    world: World,
    action: Literal["out", "in"],
    port: int = HERE.port,
    changed: Mapping[str, str] = NOTHING,
) -> int:
    environ = environ_of(world, changed)
    told = member_command(environ, action=action, port=port, within=1.5, as_json=True)
    return asyncio.run(told)


Printed = pytest.CaptureFixture[str]


def test_the_command_needs_no_other_settings_and_tells_what_came_of_it(
    world: World, tmp_path: Path, capsys: Printed
) -> None:
    secret = tmp_path / "member-password"
    secret.write_text(PASSWORD + "\n")
    given = {"PHOTO_API_MEMBER_PASSWORD": "", "PHOTO_API_MEMBER_PASSWORD_FILE": str(secret)}
    assert command(world, "out", changed=given) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], told["member"], world.is_in) == (True, world.own, False)
    assert command(world, "out", 9) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], told["member"]) == (True, None)
    with pytest.raises(SettingsError, match="PHOTO_API_MEMBER_POOL must be set"):
        command(world, "out", changed={"PHOTO_API_MEMBER_POOL": ""})
    for address in ("localhost", "10.0.0.5/24", "fe80::1%x&address=10.0.0.6"):
        with pytest.raises(SettingsError, match="must be an IP address, without a zone"):
            command(world, "out", changed={"PHOTO_API_MEMBER_ADDRESS": address})


def test_the_command_returns_only_who_is_ready(world: World, capsys: Printed) -> None:
    """And says by its exit code that nobody is sent here: a unit tries again then."""
    own = world.balancer.members[world.own]
    own["admin_state_up"] = False
    with service() as instance:
        own["protocol_port"] = port = instance.server_port
        assert command(world, "in", port) == 1
        assert "/health of this machine does not answer 200" in capsys.readouterr().out
        assert not world.is_in
        instance.status = 200
        assert command(world, "in", port) == 0
        assert world.is_in
        world.balancer.members.clear()
        assert command(world, "in", port) == 1
        assert "has no such member" in capsys.readouterr().out


def test_the_process_ends_in_time_and_without_secrets(world: World) -> None:
    world.balancer.faults.extend(["hang"] * 9)
    others = {key: value for key, value in os.environ.items() if "PHOTO_API_" not in key}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "photo_api.cli", "member", "out", "--within", "1"],
        env=others | environ_of(world, {}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "no answer within 1 s" in done.stderr
    # Who hangs is given up sooner than its own bound: what is left is a start of Python.
    assert time.monotonic() - began < 1 + module.TIMEOUT
    assert world.is_in
    for text in ("do-not-show", PASSWORD, *world.balancer.tokens):
        assert text not in done.stdout + done.stderr


def test_the_fake_says_what_the_guide_says(world: World) -> None:
    """A member that is changed twice in a row meets a balancer that is being changed."""
    world.balancer.takes = 30
    pool = world.pool()
    [member] = pool.find(HERE)
    pool.change(member, up=False)
    with pytest.raises(NotNow, match="409"):
        pool.change(member, up=True)
    assert not pool.settled()
    assert f"GET /v2.0/lbaas/loadbalancers/{BALANCER}" in world.balancer.asked

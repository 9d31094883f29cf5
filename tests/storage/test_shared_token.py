"""The token that all processes of an instance have in common."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from photo_api.storage import shared_token as module
from photo_api.storage.base import StoreRefused
from photo_api.storage.shared_token import SharedToken
from photo_api.storage.swift_containers import Containers
from photo_api.storage.tokens import Token
from tests.openstack.account import on_swift
from tests.openstack.keystone_v2 import KeystoneV2, in_a_thread
from tests.openstack.swift import Swift
from tests.own_stage import own_database
from tests.service import Service, eventually, jpeg, running_service


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = os.memfd_create("token")
    yield descriptor
    os.close(descriptor)


class Keystone:
    def __init__(self, life: float = 3600.0) -> None:
        self.asked, self.life = 0, life

    async def ask(self) -> Token:
        self.asked += 1
        return Token(f"token {self.asked}", self.life)


async def test_what_one_has_asked_for_serves_the_others(memory: int) -> None:
    keystone = Keystone()
    first, second = (SharedToken(keystone.ask, memory) for _ in range(2))
    assert (await first.fetch()).value == "token 1"
    token = await second.fetch()
    assert (token.value, keystone.asked) == ("token 1", 1)
    assert 3590 < token.life <= 3600


async def test_a_token_that_is_void_or_due_is_replaced_once(memory: int) -> None:
    """Who asks again has no use for the one that it had."""
    keystone = Keystone()
    several = [SharedToken(keystone.ask, memory) for _ in range(3)]
    for number in range(1, 4):
        for one in several:
            assert (await one.fetch()).value == f"token {number}"
    assert keystone.asked == 3


@pytest.mark.parametrize("life", [-7200.0, 0.0, 0.05])
async def test_one_that_is_old_is_handed_to_nobody(memory: int, life: float) -> None:
    keystone = Keystone(life)
    await SharedToken(keystone.ask, memory).fetch()
    await asyncio.sleep(0.06)
    assert (await SharedToken(keystone.ask, memory).fetch()).value == "token 2"


@pytest.mark.parametrize("left", [b"", b'{"value": "tok', b"[]", b'{"value": "x"}', b"\xff"])
async def test_what_somebody_has_left_half_written_is_none(memory: int, left: bytes) -> None:
    os.pwrite(memory, left, 0)
    assert (await SharedToken(Keystone().ask, memory).fetch()).value == "token 1"


async def test_a_failure_is_shared_by_nobody(memory: int) -> None:
    async def refuses() -> Token:
        raise StoreRefused("no")

    with pytest.raises(StoreRefused):
        await SharedToken(refuses, memory).fetch()
    assert (await SharedToken(Keystone().ask, memory).fetch()).value == "token 1"


HOLD = (
    "import fcntl,os,sys,time; fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX); print(); time.sleep(9)"
)


async def test_one_that_stands_still_holds_nobody_up(
    memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOCK_WAIT", 0.1)
    command = [sys.executable, "-uc", HOLD, str(memory)]
    with subprocess.Popen(command, pass_fds=[memory], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        shared, keystone = SharedToken(Keystone().ask, memory), Keystone()
        assert (await shared.fetch()).value == "token 1"
        holder.kill()
    other = SharedToken(keystone.ask, memory)
    await other.fetch()
    await SharedToken(keystone.ask, memory).fetch()
    assert keystone.asked == 1, "the lock ends with its process"


@pytest.mark.slow
@pytest.mark.needs("memcached")
def test_an_instance_asks_for_one_token(
    stack: dict[str, str],
    environ: dict[str, str],
    swift: Swift,
    containers: Containers,
    tmp_path: Path,
) -> None:
    """Two web workers and the job worker; also where one of them is killed, or the token is void
    before its time."""
    with ExitStack() as running:
        environ = running.enter_context(own_database(stack, environ))
        keystone = running.enter_context(in_a_thread(KeystoneV2(swift.sign_in)))
        environ = on_swift(environ, swift, containers, keystone)
        service = running.enter_context(running_service(environ, tmp_path, "--workers", "2"))
        user = running.enter_context(service.new_user())
        for seed in range(4):
            user.rendered(user.upload(jpeg(seed=seed))["id"])
        assert keystone.asked == 1
        first, *others = service.children("photo_api.web_worker")
        assert len(others) == 1
        first.kill()
        eventually(lambda: _is_replaced(service, first.pid), 20)
        for seed in range(4, 7):
            user.upload(jpeg(seed=seed))
        assert keystone.asked == 1
        time.sleep(1.1)  # a token that is void at once is no reason to ask
        swift.forget()
        for seed in range(7, 11):
            user.rendered(user.upload(jpeg(seed=seed))["id"])
        assert keystone.asked == 2


def _is_replaced(service: Service, pid: int) -> bool:
    pids = {child.pid for child in service.children("photo_api.web_worker")}
    return len(pids - {pid}) == 2 and service.is_healthy()

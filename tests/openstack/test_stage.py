"""The stage itself: a real Swift and a real Keystone, which end with who started them."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from photo_api.cloud.keystone import Account
from photo_api.storage.keystone import look_at
from photo_local.keystone import PROJECT, USER
from photo_local.openstack_account import OpenStack
from tests.openstack.keystone import PASSWORD, Keystone
from tests.openstack.swift import Swift, ask
from tests.service import eventually

pytestmark = pytest.mark.needs("memcached")

_START = """
import asyncio, sys
from pathlib import Path
from tests.openstack.swift import Swift

async def main():
    swift = Swift(Path(sys.argv[1]))
    await swift.start()
    print(*swift.pids(), flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_a_swift_keeps_what_it_is_given(swift: Swift) -> None:
    token, account = swift.sign_in()
    ask("PUT", f"{account}/stage", X_Auth_Token=token)
    assert ask("PUT", f"{account}/stage/x", b"bytes", X_Auth_Token=token).status == 201
    assert ask("GET", f"{account}/stage/x", X_Auth_Token=token).body == b"bytes"
    assert ask("GET", f"{account}/stage/x").status == 401
    assert "tempurl" in swift.info()


def test_its_servers_are_on_loopback_alone(swift: Swift) -> None:
    places = {
        place.laddr.ip
        for pid in swift.pids()
        for place in psutil.Process(pid).net_connections("tcp")
        if place.status == psutil.CONN_LISTEN
    }
    assert places == {"127.0.0.1"}


@pytest.mark.slow
async def test_a_server_that_is_mended_is_asked_at_once(tmp_path: Path) -> None:
    """However often it has failed: there is no other."""
    swift = Swift(tmp_path / "own")
    await swift.start()
    try:
        token, account = await asyncio.to_thread(swift.sign_in)

        async def put(place: str) -> int:
            url = f"{account}/{place}"
            return (await asyncio.to_thread(ask, "PUT", url, b"bytes", X_Auth_Token=token)).status

        assert await put("stage") == 201
        swift.processes["object"].kill()
        assert {await put("stage/x") for _ in range(15)} == {503}
        await swift.start()
        assert await put("stage/x") == 201
        # More than ext4 holds, to which an object server says 507.
        headers = {f"X_Object_Meta_{at}": "x" * 100 for at in range(30)} | {"X_Auth_Token": token}
        await asyncio.to_thread(ask, "PUT", f"{account}/stage/y", b"bytes", **headers)
        assert await put("stage/x") == 201
    finally:
        await swift.stop()


def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", _START, str(tmp_path / "own")], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pids = list(map(int, parent.stdout.readline().split()))
    assert len(pids) == 5
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()

    def gone() -> bool:
        return not any(map(_works, pids))

    eventually(gone, 5)


def _works(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_keystone_opens_its_swift(openstack: tuple[Keystone, Swift]) -> None:
    keystone, swift = openstack
    token, told = keystone.sign_in(USER, PASSWORD, PROJECT)
    [store] = [service for service in told["catalog"] if service["type"] == "object-store"]
    account = store["endpoints"][0]["url"]
    assert account == f"{swift.url}/v1/AUTH_{keystone.project}"
    assert ask("PUT", f"{account}/stage", X_Auth_Token=token).status in (201, 202)
    assert ask("PUT", f"{account}/stage", X_Auth_Token="other").status == 401


@pytest.mark.slow
async def test_the_catalogue_of_a_data_folder_names_its_store_where_it_is_now(
    tmp_path: Path,
) -> None:
    for _ in range(2):  # the second time at another port
        made = OpenStack(tmp_path / "openstack", tmp_path / "logs")
        keystone = made.services[0]
        await keystone.start()
        try:
            found = made.found("")
            account = Account(found.auth_url, found.user, found.password, found.project)
            assert look_at(account)[1] == [found.url]
        finally:
            await keystone.stop()

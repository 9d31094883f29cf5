"""The alarm, the receiver and real instances behind a balancer that does as Octavia is told: what
clients have been promised while one leaves is kept."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.group_openstack.fake_answers import Machine
from tests.group_openstack.fake_openstack import FakeOpenstack, running_openstack_apis
from tests.own_stage import ask
from tests.service import Service, User, die_with_parent, eventually, free_port, serving

TOKEN = "a" * 40
LAME_DUCK = 1.0


@asynccontextmanager
async def balancer(cloud: FakeOpenstack) -> AsyncIterator[str]:
    """Each new connection goes to a member with a weight; those that stand are left alone."""
    turn = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        with cloud.lock:
            members = [one for one in cloud.machines if one.in_pool and one.weight]
        one = members[turn % len(members)]
        with contextlib.suppress(OSError):
            to_reader, to_writer = await asyncio.open_connection(one.address, one.port)
            await asyncio.gather(pipe(reader, to_writer), pipe(to_reader, writer))
        writer.close()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@contextmanager
def in_a_thread(cloud: FakeOpenstack) -> Iterator[str]:
    """The balancer on an event loop of its own."""
    ready, place = threading.Event(), []
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        ended = asyncio.Event()
        loops.append((asyncio.get_running_loop(), ended))
        async with balancer(cloud) as url:
            place.append(url)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield place[0]
    loop, ended = loops[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(10)


class Client(threading.Thread):
    """Makes albums, one after the other; `made` were acknowledged, `failed` were not."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(daemon=True)
        self._api = httpx.Client(base_url=f"{url}/api", headers={"Authorization": token})
        self.made: list[int] = []
        self.failed: list[str] = []
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            try:
                answer = self._api.post("/albums/", json={"name": "A"})
                answer.raise_for_status()
                self.made.append(answer.json()["id"])
            except httpx.HTTPError as error:
                self.failed.append(repr(error))
            time.sleep(0.01)


@pytest.mark.slow
def test_an_alarm_removes_one_and_nothing_is_lost(
    own: dict[str, str], role: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        cloud = stack.enter_context(running_openstack_apis())
        services = three(own, cloud, tmp_path, stack)
        killed_alive: list[Machine] = []

        def press(machine: Machine) -> None:
            service = services[machine.port]
            service.process.send_signal(signal.SIGTERM)
            service.process.wait(60)

        def delete(machine: Machine) -> None:
            if services[machine.port].process.poll() is None:
                killed_alive.append(machine)
                services[machine.port].process.kill()

        cloud.on_stop, cloud.on_delete = press, delete
        url = stack.enter_context(in_a_thread(cloud))
        user = User(url)
        clients = [Client(url, user.api.headers["Authorization"]) for _ in range(3)]
        for client in clients:
            client.start()
        receiver = stack.enter_context(receiving(cloud, role, tmp_path))
        alarm = {"alarm_name": "idle", "previous": "ok", "current": "alarm", "reason": "idle"}
        for _ in range(3):  # Aodh repeats itself
            assert httpx.post(receiver, json=alarm, timeout=10).status_code == 202
        eventually(lambda: cloud.deleted, 60)
        assert httpx.post(receiver, json=alarm, timeout=10).status_code == 202
        time.sleep(1)
        for client in clients:
            client.stopping = True
        for client in clients:
            client.join(30)
        assert [client.failed for client in clients] == [[], [], []]
        made = sorted(number for client in clients for number in client.made)
        assert len(made) > 50
        rows = ask(own, "SELECT id FROM albums WHERE owner_id = $1", user.account["id"])
        assert made == sorted(row["id"] for row in rows)  # each once, and none that nobody knows of
        assert (len(cloud.deleted), len(cloud.machines), killed_alive) == (1, 2, [])
        log = tmp_path.joinpath("receiver.log").read_text()
        assert "an instance was removed" in log
        assert TOKEN not in log
        assert cloud.secret not in log


def three(
    own: dict[str, str], cloud: FakeOpenstack, folder: Path, stack: ExitStack
) -> dict[int, Service]:
    """Instances of a group, ready, by port."""
    found = {}
    for number in range(3):
        run = folder / f"run-{number}"
        run.mkdir()
        settings = {"PHOTO_API_LAME_DUCK": str(LAME_DUCK), "PHOTO_API_RUN_DIR": str(run)}
        born = time.time()
        service = stack.enter_context(
            serving(own | settings, folder / f"instance-{number}.log", "--no-jobs")
        )
        port = int(service.url.rsplit(":", 1)[1])
        cloud.add("127.0.0.1", port, age=time.time() - born + 2)
        found[port] = service
    for service in found.values():
        eventually(service.is_healthy, 60)
    return found


@contextmanager
def receiving(cloud: FakeOpenstack, role: str, folder: Path) -> Iterator[str]:
    """`photo-fleet group scale-in --listen`, and where the alarm is posted."""
    port = free_port()
    with folder.joinpath("receiver.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "photo_fleet.cli", "group", "scale-in"),
                *("--listen", f"127.0.0.1:{port}"),
            ],
            env={
                "PATH": os.environ["PATH"],
                "PHOTO_FLEET_SCALE_IN_TOKEN": TOKEN,
                "PHOTO_FLEET_DATABASE_URL": role,
                **cloud.environ,
            },
            cwd=folder,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )
    url = f"http://127.0.0.1:{port}/scale-in/{TOKEN}"

    def listens() -> bool:
        assert process.poll() is None, folder.joinpath("receiver.log").read_text()
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(url).status_code == 405
        return False

    eventually(listens, 30)
    yield url
    process.terminate()
    assert process.wait(10) == 0

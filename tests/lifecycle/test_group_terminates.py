"""An Auto Scaling group terminates an instance under load, in whichever order it does it."""

import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.lifecycle.receipts import held
from tests.lifecycle.target_group import TargetGroup, target_group
from tests.metadata_service import BALANCING, FakeCloud, running_cloud
from tests.own_stage import ask
from tests.service import Service, User, eventually, jpeg, running_service, serving

COMPLETED = "CompleteLifecycleAction"
StartService = Callable[..., Service]
LAME_DUCK = 4.0
DEREGISTRATION = 1.2
"""Seconds until the balancer sends nothing any more."""

UPLOAD = 2.0
"""Seconds that an upload takes that is in flight when the balancer lets go."""


@pytest.fixture
def cloud() -> Iterator[FakeCloud]:
    with running_cloud("aws") as running:
        running.hook.timeout = 3.5
        yield running


def on(cloud: FakeCloud) -> dict[str, str]:
    return {
        "METADATA_URL": cloud.url,
        "METADATA_TIMEOUT": "10",
        "NOTICE_INTERVAL": "0.2",
        "AUTOSCALING_GROUP": "photos",
        "LIFECYCLE_HOOK": "drain",
        "LIFECYCLE_HEARTBEAT": "3",
        "AUTOSCALING_URL": cloud.url,
        "LOAD_BALANCING_URL": cloud.url + BALANCING,
    }


class Visitor(threading.Thread):
    """Makes albums and reads them, and notes what it was promised."""

    def __init__(self, user: User, run: str, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.results: Counter[str] = Counter()
        self.promised: set[str] = set()
        self._user, self._run, self._over = user, run, over

    def run(self) -> None:
        while not self._over.is_set():
            name = f"{self._run} {uuid4()}"
            try:
                made = self._user.api.post("/albums/", json={"name": name})
                self.results[f"POST {made.status_code}"] += 1
                if made.status_code == 201:
                    self.promised.add(name)
                    read = self._user.api.get(f"/albums/{made.json()['id']}")
                    self.results[f"GET {read.status_code}"] += 1
            except httpx.TransportError as error:
                self.results[type(error).__name__] += 1
            time.sleep(0.01)


def upload_slowly(user: User, album: int, statuses: list[int | str]) -> None:
    """One that takes `UPLOAD` seconds."""
    form = f'--b\r\nContent-Disposition: form-data; name="album_id"\r\n\r\n{album}\r\n'
    form += '--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    body = form.encode() + jpeg(200, 200) + b"\r\n--b--\r\n"

    def pieces() -> Iterator[bytes]:
        for number in range(10):
            yield body[number * len(body) // 10 : (number + 1) * len(body) // 10]
            time.sleep(UPLOAD / 10)

    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(len(body))}
    try:
        status: int | str = user.api.post("/photos/", content=pieces(), headers=headers).status_code
    except httpx.TransportError as error:
        status = type(error).__name__
    statuses.append(status)


@contextmanager
def load(group: TargetGroup, environ: dict[str, str]) -> Iterator[None]:
    """Visitors, and uploads that begin twice a second, until the end of the block; then none may
    have been let down."""
    run, over, statuses = uuid4().hex, threading.Event(), list[int | str]()
    with User(group.url) as user:
        album = user.album()["id"]
        visitors = [Visitor(user, run, over) for _ in range(6)]
        for visitor in visitors:
            visitor.start()
        uploads = list[threading.Thread]()

        def begin() -> None:
            while not over.wait(0.5):
                one = threading.Thread(target=upload_slowly, args=(user, album, statuses))
                one.start()
                uploads.append(one)

        beginning = threading.Thread(target=begin)
        beginning.start()
        try:
            time.sleep(0.7)
            yield
        finally:
            over.set()
            beginning.join()
            for thread in (*visitors, *uploads):
                thread.join(30)
    results = sum((visitor.results for visitor in visitors), Counter())
    assert set(results) == {"POST 201", "GET 200"}, results
    assert set(statuses) == {201}, statuses
    assert len(statuses) == len(uploads)
    promised = set[str]().union(*(visitor.promised for visitor in visitors))
    made = ask(environ, "SELECT name FROM albums WHERE starts_with(name, $1)", run)
    assert sorted(row["name"] for row in made) == sorted(promised)
    assert [one for one in group.sent if one.result not in (200, 201)] == []


def balancer_first(cloud: FakeCloud, group: TargetGroup, leaving: str) -> None:
    """The machine hears of it when the balancer's deregistration delay is over."""
    group.deregister(leaving)
    time.sleep(UPLOAD + 1)
    cloud.terminate()


def balancer_first_and_told_early(cloud: FakeCloud, group: TargetGroup, leaving: str) -> None:
    """The machine hears of it at once, but the hook waits after the deregistration delay only."""
    cloud.target_state = "Terminated"
    group.deregister(leaving)
    time.sleep(LAME_DUCK + UPLOAD + 2)
    assert cloud.requests
    cloud.hook.open()


def hook_first(cloud: FakeCloud, group: TargetGroup, leaving: str) -> None:
    """The balancer goes on sending for a while."""
    cloud.terminate()
    time.sleep(DEREGISTRATION)
    group.deregister(leaving)


def hook_only(cloud: FakeCloud, group: TargetGroup, leaving: str) -> None:
    """The group deregisters nothing before the hook is completed, and the balancer's health check
    comes too late to find out. The instance has told it, and it goes on sending for a while."""
    cloud.groups.add("photos", cloud.instance_id)

    def let_go(arn: str) -> None:
        threading.Timer(DEREGISTRATION, group.deregister, [leaving]).start()

    cloud.groups.left = let_go
    cloud.terminate()


@pytest.mark.parametrize(
    "order",
    [
        pytest.param(hook_only, marks=pytest.mark.slow),
        pytest.param(balancer_first, marks=pytest.mark.slow),
        pytest.param(balancer_first_and_told_early, marks=pytest.mark.long),
        pytest.param(hook_first, marks=pytest.mark.slow),
    ],
)
def test_nothing_is_lost_in_either_order(
    cloud: FakeCloud,
    service: Service,
    start_service: StartService,
    order: Callable[[FakeCloud, TargetGroup, str], None],
) -> None:
    leaving = start_service(**on(cloud), LAME_DUCK=str(LAME_DUCK), DRAIN_WAIT="10")
    with target_group(leaving.url, service.url) as group, load(group, leaving.environ):
        order(cloud, group, leaving.url)
        assert leaving.process.wait(40) == 0
        eventually(lambda: cloud.hook.results == ["CONTINUE"])
    assert {form.get("LifecycleActionResult", "CONTINUE") for form in cloud.requests} == {
        "CONTINUE"
    }
    receipt = held(leaving)
    assert (receipt["ending"], receipt["lame_duck_end"]) == ("drained", "elapsed")
    assert receipt["lame_duck_s"] >= LAME_DUCK
    assert receipt["acknowledged"] == 0
    if order in (hook_first, hook_only):
        assert len(cloud.hook.heartbeats) >= 3
        draining = cloud.hook.heartbeats[0]
        assert [one for one in group.sent if one.target == leaving.url and one.at > draining]


def test_a_drain_that_began_otherwise_completes_the_hook_too(
    cloud: FakeCloud, start_service: StartService
) -> None:
    """The group terminates a machine whose instance drains already. It is deregistered then, and
    serves for a whole lame duck from there on."""
    arn = cloud.groups.add("photos", cloud.instance_id)
    cloud.balancing.delay = 1.2
    service = start_service(**on(cloud), LAME_DUCK="2")
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert cloud.groups.targets[arn]
    cloud.terminate()
    assert service.process.wait(30) == 0
    assert held(service)["cause"] == "SIGTERM"
    assert held(service)["lame_duck_s"] >= 0.3 + 1.2 + 2
    assert not cloud.groups.targets[arn]
    assert cloud.hook.results == ["CONTINUE"]
    assert cloud.hook.heartbeats


@pytest.mark.slow
def test_a_supervisor_that_is_killed_meanwhile_drains_again_and_completes_the_hook(
    cloud: FakeCloud, start_service: StartService, tmp_path: Path
) -> None:
    arn = cloud.groups.add("photos", cloud.instance_id)
    cloud.balancing.lost.extend(["before"] * 9)
    service = start_service(**on(cloud), LAME_DUCK="2")
    cloud.terminate()
    eventually(lambda: "not deregistered from the target groups" in service.log)
    service.process.kill()
    service.process.wait(10)
    assert cloud.hook.results == []
    assert cloud.groups.targets[arn]
    cloud.balancing.lost.clear()
    with serving(service.environ, tmp_path / "again.log") as again:
        assert again.process.wait(30) == 0
        assert '"message":"ready"' not in again.log
    assert not cloud.groups.targets[arn]
    assert cloud.hook.results == ["CONTINUE"]


@pytest.mark.slow
def test_a_second_signal_ends_the_waiting_for_the_group(
    cloud: FakeCloud, environ: dict[str, str], tmp_path: Path
) -> None:
    """Its hook never opens. systemd has been asked for the time, which is longer than the grace."""
    settings = {f"PHOTO_API_{name}": value for name, value in on(cloud).items()}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        settings["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        with running_service(environ | settings, tmp_path) as service:
            cloud.target_state = "Terminated"
            eventually(lambda: COMPLETED in [form["Action"] for form in cloud.requests], 20)
            service.process.send_signal(signal.SIGTERM)
            time.sleep(1.2)
            assert service.process.poll() is None
            service.process.send_signal(signal.SIGTERM)
            assert service.process.wait(10) == 0
        *_, said = [systemd.recv(1024).decode() for _ in range(3)]
    name, microseconds = said.split("=")
    assert name == "EXTEND_TIMEOUT_USEC"
    assert 60 + 40 < int(microseconds) / 1_000_000 < 60 + 60 + 15

"""Faults of which traffic is uneven, or goes to nobody."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import httpx
import psutil

from photo_fleet.doctor.in_service import admission
from photo_fleet.local_fleet.control import ask
from photo_fleet.spec.loading import load
from tests.doctor.faults.fault import Fault
from tests.doctor.faults.restarts import cut_off, halting
from tests.doctor.ground import Ground, again_and_again, ended, family, requests, stopped
from tests.photo_fleet.nginx_stage import running_front, short_folder
from tests.service import eventually

READ = "/api/photos/"
SCRAPES = 6.0
"""Seconds in which Prometheus has looked twice, at the fleet's interval."""
LOOK = 15.0
"""Seconds between two looks of the doctor at what Prometheus has of an hour."""


@contextmanager
def one_gets_more(ground: Ground) -> Iterator[None]:
    """Somebody sends to an instance past nginx, of which Prometheus alone tells."""
    for _ in range(3):
        ground.bodies(READ, 1.0)
        requests(f"http://{ground.address(ground.serving()[0]['name'])}", READ, 2.0)
        time.sleep(SCRAPES / 3)
    yield


@contextmanager
def one_gets_nothing(ground: Ground) -> Iterator[None]:
    """nginx leaves one out, and nobody has told it to."""
    for _ in range(2):
        with ground.members(lambda lines: lines[:-1]):
            ground.bodies(READ, 3.0)
        time.sleep(SCRAPES / 2)
    yield


CLOUD = {
    "balancer__kind": "cloud",
    "drain__removal": "health-only",
    "drain__lame_duck": 105.0,
    "drain__grace": 150.0,
    "drain__kill_delay": 180.0,
}


@contextmanager
def pinned(ground: Ground, instances: int) -> Iterator[None]:
    """Behind a cloud's balancer on connections clients stay where they began, at so many instances
    that were there before the others. The last one has been let in, idle connections have ended
    since, and Prometheus has seen it at two looks."""
    serving = [one["name"] for one in ground.serving()]
    for name in serving[instances:]:
        ground.order(do="drain", name=name)
    ground.whole()
    chosen = [ground.address(name) for name in serving[:instances]]
    short = {"service__keep_alive": 10.0, "balancer__keep_alive": 5.0}
    probes = {"health_check__interval": 5.0, "health_check__timeout": 2.0}
    with ground.beside("127.0.1.72"), ground.spec(**CLOUD, **short, **probes):
        began = admission(load(ground.layout.spec)) + short["service__keep_alive"]
        time.sleep(began + 2 * LOOK)
        for _ in range(3):
            for address in chosen:
                requests(f"http://{address}", READ, 1.5, clients=2)
            time.sleep(SCRAPES / 2)
        yield


@contextmanager
def frozen(ground: Ground, seconds: float = 0.0) -> Iterator[None]:
    """What keeps nginx's members stands still."""
    with stopped([ground.up.process.pid]):
        time.sleep(seconds)
        yield


@contextmanager
def not_followed(ground: Ground) -> Iterator[None]:
    """A new instance, of which nginx is not told."""
    with ground.beside("127.0.1.64", untold=True):
        ground.age(600, "127.0.1.64")
        yield


@contextmanager
def gone_and_kept(ground: Ground) -> Iterator[None]:
    """An instance has ended, and nginx is not told."""
    with ground.beside("127.0.1.65") as process:
        eventually(lambda: "127.0.1.65" in edge_members(ground), 30)
        with frozen(ground):
            ended(process, 70)
            yield


def edge_members(ground: Ground) -> str:
    with ground.by_socket() as nginx:
        return nginx.get("http://nginx/members").text


@contextmanager
def second_front(ground: Ground, number: signal.Signals) -> Iterator[None]:
    """Another nginx, whose `photo-fleet balance` stands still or was killed."""
    with short_folder() as folder, running_front(load(ground.layout.spec), folder=folder) as front:
        state = folder / "state"
        state.mkdir()
        command = [sys.executable, "-m", "photo_fleet.cli", "balance", str(ground.layout.spec)]
        command += ["--socket", front.places.members_socket, "--state", str(state)]
        process = subprocess.Popen(
            [*command, "--name", "second"],
            env={**os.environ, "PHOTO_FLEET_DATABASE_URL": ground.database_url},
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            row = "SELECT 1 FROM balancers WHERE name = 'second'"
            eventually(lambda: ground.ask(row), 20)
            eventually(lambda: front.held()["members"], 30)
            process.send_signal(number)
            time.sleep(25)
            yield
        finally:
            ended(process)
            ground.ask("DELETE FROM balancers WHERE name = 'second'")


@contextmanager
def hanging_under_load(ground: Ground, words: str) -> Iterator[None]:
    """An instance hangs, and people go on coming: those who wait for it keep nobody away."""
    pids = family(ground.serving()[0]["pid"], words)
    with ThreadPoolExecutor(120) as people:

        def somebody() -> None:
            people.submit(httpx.get, f"{ground.up.url}{READ}", timeout=10)

        with stopped([ground.up.process.pid, *pids]), again_and_again(somebody, 0.1):
            time.sleep(12)
            yield


@contextmanager
def refusing_under_load(ground: Ground) -> Iterator[None]:
    """An instance was killed, nobody has told nginx, and requests come."""
    with ground.beside("127.0.1.66") as process:
        eventually(lambda: "127.0.1.66" in edge_members(ground), 30)
        with frozen(ground):
            for pid in family(process.pid):
                os.kill(pid, signal.SIGKILL)
            requests(ground.up.url, READ, 3.0)
            yield


@contextmanager
def silent(ground: Ground, words: str, seconds: float) -> Iterator[None]:
    """An instance writes to the registry no more."""
    with ground.beside("127.0.1.67") as process:
        eventually(lambda: "127.0.1.67" in edge_members(ground), 30)
        with stopped(family(process.pid, words)):
            time.sleep(seconds)
            yield


ALONE = "SELECT 1 FROM instances WHERE state = 'ready' HAVING count(*) = 1"


@contextmanager
def others_killed(ground: Ground) -> Iterator[None]:
    """All instances but one are killed, and nobody starts others."""
    [kept, *others] = ground.serving()
    with frozen(ground):
        for one in others:
            for pid in family(one["pid"]):
                os.kill(pid, signal.SIGKILL)
        eventually(lambda: ground.ask(ALONE), 90, 0.5)
        ground.age(300, kept["name"])
        yield
    ground.whole()


@contextmanager
def other_cannot_start(ground: Ground) -> Iterator[None]:
    """Of two instances one is killed, and what should take its place cannot start."""
    ground.order(do="scale", size=2)
    [kept, other] = ground.whole()
    broken = {"PHOTO_API_DRAIN_WAIT": "soon"}

    async def kill() -> None:
        request = {"do": "kill", "name": other["name"], "environ": broken}
        with suppress(TimeoutError):
            async with asyncio.timeout(60):
                await ask(ground.layout.control, request, lambda _: None)

    killing = threading.Thread(target=lambda: asyncio.run(kill()), daemon=True)
    killing.start()
    try:
        eventually(lambda: ground.ask(ALONE), 55, 0.5)
        ground.age(300, kept["name"])
        yield
    finally:
        killing.join(90)
        ground.order(do="scale", size=3)
        ground.whole()


@contextmanager
def most_are_ill(ground: Ground) -> Iterator[None]:
    """Web workers of all instances but one stand still."""
    pids = [pid for one in ground.serving()[1:] for pid in family(one["pid"], "web_worker")]
    with stopped(pids):
        panics(ground)
        yield


@contextmanager
def most_lose_the_database(ground: Ground) -> Iterator[None]:
    """Two of three instances are cut off from it."""
    with cut_off(ground, 2):
        panics(ground)
        yield


@contextmanager
def nginx_stands_still(ground: Ground) -> Iterator[None]:
    """All of it."""
    master = psutil.Process(int(Path(ground.places.pid_file).read_text()))
    with stopped([master.pid, *(one.pid for one in master.children())]):
        yield


@contextmanager
def nginx_s_workers_stand_still(ground: Ground) -> Iterator[None]:
    """Its master goes on."""
    master = psutil.Process(int(Path(ground.places.pid_file).read_text()))
    with stopped([one.pid for one in master.children()]):
        yield


def panics(ground: Ground) -> None:
    eventually(lambda: ground.up.status()["panic"], 90, 0.5)


@contextmanager
def prometheus(ground: Ground, *lines: str, without: str = "") -> Iterator[None]:
    """Its configuration is another one: with more lines, or without what is between a job's name
    and the next."""
    file = ground.up.data / "prometheus/prometheus.yml"
    before = file.read_text()
    text = before + "".join(f"{line}\n" for line in lines)
    if without:
        head, _, tail = text.partition(f"- job_name: {without}\n")
        text = head + tail[tail.index("- job_name:") :]
    process = next(one for one in ground.up.processes() if f"--config.file={file}" in one.cmdline())
    file.write_text(text)
    process.send_signal(signal.SIGHUP)
    time.sleep(SCRAPES)
    try:
        yield
    finally:
        file.write_text(before)
        process.send_signal(signal.SIGHUP)
        time.sleep(SCRAPES)


@contextmanager
def metrics_for_others(ground: Ground) -> Iterator[None]:
    """An instance shows its metrics to nobody whom Prometheus is."""
    with ground.replaced(
        PHOTO_API_METRICS_ACCESS="token",
        PHOTO_API_OPS_TOKEN=(ground.layout.secret_files / "ops-token").read_text().strip(),
    ):
        time.sleep(2 * SCRAPES)
        yield


@contextmanager
def pushed(ground: Ground, name: str) -> Iterator[None]:
    """The Pushgateway has a group of an instance that is gone: nobody pushes to it again."""
    gateway = ground.up.status()["watchers"]["Pushgateway"]
    url = f"{gateway}/metrics/job/photo-api/instance/{name}"
    text = (
        f'photo_api_info{{instance="{name}",node="n",version="0.1.0",boot_id="{uuid4()}"}} 1\n'
        "photo_api_ready 1\n"
    )
    httpx.put(url, content=text).raise_for_status()
    time.sleep(SCRAPES)
    try:
        yield
    finally:
        httpx.delete(url)
        time.sleep(SCRAPES)


@contextmanager
def slow_machine(ground: Ground) -> Iterator[None]:
    """Others take most of the time of an instance's machine."""
    with halting(ground.serving()[0]["pid"], 0.2, 0.05):
        ground.bodies(READ, 40.0)
        yield


@contextmanager
def slow_processor(ground: Ground) -> Iterator[None]:
    """An instance's processor takes several times as long for the same."""
    folder = ground.up.data.parent / "slow-processor"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "if any('web_worker' in word for word in sys.orig_argv):\n"
        "    sys.setprofile(lambda *_: sum(range(40)))\n"
    )
    with ground.replaced(PYTHONPATH=str(folder)):
        ground.bodies(READ, 60.0)
        yield


GHOST = [
    "- job_name: old",
    "  static_configs: [{targets: ['127.0.1.70:9'], labels: {job: photo-api}}]",
]

FAULTS = (
    Fault("traffic-uneven", "somebody sends to one instance past nginx", one_gets_more, 40),
    Fault("traffic-uneven", "nginx leaves one out for a while", one_gets_nothing, 15),
    Fault(
        "balancing-sticky",
        "the spec wants least connections, nginx takes turns",
        lambda ground: ground.spec(balancer__algorithm="least-connections"),
        slow=True,
    ),
    Fault(
        "balancing-sticky",
        "nginx was given least connections by hand",
        lambda ground: ground.nginx(
            (r'algorithm = "round-robin"', 'algorithm = "least-connections"')
        ),
    ),
    Fault(
        "balancing-sticky",
        "a hash of the client's address in nginx",
        lambda ground: ground.nginx(
            (r"^(\s+)server 0\.0\.0\.1;.*", r"\1server 0.0.0.1;\n\1hash $remote_addr consistent;")
        ),
    ),
    Fault("connections-pinned", "clients stay at two of three", lambda g: pinned(g, 2), 40),
    Fault("connections-pinned", "clients stay at the first", lambda g: pinned(g, 1), 40),
    Fault(
        "member-missing",
        "a member taken out of nginx by hand",
        lambda ground: ground.members(lambda lines: lines[1:]),
        patience=10,
        slow=True,
    ),
    Fault(
        "member-missing",
        "all but one member taken out of nginx by hand",
        lambda ground: ground.members(lambda lines: lines[:1]),
        patience=10,
    ),
    Fault("member-missing", "nginx is not told of a new instance", not_followed, 15),
    Fault(
        "member-ghost",
        "a member put into nginx by hand",
        lambda ground: ground.members(
            lambda lines: [*lines, f"member {uuid4()} 127.0.1.99:9 127.0.1.99"]
        ),
        patience=10,
    ),
    Fault("member-ghost", "nginx is not told that an instance has ended", gone_and_kept),
    Fault("members-differ", "what keeps nginx's members stands still", lambda g: frozen(g, 25)),
    Fault(
        "members-differ",
        "a second balancer stands still",
        lambda ground: second_front(ground, signal.SIGSTOP),
    ),
    Fault(
        "members-differ",
        "a second balancer was killed",
        lambda ground: second_front(ground, signal.SIGKILL),
    ),
    Fault(
        "member-quarantined",
        "a web worker hangs under load",
        lambda ground: hanging_under_load(ground, "web_worker"),
        patience=10,
    ),
    Fault("member-quarantined", "an instance is killed under load", refusing_under_load, 10),
    Fault(
        "member-silent",
        "a supervisor stands still for 22 s",
        lambda ground: silent(ground, "photo_api.cli", 22),
    ),
    Fault(
        "member-silent",
        "all processes of an instance stand still for 14 s",
        lambda ground: silent(ground, "photo_api", 14),
    ),
    Fault("single-member", "all instances but one are killed", others_killed, 10),
    Fault("single-member", "one of two is killed, and no other can start", other_cannot_start),
    Fault("balancer-silent", "nginx stands still", nginx_stands_still, 15),
    Fault("balancer-silent", "nginx's workers stand still", nginx_s_workers_stand_still, 15),
    Fault("balancer-panic", "most web workers stand still", most_are_ill, 10),
    Fault("balancer-panic", "most instances are cut off from the database", most_lose_the_database),
    Fault(
        "instance-unscraped",
        "Prometheus has no job for instances",
        lambda ground: prometheus(ground, without="photo-api"),
        patience=20,
    ),
    Fault("instance-unscraped", "an instance hides its metrics", metrics_for_others, 10),
    Fault("series-ghost", "a group in the Pushgateway", lambda g: pushed(g, "127.0.1.77"), 75),
    Fault(
        "series-ghost",
        "a target in Prometheus by hand",
        lambda ground: prometheus(ground, *GHOST),
        patience=10,
    ),
    Fault(
        "machines-uneven",
        "an instance with two web workers",
        lambda ground: ground.beside("127.0.1.68", "--workers", "2"),
        patience=15,
    ),
    Fault("machines-uneven", "a machine with a fifth of the time", slow_machine, 15),
    Fault("machines-uneven", "a machine with a slow processor", slow_processor, 20),
)

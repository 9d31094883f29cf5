"""Faults of which instances restart, or get unready, again and again."""

import asyncio
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit
from uuid import uuid4

import asyncpg
import psutil

from tests.doctor.faults.fault import Fault
from tests.doctor.ground import Ground, again_and_again, family, stopped
from tests.service import eventually, free_port, jpeg

MEMORY = Path("/sys/fs/cgroup/memory")
DISCONNECT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'photo_api'"
LOST = "SELECT 1 FROM instance_events WHERE instance = $1 AND event = 'lost'"


@contextmanager
def halting(pid: int, still: float, going: float) -> Iterator[None]:
    """The web worker of this instance stands still most of the time."""
    [worker] = family(pid, "web_worker")

    def halt() -> None:
        with stopped([worker]):
            time.sleep(still)
        time.sleep(going)

    with again_and_again(halt):
        yield


@contextmanager
def slow_health(ground: Ground, still: float) -> Iterator[None]:
    """So it is with an instance that nobody replaces for it."""
    with ground.beside("127.0.1.73") as process, halting(process.pid, still, 0.2):
        yield


@contextmanager
def starting_slowly(ground: Ground, seconds: float, words: str) -> Iterator[None]:
    """An instance whose processes with these words in their command line take so long to load."""
    folder = ground.up.data.parent / "slow-start"
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import sys, time\n"
        f"if any({words!r} in word for word in sys.orig_argv): time.sleep({seconds})\n"
    )
    with ground.spec(group__warm_up=2.0), ground.replaced(PYTHONPATH=str(folder)):
        yield


@contextmanager
def killed_again_and_again(ground: Ground, times: int) -> Iterator[None]:
    """`photo-fleet kill`, each time when all is well again."""
    for _ in range(times):
        ground.order(do="kill", name=ground.whole()[-1]["name"])
    yield


@contextmanager
def boots(ground: Ground, times: int, number: signal.Signals) -> Iterator[None]:
    """The instance of a machine whose unit starts it again and again; it lives at the end."""
    name, port = "127.0.1.60", free_port()
    for _ in range(times):
        with ground.beside(name, port=port, forgotten=False) as process:
            process.send_signal(number)
            process.wait(70)
    with ground.beside(name, port=port):
        yield


@contextmanager
def dying(ground: Ground, words: str, number: signal.Signals, times: int) -> Iterator[None]:
    """A process of an instance gets this signal again and again."""
    pid = ground.serving()[0]["pid"]
    dead: set[int] = set()
    for _ in range(times):
        [victim] = eventually(lambda: set(family(pid, words)) - dead, 20)
        time.sleep(1)
        os.kill(victim, number)
        dead.add(victim)
    eventually(lambda: set(family(pid, words)) - dead, 20)
    yield


@contextmanager
def with_little_memory(ground: Ground, words: str) -> Iterator[None]:
    """The kernel takes it that the process with these words takes more than it may."""
    group = MEMORY / f"doctor-{uuid4().hex}"
    group.mkdir()
    (group / "memory.limit_in_bytes").write_text(str(256 << 10))
    [victim] = family(ground.serving()[0]["pid"], words)
    (group / "cgroup.procs").write_text(str(victim))
    try:
        with (
            again_and_again(lambda: ground.bodies("/openapi.json", 2.0, clients=12)),
            photos(ground),
        ):
            eventually(lambda: not psutil.pid_exists(victim), 60)
        yield
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            (MEMORY / "cgroup.procs").write_text(pid)
        eventually(lambda: not (group / "cgroup.procs").read_text().strip(), 20)
        group.rmdir()


@contextmanager
def photos(ground: Ground) -> Iterator[None]:
    """Somebody uploads large ones, of which job workers make renditions."""
    large = jpeg(1600, 1600)
    with ground.up.new_user() as user:
        album = user.album()["id"]
        with again_and_again(lambda: user.upload(large, album)):
            yield


@contextmanager
def lost(ground: Ground, *, comes_back: bool) -> Iterator[None]:
    """An instance is killed, or stands still until the others take it to be lost."""
    with ground.beside("127.0.1.61") as process:
        if comes_back:
            with stopped(family(process.pid)):
                eventually(lambda: ground.ask(LOST, "127.0.1.61"), 60, 0.5)
        else:
            for pid in reversed(family(process.pid)):
                os.kill(pid, signal.SIGKILL)
            eventually(lambda: ground.ask(LOST, "127.0.1.61"), 60, 0.5)
        yield


@contextmanager
def connections(ground: Ground, left: int, application: str) -> Iterator[None]:
    """Somebody has so many that hardly one is left."""
    [row] = ground.ask(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int - count(*) AS free"
        " FROM pg_stat_activity WHERE backend_type = 'client backend'"
    )
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    async def take() -> list[asyncpg.Connection]:
        settings = {"application_name": application}
        return [
            await asyncpg.connect(ground.database_url, server_settings=settings)
            for _ in range(row["free"] + 1 - left)
        ]

    async def give(taken: list[asyncpg.Connection]) -> None:
        for one in taken:
            await one.close()

    taken = asyncio.run_coroutine_threadsafe(take(), loop).result(60)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(give(taken), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)


@contextmanager
def without_migration(ground: Ground, which: str) -> Iterator[None]:
    """A migration is not noted: the last one, or one in the middle."""
    order = "name DESC" if which == "last" else "md5(name)"
    [row] = ground.ask(
        "DELETE FROM schema_migrations WHERE name ="
        f" (SELECT name FROM schema_migrations ORDER BY {order} LIMIT 1) RETURNING name"
    )
    time.sleep(3)
    try:
        yield
    finally:
        ground.ask("INSERT INTO schema_migrations (name) VALUES ($1)", row["name"])


class Way:
    """A way to the database that can be cut."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self.port = 0
        self.mend()

    def mend(self) -> None:
        """It leads there, at the port where it was."""
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                inner, _ = self._listening.accept()
                outer = socket.socket(socket.AF_UNIX)
                outer.connect(self._target)
                self._open += [inner, outer]
                for one, other in ((inner, outer), (outer, inner)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while piece := one.recv(65_536):
                other.sendall(piece)
            other.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        # Closing alone leaves it listening for whom waits in accept.
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def cut_off(ground: Ground, instances: int = 1) -> Iterator[None]:
    """So many instances alone lose the database. They get it back at the end: where most are ill,
    no other one is let in for them."""
    url = urlsplit(ground.database_url)
    folder = parse_qs(url.query)["host"][0]
    way = Way(next(str(one) for one in Path(folder).glob(".s.PGSQL.[0-9]*[0-9]")))
    password = quote(url.password or "", safe="")
    own = f"postgresql://{url.username}:{password}@127.0.0.1:{way.port}{url.path}"
    with ExitStack() as replaced:
        for _ in range(instances):
            replaced.enter_context(ground.replaced(PHOTO_API_DATABASE_URL=own))
        way.cut()
        try:
            time.sleep(3)
            yield
        finally:
            way.mend()


@contextmanager
def database_refuses(ground: Ground) -> Iterator[None]:
    """To all but superusers, as after a password that was changed."""
    with ground.sql(
        "ALTER ROLE photo_api CONNECTION LIMIT 0",
        "ALTER ROLE photo_api CONNECTION LIMIT -1",
    ):
        ground.ask(DISCONNECT)
        time.sleep(4)
        yield


@contextmanager
def database_hangs(ground: Ground) -> Iterator[None]:
    """All of its processes stand still."""
    pids = [
        one.pid
        for one in psutil.process_iter(["name", "cwd"])
        if one.info["name"] == "postgres" and str(ground.up.data) in (one.info["cwd"] or "")
    ]
    assert pids
    with stopped(pids):
        time.sleep(4)
        yield


def fake_clock(seconds: float) -> dict[str, str]:
    """As `photo_fleet.drill.faults.clocks` has it."""
    told = subprocess.run(
        ["faketime", "-f", f"{seconds:+g}s", "/usr/bin/env"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    found = dict(line.split("=", 1) for line in told.splitlines() if "=" in line)
    kept = {name: found[name] for name in ("LD_PRELOAD", "FAKETIME")}
    return {**kept, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


FAULTS = (
    Fault(
        "health-slow",
        "a web worker stands still for 4 of every 4.2 s",
        lambda ground: slow_health(ground, 4.0),
        patience=20,
    ),
    Fault(
        "health-slow",
        "a web worker stands still for 9 of every 9.2 s",
        lambda ground: slow_health(ground, 9.0),
        patience=20,
    ),
    Fault(
        "replaced-by-database",
        "the group replaces on /health",
        lambda ground: ground.spec(group__replace_on="/health"),
        slow=True,
    ),
    Fault(
        "replaced-by-database",
        "the group replaces on /api/health/ready",
        lambda ground: ground.spec(group__replace_on="/api/health/ready"),
    ),
    Fault(
        "boot-slow",
        "a web worker takes 9 s to load",
        lambda ground: starting_slowly(ground, 9, "photo_api.web_worker"),
    ),
    Fault(
        "boot-slow",
        "every program of a machine takes 5 s to load",
        lambda ground: starting_slowly(ground, 5, "photo_api"),
    ),
    Fault(
        "restart-loop",
        "five instances in a row are killed",
        lambda ground: killed_again_and_again(ground, 5),
    ),
    Fault(
        "restart-loop",
        "a machine's instance is killed four times",
        lambda ground: boots(ground, 4, signal.SIGKILL),
    ),
    Fault(
        "restart-loop",
        "a machine's instance is told to stop four times",
        lambda ground: boots(ground, 4, signal.SIGTERM),
    ),
    Fault(
        "worker-deaths",
        "a web worker is killed three times",
        lambda ground: dying(ground, "photo_api.web_worker", signal.SIGKILL, 3),
        slow=True,
    ),
    Fault(
        "worker-deaths",
        "a job worker crashes three times",
        lambda ground: dying(ground, "photo_api.job_worker", signal.SIGSEGV, 3),
    ),
    Fault(
        "out-of-memory",
        "a web worker may have 256 KiB more",
        lambda ground: with_little_memory(ground, "photo_api.web_worker"),
    ),
    Fault(
        "out-of-memory",
        "a job worker may have 256 KiB more",
        lambda ground: with_little_memory(ground, "photo_api.job_worker"),
    ),
    Fault(
        "instances-lost",
        "an instance is killed, and others tell",
        lambda ground: lost(ground, comes_back=False),
    ),
    Fault(
        "instances-lost",
        "an instance stands still until it is lost, and comes back",
        lambda ground: lost(ground, comes_back=True),
    ),
    Fault(
        "connections-exceed",
        "a pool of 40 in the spec",
        lambda ground: ground.spec(service__pool=40),
    ),
    Fault(
        "connections-exceed",
        "the spec believes in 400 connections, and 20 instances",
        lambda ground: ground.spec(database__max_connections=400, group__max=20),
    ),
    Fault(
        "connections-exceed",
        "the service's role may have 20 connections",
        lambda ground: ground.sql(
            "ALTER ROLE photo_api CONNECTION LIMIT 30", "ALTER ROLE photo_api CONNECTION LIMIT -1"
        ),
    ),
    Fault(
        "connections-used-up",
        "a program has all connections but three",
        lambda ground: connections(ground, 3, "report"),
    ),
    Fault(
        "connections-used-up",
        "somebody has all connections but one, under the service's name",
        lambda ground: connections(ground, 1, "photo-api"),
    ),
    Fault(
        "schema-behind",
        "the last migration is not there",
        lambda ground: without_migration(ground, "last"),
    ),
    Fault(
        "schema-behind",
        "a migration in the middle is not there",
        lambda ground: without_migration(ground, "some"),
    ),
    Fault("database-down", "one instance is cut off from the database", cut_off, patience=10),
    Fault("database-down", "the database takes nobody but superusers", database_refuses),
    Fault("database-down", "the database stands still", database_hangs, patience=40),
    Fault(
        "clock-offset",
        "a clock is 90 s ahead",
        lambda ground: ground.replaced(**fake_clock(90)),
    ),
    Fault(
        "clock-offset",
        "a clock is 20 s behind",
        lambda ground: ground.replaced(**fake_clock(-20)),
    ),
)

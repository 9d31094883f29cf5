"""What has instances restart, done to real ones: each is found by its code, and nothing else is."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from photo_fleet.doctor.finding import Finding
from photo_fleet.doctor.looking import judge
from photo_fleet.doctor.looks import database, host, servers
from photo_fleet.doctor.looks.database import DatabaseLook
from photo_fleet.doctor.looks.host import HostLook
from photo_fleet.doctor.restarts import RULES
from photo_fleet.doctor.seen import Seen
from photo_fleet.drill.stage.wire import Wire
from photo_fleet.spec.fleet import Fleet, Group, HealthCheck
from photo_fleet.spec.fleet import Service as ServiceSpec
from tests.doctor.seeing import reach_of, seen_through
from tests.fleet.test_clocks import faked
from tests.own_stage import ask, empty_database, execute, own_database
from tests.service import (
    MIGRATED,
    PASSWORD,
    Service,
    eventually,
    free_port,
    running_service,
    serving,
)

SPEC = Fleet(group=Group(min=1, max=4, desired=1))
"""With room for its connections in the tests' PostgreSQL, which takes 100."""


NOTHING = Seen(SPEC, 0, {})


class Delayed(Wire):
    """A wire on which everything takes `delay` seconds longer."""

    delay = 0.0

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            await asyncio.sleep(self.delay)
            await self._whole.wait()
            writer.write(chunk)
            await writer.drain()


@contextmanager
def wired(settings: dict[str, str]) -> Iterator[tuple[Delayed, dict[str, str]]]:
    """A wire to the database, and the settings of who goes by it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    wire = Delayed(free_port())
    try:
        asyncio.run_coroutine_threadsafe(wire.start(), loop).result(5)
        url = wire.through(settings["PHOTO_API_DATABASE_URL"])
        MIGRATED.add((url, None))
        yield wire, settings | {"PHOTO_API_DATABASE_URL": url}
        wire.mend()
        asyncio.run_coroutine_threadsafe(wire.stop(), loop).result(5)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


@dataclass
class Stage:
    """One instance on a database of its own, which it reaches by `wire`; the doctor does not."""

    settings: dict[str, str]
    superuser: str
    wire: Delayed
    by_wire: dict[str, str]
    service: Service

    def visit(self, spec: Fleet = SPEC, *others: Any) -> dict[str, Finding]:
        """Findings by code."""
        return diagnosed(asyncio.run(self.see(spec, *others)))[0]

    async def see(self, spec: Fleet = SPEC, *others: Any) -> Seen:
        return await seen_through(reach_of(self.settings, spec=spec), *others)

    def events(self, name: str) -> list[Any]:
        return ask(self.settings, "SELECT * FROM instance_events WHERE event = $1", name)

    def forget(self) -> None:
        """What has happened so far, but for the start of the instance that is here."""
        port = urlsplit(self.service.url).port
        [(own,)] = ask(self.settings, "SELECT boot_id FROM instances WHERE port = $1", port)
        for table in ("instances", "instance_receipts"):
            ask(self.settings, f"DELETE FROM {table} WHERE boot_id <> $1", own)
        began = "boot_id = $1 AND event IN ('started', 'ready')"
        ask(self.settings, f"DELETE FROM instance_events WHERE NOT ({began})", own)


def diagnosed(seen: Seen) -> tuple[dict[str, Finding], dict[str, str]]:
    """Findings, and reasons of open questions, by code."""
    findings, unknown = judge(seen, RULES)
    return {one.code: one for one in findings}, {one.code: one.reason for one in unknown}


@pytest.fixture(scope="module")
def stage(
    stack: dict[str, Any], environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    run = {"PHOTO_API_RUN_DIR": str(tmp_path_factory.mktemp("run"))}
    with (
        own_database(stack, environ | run) as settings,
        wired(settings) as (wire, by_wire),
        running_service(by_wire, tmp_path_factory.mktemp("service"), "--no-jobs") as service,
    ):
        yield Stage(settings, stack["superuser_url"], wire, by_wire, service)


@pytest.fixture
def well(stage: Stage) -> Iterator[Stage]:
    """The stage, which is well again afterwards."""
    yield stage
    stage.wire.mend()
    stage.wire.delay = 0.0
    eventually(stage.service.is_healthy, 20)
    stage.forget()


def test_an_instance_that_is_well_gives_no_finding(well: Stage) -> None:
    findings, unknown = diagnosed(asyncio.run(well.see()))
    assert (findings, unknown) == ({}, {})


def test_the_database_is_away_from_an_instance(well: Stage) -> None:
    well.wire.cut()
    eventually(lambda: not well.service.is_healthy(), 10)
    found = well.visit()
    assert list(found) == ["database-down"]
    assert "no answer within 1.5 s (1 of 1 instances" in found["database-down"].evidence


@pytest.mark.slow
def test_the_database_is_slow(well: Stage) -> None:
    well.wire.delay = 0.45  # each way
    eventually(lambda: _database_ms(well) > 800, 10)
    found = well.visit()
    assert list(found) == ["health-slow"]
    assert found["health-slow"].level == "warning"
    assert "its looks at the database take 0.9" in found["health-slow"].evidence


def _database_ms(stage: Stage) -> float:
    body = httpx.get(f"{stage.service.url}/health").json()
    return float(body["checks"]["database"]["latency_ms"])


@pytest.mark.long
def test_an_instance_answers_late(well: Stage) -> None:
    [web] = well.service.children("photo_api.web_worker")
    with in_fits(web, 1.2):
        seen = asyncio.run(well.see())
    assert diagnosed(seen)[0] == {}
    impatient = replace(SPEC, health_check=HealthCheck(timeout=1))
    assert diagnosed(as_if(seen, impatient))[0]["health-slow"].level == "warning"
    hasty = replace(SPEC, health_check=HealthCheck(timeout=0.5))
    found = diagnosed(as_if(seen, hasty))[0]["health-slow"]
    assert found.level == "error"
    assert "health_check.timeout is 0.5 s (1 of 1 instances" in found.evidence


@contextmanager
def in_fits(process: psutil.Process, pause: float) -> Iterator[None]:
    """While this is open it stands still for `pause` seconds again and again."""
    over = threading.Event()

    def slow_down() -> None:
        while not over.is_set():
            process.suspend()
            over.wait(pause)
            process.resume()
            over.wait(0.02)

    thread = threading.Thread(target=slow_down)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def as_if(seen: Seen, spec: Fleet) -> Seen:
    """The same with another spec."""
    return Seen(spec, seen.at, seen._looks)


def test_an_instance_hangs(well: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "MOST_PATIENCE", 0.5)
    [web] = well.service.children("photo_api.web_worker")
    web.suspend()
    try:
        seen = asyncio.run(well.see(replace(SPEC, health_check=HealthCheck(timeout=0.5))))
    finally:
        web.resume()
    findings, unknown = diagnosed(seen)
    assert "/health gave no answer within 0.5 s" in findings["health-slow"].evidence
    assert list(findings) == ["health-slow"]
    assert set(unknown) == {"database-down", "schema-behind", "health-slow", "clock-offset"}


def test_the_grown_fleet_does_not_fit(well: Stage) -> None:
    evidence = well.visit(replace(SPEC, group=Group(min=2, max=10)))["connections-exceed"].evidence
    assert "(group.max 10 + 1 in a deploy) × (1 workers × pool 10 + 7) = 187" in evidence
    assert "room for 90: max_connections 100 − 10 for others" in evidence
    tiny = replace(SPEC, service=ServiceSpec(pool=1), group=Group(min=2, max=10))
    found = well.visit(tiny)["connections-exceed"]
    # Two beside the pool: its jobs run elsewhere.
    assert "(1 workers × pool 10 + 2) = 132 connections (/health/detailed of" in found.evidence
    assert found.fix.startswith("service.pool = 6 ")
    with limited(well, 40):
        all_found = well.visit()
    assert list(all_found) == ["connections-exceed"]
    assert "CONNECTION LIMIT 40 of the database" in all_found["connections-exceed"].evidence


@pytest.mark.parametrize(("more", "told"), [(2, "are left"), (0, "let us in no more")])
def test_connections_are_used_up(well: Stage, more: int, told: str) -> None:
    of_database = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    [(mine_too,)] = ask(well.settings, of_database)
    with limited(well, mine_too - 1 + more):
        look = asyncio.run(database.take(reach_of(well.settings), NOTHING))
        findings, _ = diagnosed(Seen(SPEC, 0, {DatabaseLook: look}))
    assert told in findings["connections-used-up"].evidence


@contextmanager
def limited(stage: Stage, connections: int) -> Iterator[None]:
    """The stage's database takes no more than these."""
    name = urlsplit(stage.settings["PHOTO_API_DATABASE_URL"]).path[1:]
    statement = f"ALTER DATABASE {name} CONNECTION LIMIT "
    asyncio.run(execute(stage.superuser, f"{statement} {connections}"))
    try:
        yield
    finally:
        asyncio.run(execute(stage.superuser, f"{statement} -1"))


def test_a_process_dies(well: Stage, tmp_path: Path) -> None:
    [web] = well.service.children("photo_api.web_worker")
    web.kill()
    eventually(lambda: well.events("worker_died"), 10)
    eventually(well.service.is_healthy, 10)
    seen = asyncio.run(well.see())
    findings, unknown = diagnosed(seen)
    assert list(findings) == ["worker-deaths"]
    assert findings["worker-deaths"].level == "warning"
    assert "(web-1 killed by SIGKILL 1×; instance_events)" in findings["worker-deaths"].evidence
    assert "only their kernel's log tells" in unknown["out-of-memory"]

    # On its host the kernel's log can be read; who was killed otherwise is not in it.
    kernel_says(tmp_path, "usb 1-1: new device")
    findings, unknown = diagnosed(asyncio.run(well.see(SPEC, this_host(tmp_path))))
    assert list(findings) == ["worker-deaths"]
    assert not unknown

    kernel_says(
        tmp_path,
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
        f"task_memcg=/docker/4f,task=photo-api,pid={web.pid},uid=0",
        f"Out of memory: Killed process {web.pid} (photo-api) total-vm:901234kB, anon-rss:421888kB,"
        " file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:1200kB oom_score_adj:0",
    )
    findings, unknown = diagnosed(asyncio.run(well.see(SPEC, this_host(tmp_path))))
    assert set(findings) == {"worker-deaths", "out-of-memory"}
    assert (
        f"photo-api (pid {web.pid}) with 412 MiB in /docker/4f"
        in findings["out-of-memory"].evidence
    )
    assert not unknown


@contextmanager
def little_memory(megabytes: int) -> Iterator[Path]:
    """A control group of this kernel, of either version; who is written into its `cgroup.procs` may
    take no more than this from then on."""
    name = f"little-memory-{os.getpid()}"
    for folder, file in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        group = Path("/sys/fs/cgroup") / folder / name
        with suppress(OSError):
            group.mkdir()
            try:
                (group / file).write_text(f"{megabytes << 20}")
                yield group
                return
            finally:
                group.rmdir()
    pytest.skip("no control group for memory can be made here")


@pytest.mark.long
def test_the_kernel_ends_a_process_for_its_memory(well: Stage) -> None:
    [web] = well.service.children("photo_api.web_worker")
    with little_memory(4) as group:
        (group / "cgroup.procs").write_text(str(web.pid))
        account = {"email": "a@example.org", "username": "somebody", "password": PASSWORD}
        with suppress(httpx.HTTPError):  # hashing takes more
            httpx.post(f"{well.service.url}/api/auth/register", json=account)
        eventually(lambda: well.events("worker_died"), 10)
    eventually(well.service.is_healthy, 10)
    look = this_host(Path("/"))
    if look.kills is None:
        pytest.skip("the kernel's log may not be read here")
    findings, unknown = diagnosed(asyncio.run(well.see(SPEC, look)))
    assert set(findings) == {"worker-deaths", "out-of-memory"}
    assert f"(pid {web.pid})" in findings["out-of-memory"].evidence
    assert group.name in findings["out-of-memory"].evidence
    assert not unknown


def kernel_says(root: Path, *lines: str) -> None:
    """In the format of /dev/kmsg, now."""
    now = time.clock_gettime(time.CLOCK_MONOTONIC) * 1e6
    (root / "dev").mkdir(exist_ok=True)
    text = "".join(f"6,{number},{now:.0f},-;{line}\n" for number, line in enumerate(lines))
    (root / "dev/kmsg").write_text(text)


def this_host(root: Path) -> HostLook:
    reach = reach_of({"PHOTO_API_DATABASE_URL": "", "PHOTO_API_OPS_TOKEN": ""}, units=root)
    return asyncio.run(host.take(reach, NOTHING))


@pytest.mark.long
def test_an_instance_is_killed_again_and_again(well: Stage, tmp_path: Path) -> None:
    port = str(free_port())
    for _ in range(3):
        started = len(well.events("started"))
        with serving(well.settings, tmp_path / "log", "--no-jobs", "--port", port) as service:
            eventually(lambda: len(well.events("started")) > started, 20)  # noqa: B023
            kill(service)
    with serving(well.settings, tmp_path / "log", "--no-jobs", "--port", port):
        eventually(lambda: len(well.events("started")) == 5, 20)
        found = well.visit()
    assert set(found) == {"restart-loop", "instances-lost"}
    assert "was started 4 times in 1 h" in found["restart-loop"].evidence
    assert "(3× killed or gone without a word;" in found["restart-loop"].evidence
    assert found["instances-lost"].level == "error"
    assert found["instances-lost"].evidence.startswith("3 ended without a word")


def kill(service: Service) -> None:
    """As a machine that loses its power: nobody says a word."""
    family = psutil.Process(service.process.pid).children(recursive=True)
    service.process.kill()
    for process in family:
        process.kill()
    service.process.wait()
    psutil.wait_procs(family)


@pytest.mark.long
def test_instances_are_ended_while_the_database_fails_them(well: Stage, tmp_path: Path) -> None:
    settings = well.by_wire | {"PHOTO_API_LAME_DUCK": "6"}
    with (
        serving(settings, tmp_path / "one", "--no-jobs") as one,
        serving(settings, tmp_path / "two", "--no-jobs") as two,
    ):
        for service in (one, two):
            eventually(service.is_healthy, 20)
        well.wire.cut()
        for service in (one, two):
            eventually(lambda: "a check fails" in service.log, 10)  # noqa: B023
            service.process.send_signal(signal.SIGTERM)
        well.wire.mend()
        eventually(lambda: len(well.events("draining")) >= 2, 20)
        found = well.visit()
    assert "2 boots were told to stop by SIGTERM" in found["replaced-by-database"].evidence


def test_a_group_that_replaces_by_readiness(well: Stage) -> None:
    found = well.visit(replace(SPEC, group=replace(SPEC.group, replace_on="/health")))
    assert list(found) == ["replaced-by-database"]
    assert 'group.replace_on is "/health"' in found["replaced-by-database"].evidence


@pytest.mark.slow
def test_the_database_lacks_migrations(
    well: Stage, stack: dict[str, Any], environ: dict[str, str], tmp_path: Path
) -> None:
    with empty_database(stack, environ) as settings:
        look = asyncio.run(database.take(reach_of(settings), NOTHING))
    findings, _ = diagnosed(Seen(SPEC, 0, {DatabaseLook: look}))
    assert "nobody has migrated it" in findings["schema-behind"].evidence

    last = "DELETE FROM schema_migrations WHERE name = (SELECT max(name) FROM schema_migrations)"
    [(name,)] = ask(well.settings, f"{last} RETURNING name")
    try:
        with serving(well.settings, tmp_path / "log", "--no-jobs"):
            eventually(lambda: len(well.events("started")) == 2, 20)
            eventually(lambda: "schema incomplete" in (tmp_path / "log").read_text(), 20)
            time.sleep(1)
            seen = asyncio.run(well.see())
    finally:
        ask(well.settings, "INSERT INTO schema_migrations (name) VALUES ($1)", name)
    seen = as_if(seen, replace(SPEC, group=replace(SPEC.group, warm_up=0)))
    found = diagnosed(seen)[0]
    assert list(found) == ["schema-behind"]
    assert f" knows {name}, which the database has not noted" in found["schema-behind"].evidence
    assert "2 of 2 instances" in found["schema-behind"].evidence

    # Of a role of the release before that may not read them.
    told = seen.need(DatabaseLook)
    assert told.server
    untold = DatabaseLook(replace(told.server, migrations=None))
    found = diagnosed(Seen(seen.spec, seen.at, {**seen._looks, DatabaseLook: untold}))[0]
    assert found["schema-behind"].evidence.endswith(
        f"migrate: {name} (1 of 2 instances, read from /health)"
    )


@pytest.mark.long
def test_an_instance_takes_long_to_begin(well: Stage, tmp_path: Path) -> None:
    with serving(well.settings, tmp_path / "log", "--no-jobs") as service:
        eventually(service.is_healthy, 20)
        eventually(lambda: len(well.events("ready")) >= 2)
        found = well.visit(replace(SPEC, group=replace(SPEC.group, warm_up=0.05)))
        assert found["boot-slow"].level == "warning"
        assert "group.warm_up is 0.05 s" in found["boot-slow"].evidence
        assert list(well.visit()) == []


@pytest.mark.needs("faketime")
@pytest.mark.parametrize(
    ("off", "level"),
    [
        pytest.param("-20s", "warning", marks=pytest.mark.long),
        pytest.param("+300s", "error", marks=pytest.mark.slow),
    ],
)
def test_a_clock_is_off(well: Stage, tmp_path: Path, off: str, level: str) -> None:
    with serving(well.settings | faked(off), tmp_path / "log", "--no-jobs") as service:
        eventually(service.is_healthy, 20)
        found = well.visit()
    assert list(found) == ["clock-offset"]
    assert found["clock-offset"].level == level
    assert f"{off[1:-1]}.0 s (± 0.0" in found["clock-offset"].evidence

"""A balancer with the real registry and real instances: its members, when one leaves, and that a
drain waits for exactly those balancers that are alive."""

import asyncio
import itertools
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from photo_fleet.balancer.follow import Balance
from photo_fleet.balancer.nginx_members import NginxSocket
from photo_fleet.spec.fleet import HealthCheck
from tests.lifecycle.databases import own_postgres
from tests.own_stage import ask, own_database
from tests.photo_fleet.balancers import (
    Balancer,
    balancing,
    boot_of,
    command,
    environment,
    own_settings,
    role_url,
)
from tests.photo_fleet.members_server import MembersServer, members_server
from tests.secret_stage import Role
from tests.service import Service, cli, eventually, full_pipe, serving
from tests.stall import Stall

StartInstance = Callable[..., Service]
StartBalancer = Callable[..., Balancer]


@pytest.fixture(scope="module")
def settings(stack: dict[str, Any], environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """A registry of its own."""
    with own_database(stack, environ) as settings:
        yield settings


@pytest.fixture(scope="module")
def url(stack: dict[str, Any], settings: dict[str, str]) -> str:
    """The registry's address with the balancer's own rights."""
    owner = settings["PHOTO_API_DATABASE_URL"]
    return role_url(owner, stack["superuser_url"], f"balance_{uuid4().hex}")


@pytest.fixture(scope="module")
def steady(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """An instance that stays, so that the set is never empty."""
    folder = tmp_path_factory.mktemp("steady")
    with serving(own_settings(settings), folder / "log", "--no-jobs") as service:
        eventually(service.is_healthy, 30)
        yield service


@pytest.fixture
def start(settings: dict[str, str], tmp_path: Path) -> Iterator[StartInstance]:
    """Start an instance and wait until it is healthy."""
    number = itertools.count()
    with ExitStack() as running:

        def start(**changed: str) -> Service:
            log = tmp_path / f"instance-{next(number)}.log"
            arguments = own_settings(settings, **changed), log, "--no-jobs"
            service = running.enter_context(serving(*arguments))
            eventually(service.is_healthy, 30)
            return service

        yield start


@pytest.fixture
def nginx() -> Iterator[MembersServer]:
    with members_server() as server:
        yield server


@pytest.fixture
def balance(url: str, nginx: MembersServer, tmp_path: Path) -> Iterator[StartBalancer]:
    """Start a balancer of this name, for the common nginx or another."""
    with ExitStack() as running:

        def begin(name: str = "one", *arguments: str, beside: MembersServer = nginx) -> Balancer:
            arguments = ("--name", name, *arguments)
            return running.enter_context(balancing(url, beside.socket, tmp_path / name, *arguments))

        yield begin


def row_of(settings: dict[str, str], boot: str) -> Any:
    return ask(settings, "SELECT * FROM instances WHERE boot_id = $1::uuid", boot)[0]


def live_balancers(settings: dict[str, str]) -> dict[str, str]:
    """Name and id of those that are seen."""
    query = "SELECT id::text, name FROM balancers WHERE seen_at > now() - interval '20 seconds'"
    return {row["name"]: row["id"] for row in ask(settings, query)}


def test_a_drain_leaves_within_a_second_and_waits_for_every_balancer_and_its_old_nginx_workers(
    steady: Service, start: StartInstance, balance: StartBalancer, nginx: MembersServer
) -> None:
    leaving = start(LAME_DUCK="50", GRACE="120")
    boot = boot_of(leaving)
    with members_server() as reloading:
        reloading.old_workers = 1
        balancer = balance("one")
        other = balance("two", beside=reloading)
        eventually(lambda: boot in nginx.boots & reloading.boots, 20)
        heads = (one.process.pid for one in (leaving, balancer, other))
        with Stall(*heads).measured() as stall:
            leaving.process.send_signal(signal.SIGTERM)
            eventually(lambda: nginx.left_at(boot) and reloading.left_at(boot), 20)
        drained = row_of(leaving.environ, boot)["changed_at"].timestamp()
        for server in (nginx, reloading):
            assert (server.left_at(boot) or 0) - drained < 1 + stall.seconds
        eventually(lambda: balancer.said("removal acknowledged"), 10)
        with pytest.raises(subprocess.TimeoutExpired):
            leaving.process.wait(3)
        reloading.old_workers = 0
        assert leaving.process.wait(20) == 0
    assert "every balancer let go" in leaving.log
    assert nginx.boots == {boot_of(steady)}
    [line] = balancer.said("member left")
    assert (line["boot_id"], line["cause"][:17]) == (boot, "draining: SIGTERM")


@pytest.mark.slow
def test_nothing_is_acknowledged_while_nginx_may_be_taking_an_older_set(
    steady: Service, start: StartInstance, balance: StartBalancer, nginx: MembersServer
) -> None:
    balance()
    eventually(lambda: nginx.boots == {boot_of(steady)}, 20)
    nginx.open.clear()
    leaving = start(LAME_DUCK="50", GRACE="120")
    boot = boot_of(leaving)
    eventually(lambda: nginx.held_back, 20)  # the set with the newcomer is under way
    leaving.process.send_signal(signal.SIGTERM)
    eventually(lambda: row_of(leaving.environ, boot)["state"] == "draining", 10)
    time.sleep(1)
    query = "SELECT count(*) FROM balancer_removals WHERE boot_id = $1::uuid"
    assert ask(leaving.environ, query, boot)[0][0] == 0
    nginx.open.set()
    assert leaving.process.wait(20) == 0
    assert nginx.boots == {boot_of(steady)}


@pytest.mark.slow
def test_nobody_waits_for_a_balancer_that_was_killed_beyond_its_last_heartbeat(
    steady: Service, start: StartInstance, balance: StartBalancer, nginx: MembersServer
) -> None:
    leaving = start(LAME_DUCK="90", GRACE="180")
    boot = boot_of(leaving)
    with members_server() as other:
        balance("one")
        victim = balance("victim", beside=other)
        eventually(lambda: boot in nginx.boots & other.boots, 20)
        victim.process.kill()
        victim.process.wait(5)
        began = time.monotonic()
        leaving.process.send_signal(signal.SIGTERM)
        assert leaving.process.wait(60) == 0
        # Its last heartbeat was up to 5 s before its end.
        assert 14 < time.monotonic() - began < 40
    assert "every balancer let go" in leaving.log
    assert steady.process.poll() is None


def test_a_restart_is_the_same_balancer_and_changes_nothing_in_nginx(
    steady: Service, balance: StartBalancer, nginx: MembersServer
) -> None:
    boot = boot_of(steady)
    first = balance()
    eventually(lambda: nginx.boots == {boot}, 20)
    before = eventually(lambda: live_balancers(steady.environ)).get("one")
    assert first.stop() == 0
    assert "one" not in live_balancers(steady.environ), "nobody waits for one that has ended"
    sets = len(nginx.history)
    balance()
    eventually(lambda: live_balancers(steady.environ).get("one") == before, 10)
    eventually(lambda: len(nginx.history) > sets, 10)
    assert all(boots == {boot} for _, boots in nginx.history[sets:])


def test_clones_of_a_host_are_two_balancers_and_a_drain_waits_for_both(
    steady: Service,
    start: StartInstance,
    balance: StartBalancer,
    nginx: MembersServer,
    tmp_path: Path,
) -> None:
    """Both nginx hosts are made of one image, with the state in it; even the name is the same."""
    first = balance("image")
    eventually(lambda: live_balancers(steady.environ), 20)
    assert first.stop() == 0
    kept = first.state["id"]
    leaving = start(LAME_DUCK="50", GRACE="120")
    boot = boot_of(leaving)
    with members_server() as reloading:
        reloading.old_workers = 1
        clones = [
            balance(copied(first, tmp_path / name), "--name", "image", beside=beside)
            for name, beside in (("one", nginx), ("two", reloading))
        ]
        eventually(lambda: boot in nginx.boots & reloading.boots, 20)
        ids = {clone.state["id"] for clone in clones}
        assert len(ids) == 2
        assert kept in ids, "exactly one keeps the id"
        [line] = [line for clone in clones for line in clone.said("another balancer lives")]
        assert {line["former"], line["balancer"]} == ids
        leaving.process.send_signal(signal.SIGTERM)
        eventually(lambda: clones[0].said("removal acknowledged"), 20)
        with pytest.raises(subprocess.TimeoutExpired):
            leaving.process.wait(3)
        reloading.old_workers = 0
        assert leaving.process.wait(20) == 0
    assert "every balancer let go" in leaving.log


def test_after_a_kill_the_same_host_keeps_its_id_and_a_copy_of_its_state_does_not(
    steady: Service, balance: StartBalancer, tmp_path: Path
) -> None:
    original = balance("original")
    kept = eventually(lambda: live_balancers(steady.environ).get("original"), 20)
    eventually(lambda: original.state.get("session"), 10)
    eventually(lambda: original.said("the registry answers"), 20)
    original.process.kill()
    original.process.wait(5)
    balance(copied(original, tmp_path / "copy"))
    new = eventually(lambda: live_balancers(steady.environ).get("copy"), 20)
    restarted = balance("original")
    eventually(lambda: restarted.said("the registry answers")[1:], 60)
    assert live_balancers(steady.environ) == {"original": kept, "copy": new}
    assert new != kept


def copied(balancer: Balancer, folder: Path) -> str:
    """The name of a folder with a copy of its state."""
    shutil.copytree(balancer.directory, folder, ignore=shutil.ignore_patterns("*.log"))
    return folder.name


def test_nginx_gets_its_members_whenever_it_comes(
    steady: Service, balance: StartBalancer, nginx: MembersServer
) -> None:
    boot = boot_of(steady)
    nginx.stop()
    balancer = balance()
    eventually(lambda: balancer.said("nginx does not answer"), 20)
    nginx.start()
    eventually(lambda: nginx.boots == {boot}, 20)
    nginx.stop()
    eventually(lambda: len(balancer.said("nginx does not answer")) == 2, 20)
    nginx.start([])
    eventually(lambda: nginx.boots == {boot}, 20)
    nginx.members = []
    eventually(lambda: nginx.boots == {boot}, 20)
    assert balancer.state["nginx"]


def test_a_balancer_whose_log_nobody_reads_goes_on_and_ends(
    steady: Service, url: str, nginx: MembersServer, tmp_path: Path
) -> None:
    with full_pipe() as unread, balancing(url, nginx.socket, tmp_path, stderr=unread) as balancer:
        eventually(lambda: len(nginx.members) == 1, 20)
        assert balancer.stop() == 0


def test_once_sets_the_members_prints_them_and_leaves_nothing_to_wait_for(
    steady: Service, url: str, nginx: MembersServer, tmp_path: Path
) -> None:
    ran = run_once(url, nginx.socket, tmp_path, "--json", "--name", "passing")
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["settled"]
    assert [member["id"] for member in told["members"]] == [boot_of(steady)]
    assert nginx.boots == {boot_of(steady)}
    assert "passing" not in live_balancers(steady.environ)
    assert "0badc0de" not in ran.stderr + ran.stdout


def run_once(
    url: str, socket: Path, folder: Path, *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(socket, folder / "once", "--once", *arguments),
        env=environment(url),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_it_cannot_start_with_is_said_with_the_remedy(
    url: str, balance: StartBalancer, nginx: MembersServer, tmp_path: Path
) -> None:
    nameless = run_once("", nginx.socket, tmp_path)
    assert nameless.returncode == 2
    assert "PHOTO_FLEET_DATABASE_URL must be set" in nameless.stderr
    assert "or PHOTO_FLEET_DATABASE_URL_FILE" in nameless.stderr
    other = run_once("mysql://x", nginx.socket, tmp_path)
    assert other.returncode == 2
    assert "postgresql://user:password@host:5432/name" in other.stderr
    running = balance()
    eventually(lambda: running.said("balancer started"), 20)
    second = subprocess.run(
        command(nginx.socket, running.directory),
        env=environment(url),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert second.returncode == 1
    assert "give each its own" in second.stderr


def test_a_password_that_changes_in_its_file_is_taken_for_the_next_connection(
    stack: dict[str, Any],
    settings: dict[str, str],
    steady: Service,
    start: StartInstance,
    nginx: MembersServer,
    tmp_path: Path,
) -> None:
    """Until then nginx keeps its members, and a file that is no address changes nothing."""
    role = Role(stack, settings)
    file = tmp_path / "database-url"
    file.write_text(role.url)
    with balancing(None, nginx.socket, tmp_path / "own", file=file) as balancer:
        eventually(lambda: boot_of(steady) in nginx.boots, 20)
        before = role.password
        role.change_password()
        file.write_text("half of an addr")
        role.cut_off()
        eventually(lambda: balancer.said("the database's address stays as it was"), 20)
        file.write_text(role.url)
        other = start()
        eventually(lambda: boot_of(other) in nginx.boots, 30)
        assert boot_of(steady) in nginx.boots
        log = balancer.log_file.read_text()
        assert before not in log
        assert role.password not in log


async def test_it_runs_in_another_program_too(
    steady: Service, url: str, nginx: MembersServer, tmp_path: Path
) -> None:
    check = HealthCheck()
    balance = Balance(
        lambda: url, NginxSocket(nginx.socket), state=tmp_path / "own", name="inside", check=check
    )
    running = asyncio.create_task(balance.run())
    try:
        async with asyncio.timeout(20):
            while not balance.settled:
                await asyncio.sleep(0.05)
        boot = await asyncio.to_thread(boot_of, steady)
        assert [member.id for member in balance.members] == [boot]
        assert balance.state()["database"] is True
    finally:
        balance.stop()
        await running


@pytest.mark.slow
async def test_without_the_registry_the_set_is_kept_and_only_who_is_not_there_leaves(
    environ: dict[str, str], nginx: MembersServer, tmp_path: Path
) -> None:
    async with own_postgres(tmp_path) as database:
        settings = own_settings(environ, DATABASE_URL=database.url())
        assert (await asyncio.to_thread(cli, settings, "migrate")).returncode == 0
        with ExitStack() as running:
            services = [
                running.enter_context(serving(settings, tmp_path / f"{number}.log", "--no-jobs"))
                for number in range(3)
            ]
            for service in services:
                await asyncio.to_thread(eventually, service.is_healthy, 40)
            boots = [await asyncio.to_thread(boot_of, service) for service in services]
            balancer = running.enter_context(
                balancing(database.url(), nginx.socket, tmp_path / "one")
            )
            await asyncio.to_thread(eventually, lambda: nginx.boots == set(boots), 30)
            await database.stop()
            await asyncio.to_thread(
                eventually, lambda: balancer.said("the registry does not answer"), 20
            )
            await asyncio.sleep(12)  # more than three intervals between probes
            assert nginx.boots == set(boots), "503 from all is no reason"
            services[0].process.kill()
            for worker in services[0].children("photo_api"):
                worker.kill()
            await asyncio.to_thread(eventually, lambda: nginx.boots == set(boots[1:]), 20)
            await database.start()
            await asyncio.to_thread(
                eventually, lambda: balancer.said("the registry answers")[1:], 30
            )
            for service in services[1:]:
                await asyncio.to_thread(eventually, service.is_healthy, 30)
            services[1].process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(eventually, lambda: nginx.boots == {boots[2]}, 20)
